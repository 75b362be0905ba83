//! A chain in this process, behind the sockets that a host offers: real certificates under a known network key, real
//! state proofs, real evidence, and as much of the modules as a guest needs. It can be told to misbehave.
#![allow(clippy::unwrap_used, clippy::too_many_arguments, dead_code)]

mod leases;
#[path = "../../../../verify/tests/support/network.rs"]
mod network;
pub(crate) mod tls;
pub(crate) mod transactions;
#[path = "../../../../verify/tests/support/tree.rs"]
mod tree;

use std::{
    collections::{BTreeMap, BTreeSet},
    io::{Read as _, Write as _},
    os::unix::net::UnixStream,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard},
    time::Duration,
};

use alloy_consensus::{Header, Transaction as _, TxEnvelope, transaction::SignerRecoverable as _};
use alloy_eips::eip2718::Decodable2718 as _;
use alloy_sol_types::SolCall as _;
use axum::{Json, Router, extract::State, http::StatusCode, routing::post};
use freehold_crypto::{
    Derivation, Polynomial, SettingPlace, Share, content_digest, encrypt_share, genesis_hash, keccak256, keyset_digest,
    recover_registration, report_data,
    slots::{APPS, grant_id},
};
use freehold_emulator::{AppImage, DEVELOPMENT_SEED, EvidenceMachine, EvidenceServer, FMSPC, Platform, TdReport};
use freehold_guest::{EvidencePath, GuestConfig, GuestError, PathConfig, StopReason, StorageCare, TrustConfig, run};
use freehold_primitives::{
    Account, AppId, Blob, Canonical, Digest, Genesis, KeyCeremony, Measurement, Membership, NetworkKey, Registration,
    TcbStatus, TrustDomain, TrustRoot,
    entries::{
        AnchorEntry, AppSettings, CallDataKeyEntry, ClosedCode, Denial, DenyEntry, GrantEntry, InstanceEntry,
        KeyContextEntry, LogEntry, SETTINGS_CONTEXT, SettingsEntry,
    },
};
use freehold_rpc::{BareHex, Endpoint, Health, LocalClient, RegistrationSubmit};
use freehold_verify::EntryKey;
use network::{CHAIN_ID, Network};
use rand::{SeedableRng as _, rngs::StdRng};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::{
    net::UnixListener,
    task::JoinHandle,
    time::{Instant, sleep},
};
use tree::TestTree;

alloy_sol_types::sol!("../../contracts/interfaces/IApps.sol");
alloy_sol_types::sol!("../../contracts/interfaces/ILog.sol");
alloy_sol_types::sol!("../../contracts/interfaces/IKeys.sol");

/// Contexts that the app's policy lists.
const CONTEXTS: [&str; 2] = ["root", SETTINGS_CONTEXT];
/// Provider of every test.
pub(crate) const PROVIDER: Account = Account([6; 20]);
/// App of every test.
pub(crate) fn app_id() -> AppId {
    AppId::new([5; 20])
}

/// How the chain misbehaves.
#[derive(Clone, Default)]
pub(crate) struct Misbehaviour {
    /// Certificates are signed by another network.
    pub(crate) foreign_certificates: bool,
    /// The registration that it records has another receipt key.
    pub(crate) foreign_keys: bool,
    /// Key shares are those of another master.
    pub(crate) wrong_shares: bool,
    /// Anchors are refused.
    pub(crate) no_anchors: bool,
    /// The chain stands still.
    pub(crate) silent: bool,
    /// Its certified blocks go no further than this one, while its executed ones do.
    pub(crate) lease_s: Option<u64>,
    /// What is told of the logs of blocks.
    pub(crate) logs: transactions::LogsTold,
    /// Blocks come without their transactions.
    pub(crate) empty_blocks: bool,
    /// The relay proves the state before the newest settings.
    pub(crate) stale_proofs: bool,
    /// The relay answers as if this block were the newest.
    pub(crate) replay: Option<u64>,
}

struct Inner {
    network: Network,
    genesis: Genesis,
    tree: TestTree,
    headers: Vec<Header>,
    /// State and newest height before the newest settings.
    before: Option<(TestTree, usize)>,
    pending: Vec<(EntryKey, Vec<u8>)>,
    logs: BTreeMap<Digest, LogEntry>,
    instances: BTreeMap<Digest, InstanceEntry>,
    receipts: BTreeMap<Digest, u64>,
    reverted: BTreeSet<Digest>,
    leases: leases::Modules,
    bodies: transactions::Bodies,
    call_data_key: Option<(u64, [u8; 32])>,
    misbehaviour: Misbehaviour,
    registrations: u32,
    requests: u32,
    /// How far the chain's clock is ahead of this machine's, in seconds.
    ahead_s: u64,
}

/// The chain.
#[derive(Clone)]
pub(crate) struct FakeChain(Arc<Mutex<Inner>>);

struct Raw<'a>(&'a [u8]);

impl Canonical for Raw<'_> {
    fn write(&self, _: &mut Vec<u8>) {}
    fn read(_: &mut freehold_primitives::Reader<'_>) -> Result<Self, freehold_primitives::CodecError> {
        Err(freehold_primitives::CodecError::Truncated)
    }
    fn to_canonical(&self) -> Vec<u8> {
        self.0.to_vec()
    }
}

fn master() -> Share {
    Share::from_bytes(0, &[9; 32]).unwrap()
}

fn now_s() -> u64 {
    std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs()
}

impl FakeChain {
    pub(crate) fn new(misbehaviour: Misbehaviour) -> Self {
        let network = Network::new();
        let genesis = Genesis {
            chain_id: CHAIN_ID,
            purpose: freehold_primitives::Purpose::Development,
            timestamp_ms: 1_700_000_000_000,
            epoch_s: 600,
            lease_s: 600,
            validators: Vec::new(),
            consensus_polynomial: Blob(network.key().0.to_vec()),
            derivation_polynomial: vec![master().public()],
            key_ceremony: KeyCeremony::TrustedDealer,
            trust_roots: vec![TrustRoot {
                domain: TrustDomain::Emulated,
                certificate: Blob(Platform::new(&DEVELOPMENT_SEED).root_certificate()),
            }],
            allocations: Vec::new(),
            membership: Membership::default(),
        };
        let mut tree = TestTree::default();
        tree.fill(5);
        let inner = Inner {
            network,
            genesis,
            tree,
            headers: Vec::new(),
            before: None,
            pending: Vec::new(),
            logs: BTreeMap::new(),
            instances: BTreeMap::new(),
            receipts: BTreeMap::new(),
            reverted: BTreeSet::new(),
            leases: leases::Modules::default(),
            bodies: transactions::Bodies::default(),
            call_data_key: None,
            misbehaviour,
            registrations: 0,
            requests: 0,
            ahead_s: 0,
        };
        let chain = Self(Arc::new(Mutex::new(inner)));
        chain.block();
        chain
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap()
    }

    pub(crate) fn set(&self, change: impl FnOnce(&mut Misbehaviour)) {
        change(&mut self.lock().misbehaviour);
    }

    /// Turns the chain's clock ahead, from the next block on.
    pub(crate) fn ahead(&self, seconds: u64) {
        self.lock().ahead_s += seconds;
    }

    pub(crate) fn network_key(&self) -> NetworkKey {
        self.lock().network.key()
    }

    pub(crate) fn genesis(&self) -> Genesis {
        self.lock().genesis.clone()
    }

    pub(crate) fn anchored(&self, instance: &Digest) -> u64 {
        self.lock().logs.get(instance).map_or(0, |log| log.size)
    }

    pub(crate) fn registrations(&self) -> u32 {
        self.lock().registrations
    }

    /// Closes every instance.
    pub(crate) fn close_all(&self) {
        self.close(|_| true);
    }

    /// Closes some instances, as their host does when their guests have died.
    pub(crate) fn close(&self, which: impl Fn(&Digest) -> bool) {
        let mut inner = self.lock();
        let height = inner.headers.len() as u64;
        let entries: Vec<InstanceEntry> =
            inner.instances.values().filter(|entry| which(&entry.instance_id)).cloned().collect();
        for mut entry in entries {
            entry.closed_at = Some(height);
            entry.closed_code = Some(ClosedCode::Owner);
            inner.pending.push((EntryKey::Instance(entry.instance_id), entry.to_canonical()));
            inner.instances.insert(entry.instance_id, entry);
        }
    }

    /// Puts the root context at generation 1; the one before is served for so many seconds more, or no more.
    pub(crate) fn rotate(&self, keep_s: Option<u64>) {
        let entry = KeyContextEntry {
            generation: 1,
            previous_until: keep_s.map_or(0, |keep_s| now_s() + keep_s),
            ..KeyContextEntry::first(app_id(), "root".to_owned(), now_s())
        };
        self.lock().pending.push((EntryKey::KeyContext(app_id(), "root".to_owned()), entry.to_canonical()));
    }

    /// Puts the app's settings on the chain.
    pub(crate) fn set_settings(&self, settings: AppSettings) {
        let mut inner = self.lock();
        let changed_at = inner.headers.len() as u64;
        let entry = SettingsEntry { app_id: app_id(), changed_at, settings };
        inner.pending.push((EntryKey::Settings(app_id()), entry.to_canonical()));
    }

    /// The derivation of the key that settings are sealed to.
    pub(crate) fn settings_key(&self, generation: u32) -> Derivation {
        SettingPlace::derivation(&master().public(), &app_id(), generation).unwrap()
    }

    /// How often an instance asked for grants itself.
    pub(crate) fn requests(&self) -> u32 {
        self.lock().requests
    }

    /// Denies the generation of every instance, for the whole chain.
    pub(crate) fn deny_all(&self) {
        self.deny(4, |_| true);
    }

    /// Denies one instance by its id, for the whole chain.
    pub(crate) fn deny_instance(&self, id: &Digest) {
        self.deny(3, |entry| entry.instance_id == *id);
    }

    /// Denies what these instances stand on, by its place in the order of `spec/entries.md`.
    fn deny(&self, place: usize, which: impl Fn(&InstanceEntry) -> bool) {
        let mut inner = self.lock();
        let since = inner.headers.len() as u64;
        let entries: Vec<InstanceEntry> = inner.instances.values().filter(|entry| which(entry)).cloned().collect();
        for entry in entries {
            let (subject_kind, subject) = entry.deny_subjects().remove(place);
            let denials = vec![Denial { level: None, reason: 1, since, lifted_at: None }];
            let key = EntryKey::Deny(AppId::CHAIN, subject_kind, subject.clone());
            let denial = DenyEntry { app_id: AppId::CHAIN, subject_kind, subject: Blob(subject), denials };
            inner.pending.push((key, denial.to_canonical()));
        }
    }

    /// Makes one block.
    pub(crate) fn block(&self) {
        let mut inner = self.lock();
        if inner.misbehaviour.silent {
            return;
        }
        let has_settings = inner.pending.iter().any(|(key, _)| matches!(key, EntryKey::Settings(_)));
        if let Some(newest) = inner.headers.len().checked_sub(1).filter(|_| has_settings) {
            inner.before = Some((inner.tree.clone(), newest));
        }
        for (key, content) in std::mem::take(&mut inner.pending) {
            inner.tree.entry(&key, &Raw(&content));
        }
        let open: Vec<Digest> =
            inner.instances.values().filter(|entry| entry.closed_at.is_none()).map(|entry| entry.instance_id).collect();
        let slot = keccak256(&[&[0x80], app_id().as_bytes()]).0;
        inner.tree.document(&APPS, &slot, open.to_canonical());
        let parent_hash = inner.headers.last().map_or_else(Default::default, Header::hash_slow);
        let mut header = Header {
            parent_hash,
            number: inner.headers.len() as u64,
            timestamp: now_s() + inner.ahead_s,
            state_root: inner.tree.root().0.into(),
            gas_limit: 60_000_000,
            base_fee_per_gas: Some(1_000_000_000),
            withdrawals_root: Some(Digest([1; 32]).0.into()),
            blob_gas_used: Some(0),
            excess_blob_gas: Some(0),
            parent_beacon_block_root: Some(Digest([2; 32]).0.into()),
            requests_hash: Some(Digest([3; 32]).0.into()),
            ..Header::default()
        };
        inner.fill(&mut header);
        inner.headers.push(header);
    }

    /// Serves relay and control channel, and makes blocks.
    fn serve(&self, dir: &Path) -> Vec<JoinHandle<()>> {
        let relay = Router::new().route("/", post(rpc)).with_state(self.clone());
        let control = Router::new().route("/v1/registration", post(register)).with_state(self.clone());
        let mut tasks = Vec::new();
        for (name, router) in [("chain.sock", relay), ("control.sock", control)] {
            let path = dir.join(name);
            let _ = std::fs::remove_file(&path);
            let listener = UnixListener::bind(path).unwrap();
            tasks.push(tokio::spawn(async move { axum::serve(listener, router).await.unwrap() }));
        }
        let chain = self.clone();
        tasks.push(tokio::spawn(async move {
            loop {
                sleep(Duration::from_millis(100)).await;
                chain.block();
            }
        }));
        tasks
    }
}

async fn rpc(State(chain): State<FakeChain>, Json(request): Json<Value>) -> Json<Value> {
    let method = request["method"].as_str().unwrap_or_default().to_owned();
    let result = chain.lock().answer(&method, &request["params"]);
    Json(match result {
        Ok(result) => json!({"jsonrpc": "2.0", "id": request["id"], "result": result}),
        Err(message) => {
            let data =
                message.strip_prefix("refused ").map_or(Value::Null, |code| leases::revert(code.parse().unwrap()));
            let error = json!({"code": if data.is_null() { -32000 } else { 3 }, "message": message, "data": data});
            json!({"jsonrpc": "2.0", "id": request["id"], "error": error})
        }
    })
}

fn hexed(bytes: &[u8]) -> Value {
    json!(format!("0x{}", hex::encode(bytes)))
}

impl Inner {
    /// The newest block that the relay shows.
    fn newest(&self) -> &Header {
        let last = self.headers.len() - 1;
        &self.headers[self.misbehaviour.replay.map_or(last, |height| (height as usize).min(last))]
    }

    fn answer(&mut self, method: &str, params: &Value) -> Result<Value, String> {
        let newest = self.newest();
        match method {
            "eth_getBlockByNumber" => Ok(json!({
                "number": format!("{:#x}", newest.number), "hash": format!("{}", newest.hash_slow()),
                "timestamp": format!("{:#x}", newest.timestamp), "baseFeePerGas": "0x3b9aca00",
            })),
            "eth_getTransactionCount" => Ok(json!(format!("{:#x}", self.bodies.count()))),
            "eth_estimateGas" => {
                self.estimate(&params[0])?;
                Ok(json!("0x20000"))
            }
            "freehold_getFinality" => Ok(self.finality(params[0].as_u64().unwrap())),
            "freehold_getProof" => Ok(self.proof(params)),
            "freehold_getContent" => {
                let digest = params[0].as_str().unwrap().parse().unwrap();
                Ok(self.tree.content(&digest).map_or(Value::Null, hexed))
            }
            "freehold_getHeaders" => {
                let (from, count) = (params[0].as_u64().unwrap() as usize, params[1].as_u64().unwrap() as usize);
                let shown = &self.headers[..=self.newest().number as usize];
                let run = shown.iter().skip(from).take(count);
                Ok(run.map(|header| hexed(&alloy_rlp::encode(header))).collect())
            }
            "freehold_getBlock" => Ok(self.raw_block(params[0].as_u64().unwrap())),
            "oasis_callDataPublicKey" => {
                let (epoch, key) = self.call_data_key.ok_or("no key")?;
                Ok(json!({"key": hexed(&key), "checksum": "0x", "signature": "0x", "epoch": epoch}))
            }
            "freehold_keyShares" => self.shares(&params[0].as_str().unwrap().parse().unwrap()),
            "eth_sendRawTransaction" => self.transaction(params[0].as_str().unwrap()),
            "eth_getTransactionReceipt" => {
                let hash = params[0].as_str().unwrap().parse().unwrap();
                let Some(height) = self.receipts.get(&hash) else { return Ok(Value::Null) };
                Ok(match self.headers.get(*height as usize) {
                    None => Value::Null,
                    Some(header) => json!({
                        "transactionHash": format!("0x{hash}"), "blockNumber": format!("{height:#x}"),
                        "blockHash": format!("{}", header.hash_slow()), "gasUsed": "0x1",
                        "status": if self.reverted.contains(&hash) { "0x0" } else { "0x1" },
                        "contractAddress": null, "logs": [],
                    }),
                })
            }
            other => Err(format!("no method {other}")),
        }
    }

    fn finality(&self, height: u64) -> Value {
        let shown = self.newest().number as usize + 1;
        let Some(run) = self.headers[..shown].get(height as usize..).filter(|run| !run.is_empty()) else {
            return Value::Null;
        };
        let hash = if self.misbehaviour.foreign_certificates { Digest([0; 32]) } else { genesis_hash(&self.genesis) };
        let proof = self.network.finality(hash, &run[..run.len().min(17)]);
        json!({
            "height": height, "headers": proof.headers.iter().map(|h| hexed(h)).collect::<Vec<_>>(),
            "payload_head": hexed(&proof.payload_head), "certificate": hexed(&proof.certificate),
        })
    }

    fn proof(&self, params: &Value) -> Value {
        let module: Account = params[0].as_str().unwrap().parse().unwrap();
        let (tree, newest) = match &self.before {
            Some((tree, newest)) if self.misbehaviour.stale_proofs => (tree, &self.headers[*newest]),
            _ => (&self.tree, self.headers.last().unwrap()),
        };
        let proofs: Vec<Value> = params[1]
            .as_array()
            .unwrap()
            .iter()
            .map(|slot| {
                let slot: Digest = slot.as_str().unwrap().parse().unwrap();
                let key = freehold_crypto::slots::storage_key(&module, &slot.0);
                let value = tree.value(&key).map_or(Value::Null, hexed);
                json!({"key": format!("0x{key}"), "value": value, "proof": hexed(&tree.prove_key(key))})
            })
            .collect();
        let key = freehold_crypto::slots::account_key(&module);
        let value = tree.value(&key).map_or(Value::Null, hexed);
        let account = json!({"key": format!("0x{key}"), "value": value, "proof": hexed(&tree.prove_key(key))});
        json!({"height": newest.number, "state_root": format!("{}", newest.state_root), "proofs": proofs,
            "account": account})
    }

    fn shares(&self, grant: &Digest) -> Result<Value, String> {
        let found = self.instances.values().find_map(|entry| {
            let mut named = CONTEXTS.iter().flat_map(|context| [(*context, 0), (*context, 1)]);
            let named =
                named.find(|(context, generation)| grant_id(&entry.instance_id, context, *generation) == *grant)?;
            Some((entry, named))
        });
        let Some((content, (context, generation))) = found else { return Err("no such grant".to_owned()) };
        let share = if self.misbehaviour.wrong_shares { Share::from_bytes(0, &[8; 32]).unwrap() } else { master() };
        let polynomial = Polynomial::new(&self.genesis.derivation_polynomial).unwrap();
        let derivation = Derivation::new(polynomial.master(), &app_id(), context, generation).unwrap();
        let mut rng = StdRng::seed_from_u64(7);
        let encrypted = encrypt_share(&share, &derivation, &content.transport_key, &mut rng).unwrap();
        Ok(json!({"term": 0, "shares": [{"index": 0, "share": hexed(&encrypted.to_bytes())}]}))
    }

    fn transaction(&mut self, raw: &str) -> Result<Value, String> {
        if self.misbehaviour.no_anchors {
            return Err("no anchors today".to_owned());
        }
        let bytes = hex::decode(raw.trim_start_matches("0x")).unwrap();
        let transaction = TxEnvelope::decode_2718(&mut bytes.as_slice()).unwrap();
        let sender = Account(transaction.recover_signer().unwrap().0.0);
        let hash = Digest(transaction.tx_hash().0);
        let module = transaction.to().is_some_and(|to| to.0.0.starts_with(&[0; 17]));
        if !module {
            return Ok(json!(format!("0x{}", self.take(transaction))));
        }
        if let Ok(call) = IKeys::requestCall::abi_decode(transaction.input()) {
            return self.request(&sender, &call.context, hash);
        }
        let Ok(call) = ILog::anchorCall::abi_decode(transaction.input()) else {
            let height = self.headers.len() as u64;
            self.receipts.insert(hash, height);
            if self.module_call(sender, transaction.input(), leases::Mode::Write).is_err() {
                self.reverted.insert(hash);
            }
            return Ok(json!(format!("0x{hash}")));
        };
        let by = self.instances.values().find(|entry| entry.account == sender && entry.closed_at.is_none());
        let by = by.ok_or("the sender is no instance")?.instance_id;
        let instance_id = Digest(call.instance.0);
        let before = self.logs.get(&instance_id).copied();
        let index = before.map_or(0, |log| log.anchors);
        if before.is_some_and(|log| log.size >= call.size) {
            return Err("the size does not grow".to_owned());
        }
        let height = self.headers.len() as u64;
        let root = Digest(call.root.0);
        let entry =
            AnchorEntry { instance_id, index, size: call.size, root, anchored_by: by, height, time_unix_s: now_s() };
        let log = LogEntry { anchors: index + 1, size: call.size, root };
        self.pending.push((EntryKey::Anchor(instance_id, index), entry.to_canonical()));
        self.pending.push((EntryKey::Log(instance_id), log.to_canonical()));
        self.logs.insert(instance_id, log);
        self.receipts.insert(hash, height);
        Ok(json!(format!("0x{hash}")))
    }
}

impl Inner {
    /// Grants generation 1 of a context to the instance with this account.
    fn request(&mut self, sender: &Account, context: &str, hash: Digest) -> Result<Value, String> {
        let height = self.headers.len() as u64;
        let entry = self.instances.values().find(|entry| entry.account == *sender).ok_or("no instance asks")?;
        let grant_id = grant_id(&entry.instance_id, context, 1);
        let grant = GrantEntry {
            grant_id,
            app_id: entry.app_id,
            instance_id: entry.instance_id,
            context: context.to_owned(),
            generation: 1,
            transport_key: entry.transport_key,
            granted_at: height,
            until: entry.expires_at,
            closed_at: None,
        };
        self.pending.push((EntryKey::Grant(grant_id), grant.to_canonical()));
        self.requests += 1;
        self.receipts.insert(hash, height);
        Ok(json!(format!("0x{hash}")))
    }
}

async fn register(State(chain): State<FakeChain>, Json(submit): Json<RegistrationSubmit>) -> (StatusCode, Json<Value>) {
    let mut inner = chain.lock();
    let registration = Registration::from_canonical(&submit.registration.0).unwrap();
    let signer = recover_registration(&submit.registration.0, &submit.evidence.0, &submit.signature).unwrap();
    assert_eq!(signer, registration.subject.account);
    assert_eq!(registration.subject.provider, PROVIDER);
    let header = &inner.headers[registration.nonce_height as usize];
    assert_eq!(header.hash_slow().0, registration.nonce.0);
    let digest = keyset_digest(&registration.keyset);
    assert_eq!(submit.evidence.0[568..632], report_data(&digest, Some(&registration.nonce)));
    let height = inner.headers.len() as u64;
    let id = registration.keyset.subject;
    let opened_at = inner.instances.get(&id).map_or(height, |entry| entry.opened_at);
    let lease_s = inner.misbehaviour.lease_s.unwrap_or(registration.lease_s);
    let entry = InstanceEntry {
        instance_id: id,
        app_id: registration.subject.app_id,
        app_version: 0,
        provider: PROVIDER,
        account: registration.subject.account,
        transport_key: registration.subject.transport_key,
        keyset_digest: if inner.misbehaviour.foreign_keys { Digest([1; 32]) } else { digest },
        keyset_not_after: registration.keyset.not_after,
        evidence_digest: content_digest(&submit.evidence.0),
        collateral_digests: vec![Digest([2; 32])],
        nonce_height: registration.nonce_height,
        nonce: registration.nonce,
        judged_at_unix_s: now_s() + inner.ahead_s,
        evidence_kind: registration.evidence_kind,
        trust_domain: TrustDomain::Emulated,
        measurement: Measurement::Tdx(td().measurement()),
        tcb_status: Some(TcbStatus::UpToDate),
        tcb_level: None,
        tcb_level_lowest: None,
        tier: 0,
        platform: Digest([3; 32]),
        family: FMSPC,
        gpus: Vec::new(),
        opened_at,
        renewed_at: height,
        expires_at: now_s() + inner.ahead_s + lease_s,
        closed_at: None,
        closed_code: None,
    };
    let grant = |context: &str| GrantEntry {
        grant_id: grant_id(&id, context, 0),
        app_id: entry.app_id,
        instance_id: id,
        context: context.to_owned(),
        generation: 0,
        transport_key: entry.transport_key,
        granted_at: height,
        until: entry.expires_at,
        closed_at: None,
    };
    inner.pending.push((EntryKey::Instance(id), entry.to_canonical()));
    for grant in CONTEXTS.map(grant) {
        inner.pending.push((EntryKey::Grant(grant.grant_id), grant.to_canonical()));
    }
    inner.instances.insert(id, entry);
    inner.registrations += 1;
    let tx_hash = content_digest(&submit.evidence.0);
    inner.call(APPS, registering(submit), Vec::new());
    inner.receipts.insert(tx_hash, height);
    (StatusCode::OK, Json(json!({"tx_hash": tx_hash})))
}

/// What a host sends to the chain.
fn registering(submit: RegistrationSubmit) -> Vec<u8> {
    let (registration, evidence) = (submit.registration.0.into(), submit.evidence.0.into());
    IApps::registerCall { registration, evidence, signature: submit.signature.to_vec().into() }.abi_encode()
}

fn td() -> TdReport {
    let image = AppImage { executable: Digest([2; 32]), arguments: vec!["serve".to_owned()], model: None };
    TdReport::launch(&Digest([1; 32]), &image)
}

/// A host: sockets, evidence, the chain.
pub(crate) struct FakeHost {
    pub(crate) dir: TempDir,
    pub(crate) chain: FakeChain,
    _evidence: EvidenceServer,
    tasks: Vec<JoinHandle<()>>,
}

impl Drop for FakeHost {
    fn drop(&mut self) {
        self.tasks.iter().for_each(JoinHandle::abort);
    }
}

impl FakeHost {
    pub(crate) fn new(misbehaviour: Misbehaviour) -> Self {
        Self::on(FakeChain::new(misbehaviour))
    }

    /// Another host of the same chain.
    pub(crate) fn on(chain: FakeChain) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let listener = std::os::unix::net::UnixListener::bind(dir.path().join("evidence.sock")).unwrap();
        let platform = Arc::new(Platform::new(&DEVELOPMENT_SEED));
        let evidence = EvidenceServer::start(listener, EvidenceMachine::Td(platform, Box::new(td()))).unwrap();
        let tasks = chain.serve(dir.path());
        Self { dir, chain, _evidence: evidence, tasks }
    }

    pub(crate) fn state_dir(&self) -> PathBuf {
        self.dir.path().join("state")
    }

    pub(crate) fn config(&self) -> GuestConfig {
        let path = |name: &str| self.dir.path().join(name);
        GuestConfig {
            trust: TrustConfig {
                network_key: self.chain.network_key(),
                genesis: BareHex(self.chain.genesis().to_canonical()),
                app_id: app_id(),
                provider: PROVIDER,
                trust_domain: "emulated".to_owned(),
                lease_s: 600,
            },
            paths: PathConfig {
                state_dir: self.state_dir(),
                local_api: path("local.sock"),
                evidence: EvidencePath::Socket(path("evidence.sock")),
                chain: path("chain.sock"),
                control: path("control.sock"),
                egress: Some(path("egress.sock")),
                ingress: None,
                services: Vec::new(),
                environments: Vec::new(),
                state_disk: None,
            },
            isolation: "none".to_owned(),
            storage: StorageCare::None,
            scopes: Vec::new(),
            event_log: Vec::new(),
        }
    }

    /// Writes the configuration, for a guest in another process.
    pub(crate) fn config_file(&self) -> PathBuf {
        let path = self.dir.path().join("guest.json");
        std::fs::write(&path, serde_json::to_vec(&self.config()).unwrap()).unwrap();
        path
    }

    pub(crate) fn local(&self) -> LocalClient {
        LocalClient::new(Endpoint::unix(self.dir.path().join("local.sock")).unwrap())
    }

    /// Runs a guest in this process.
    pub(crate) fn guest(&self) -> JoinHandle<Result<StopReason, GuestError>> {
        tokio::spawn(run(self.config(), std::future::pending()))
    }

    /// Waits until the health is as wanted.
    pub(crate) async fn wait(&self, limit: Duration, wanted: impl Fn(&Health) -> bool) -> Health {
        let end = Instant::now() + limit;
        let local = self.local();
        loop {
            if let Ok(health) = local.health().await {
                if wanted(&health) {
                    return health;
                }
                assert!(Instant::now() < end, "not in time: {health:?}");
            }
            assert!(Instant::now() < end, "no health in time");
            sleep(Duration::from_millis(20)).await;
        }
    }

    pub(crate) async fn serving(&self) -> Health {
        self.wait(Duration::from_secs(20), |health| health.ready).await
    }

    /// Waits until it knows the owner's settings, which it looks at a moment after it serves.
    pub(crate) async fn knows_settings(&self) {
        for _ in 0..400 {
            if self.local().settings(None).await.is_ok() {
                return;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        panic!("the settings are not known in time");
    }
}

/// Sends a request as the Rust client does (`Connection: close`, read to the end) and gives head and body.
pub(crate) fn raw(socket: &Path, method: &str, path: &str, body: &str) -> (String, String) {
    let mut stream = UnixStream::connect(socket).unwrap();
    let length = body.len();
    let head = format!("{method} {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n");
    let request = format!("{head}Content-Type: application/json\r\nContent-Length: {length}\r\n\r\n{body}");
    // A server that has refused already takes no more.
    let _ = stream.write_all(request.as_bytes());
    let mut answer = Vec::new();
    // One that closes before it has read all resets the connection behind its answer.
    let _ = stream.read_to_end(&mut answer);
    let answer = String::from_utf8(answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    (head.to_ascii_lowercase(), body.to_owned())
}
