//! Whole registrations on a chain in memory: transactions in a block, executed by the ledger as every validator does.
//!
//! What is counted: reading the payload, recovering signers, the module's checks, verification, and the writes. What is
//! not: the store on disk, and consensus.

use std::collections::BTreeMap;

use alloy_consensus::Header;
use alloy_sol_types::{SolCall, sol};
use anyhow::{Context as _, Result, bail, ensure};
use freehold_attestation::development_policy;
use freehold_crypto::{
    AccountKey, StateKeys, app_id_from_creator_nonce, body_digest, content_digest, genesis_hash, keyset_digest,
    payload_digest, registration_digest, report_data, slots, subject_digest,
};
use freehold_emulator::{AppImage, DEVELOPMENT_SEED, FMSPC, Platform, TdReport};
use freehold_ledger::{ChainContext, ExecutedBlock, MemoryTree, Parent, execute_payload, genesis_block};
use freehold_primitives::{
    Account, Allocation, AppId, AppPolicy, Blob, BlockMoment, Canonical as _, Digest, Ed25519Key, Ed25519Signature,
    EvidenceKind, Executed, G1Point, Genesis, KeyCeremony, Keyset, Measurement, Membership, Payload, PayloadBody,
    PayloadHead, Registration, SubjectBody, TrustDomain, TrustRoot, X25519Key, entries::collateral_key,
};
use freehold_rpc::{CallTransaction, FeeQuote};
use zeroize::Zeroizing;

use super::cpu_s;

sol!("../../contracts/interfaces/IApps.sol");
sol!("../../contracts/interfaces/ICollateral.sol");

/// Registrations in one block: as many as its gas holds.
pub(super) const REGISTRATIONS: u8 = 24;
const CHAIN_ID: u64 = 31_337;
const GAS: u64 = 2_400_000;
const GAS_CREATE: u64 = 12_000_000;
/// How long a keyset lasts, in seconds: 30 days.
pub(super) const KEYSET_S: u64 = 30 * 86_400;
const GWEI: u128 = 1_000_000_000;
const OWNER: u8 = 1;
const PROVIDER: u8 = 2;

/// What registrations took.
pub(super) struct Taken {
    /// CPU seconds of a block of [`REGISTRATIONS`].
    pub(super) cpu_s: f64,
    /// Bytes that the first registration of a block of its own leaves in the tree, keys with values.
    pub(super) tree_bytes: usize,
    /// Bytes of documents that it leaves beside the tree.
    pub(super) content_bytes: usize,
    /// Gas of one.
    pub(super) gas: u64,
}

/// Registers one instance in a block of its own, then many in one block.
pub(super) fn run(app: &AppImage, now_unix_s: u64) -> Result<Taken> {
    let mut chain = Chain::new(app, now_unix_s)?;
    let empty = chain.block(Vec::new())?;
    let first = chain.registrations(0x20..0x21)?;
    let first = chain.block(first)?;
    let many = chain.registrations(0x30..0x30 + REGISTRATIONS)?;
    let begun = cpu_s();
    chain.block(many)?;
    let cpu_s = cpu_s() - begun;
    let tree = |block: &ExecutedBlock| {
        block.writes.iter().map(|(_, value)| 32 + value.as_ref().map_or(0, Vec::len)).sum::<usize>()
    };
    let content = |block: &ExecutedBlock| block.content.iter().map(|(_, bytes)| bytes.len()).sum::<usize>();
    Ok(Taken {
        cpu_s,
        tree_bytes: tree(&first).saturating_sub(tree(&empty)),
        content_bytes: content(&first).saturating_sub(content(&empty)),
        gas: first.receipts.first().context("the block holds the registration")?.gas_used,
    })
}

fn key(seed: u8) -> Result<AccountKey> {
    Ok(AccountKey::from_bytes(&[seed; 32])?)
}

/// A chain of one executor, its state in memory.
struct Chain {
    ctx: ChainContext,
    state: MemoryTree,
    content: BTreeMap<Digest, Vec<u8>>,
    headers: BTreeMap<u64, Header>,
    head: PayloadHead,
    keys: StateKeys,
    app: AppId,
    td: TdReport,
    nonces: [u64; 2],
}

impl Chain {
    /// Genesis, collateral of the emulator, and an app.
    fn new(app: &AppImage, now_unix_s: u64) -> Result<Self> {
        let genesis = genesis(now_unix_s)?;
        let hash = genesis_hash(&genesis);
        let ctx = ChainContext::new(genesis)?;
        let mut state = MemoryTree::default();
        let block = genesis_block(&ctx, &mut state)?;
        let head = PayloadHead {
            chain_id: CHAIN_ID,
            height: 0,
            term: 0,
            view: 0,
            parent: Digest::ZERO,
            timestamp_ms: now_unix_s * 1_000,
            proposer: 0,
            executed: Executed { height: 0, block_hash: Digest(block.hash.0) },
            parent_seed: None,
            body: body_digest(&PayloadBody::default().to_canonical()),
        };
        let content: BTreeMap<_, _> = block.content.into_iter().chain([(content_digest(&[]), Vec::new())]).collect();
        let headers = BTreeMap::from([(0, block.header)]);
        let keys = StateKeys::development(Zeroizing::new(hash.0));
        let app_id = app_id_from_creator_nonce(&key(OWNER)?.account(), 0);
        let td = TdReport::launch(&Digest([1; 32]), app);
        let mut chain = Self { ctx, state, content, headers, head, keys, app: app_id, td, nonces: [0, 0] };
        let [create, submit] = app_calls(&chain.td, now_unix_s);
        let create = chain.transaction(OWNER, create.0, create.1, GAS_CREATE)?;
        let submit = chain.transaction(OWNER, submit.0, submit.1, GAS_CREATE)?;
        chain.block(vec![create, submit])?;
        Ok(chain)
    }

    fn transaction(&mut self, from: u8, to: Account, data: Vec<u8>, gas_limit: u64) -> Result<Vec<u8>> {
        let nonce = &mut self.nonces[usize::from(from - OWNER)];
        let fees = FeeQuote { max_fee_per_gas: 10 * GWEI, max_priority_fee_per_gas: 0 };
        let call = CallTransaction { chain_id: CHAIN_ID, nonce: *nonce, to, value_wei: 0, gas_limit, fees, data };
        *nonce += 1;
        Ok(call.sign(&key(from)?).0)
    }

    /// Executes a block in which every transaction succeeds.
    fn block(&mut self, transactions: Vec<Vec<u8>>) -> Result<ExecutedBlock> {
        let tip = self.headers.last_key_value().context("there is a block")?.1;
        let body = PayloadBody { transactions: transactions.into_iter().map(Blob).collect(), ..PayloadBody::default() }
            .to_canonical();
        let head = PayloadHead {
            height: tip.number + 1,
            view: tip.number + 1,
            parent: payload_digest(&self.head),
            timestamp_ms: self.head.timestamp_ms + 1_000,
            executed: Executed { height: tip.number, block_hash: Digest(tip.hash_slow().0) },
            body: body_digest(&body),
            ..self.head.clone()
        };
        let payload = Payload { head, body: Blob(body), signature: Ed25519Signature::ZERO };
        let parent = Parent { header: tip, content: &self.content, hashes: &self.headers, keys: Some(&self.keys) };
        let block = execute_payload(&self.ctx, parent, &payload, None, &mut self.state)?;
        ensure!(block.skipped.is_empty(), "a transaction is left out: {:?}", block.skipped);
        if let Some(failed) = block.receipts.iter().find(|receipt| !receipt.envelope.status()) {
            bail!("a transaction fails: {}", hex::encode(&failed.output));
        }
        self.head = payload.head;
        self.content.extend(block.content.iter().cloned());
        self.headers.insert(block.header.number, block.header.clone());
        Ok(block)
    }

    /// Registrations of instances whose accounts have these seeds, each on a machine of its own.
    fn registrations(&mut self, seeds: core::ops::Range<u8>) -> Result<Vec<Vec<u8>>> {
        seeds.map(|seed| self.registration(seed)).collect()
    }

    fn registration(&mut self, seed: u8) -> Result<Vec<u8>> {
        let tip = self.headers.last_key_value().context("there is a block")?.1;
        let registrant = Registrant {
            chain_id: CHAIN_ID,
            genesis_hash: self.ctx.genesis_hash(),
            app: self.app,
            provider: key(PROVIDER)?.account(),
            transport_key: G1Point([seed; 48]),
            block: BlockMoment {
                height: tip.number,
                block_hash: Digest(tip.hash_slow().0),
                time_unix_s: tip.timestamp,
            },
            not_after: tip.timestamp + KEYSET_S,
        };
        let call = registrant.call(&key(seed)?, u32::from(seed), &self.td).1;
        self.transaction(PROVIDER, slots::APPS, call, GAS)
    }
}

/// What a registration of an emulated instance says beside its own keys.
pub(super) struct Registrant {
    pub(super) chain_id: u64,
    pub(super) genesis_hash: Digest,
    pub(super) app: AppId,
    pub(super) provider: Account,
    pub(super) transport_key: G1Point,
    /// The block whose hash is the nonce.
    pub(super) block: BlockMoment,
    /// End of the keyset, Unix seconds: a renewal keeps the keyset.
    pub(super) not_after: u64,
}

impl Registrant {
    /// Id of the instance with this account on the machine of this number, and the call that registers it.
    pub(super) fn call(&self, account: &AccountKey, machine: u32, td: &TdReport) -> (Digest, Vec<u8>) {
        let tag = machine.to_be_bytes()[3];
        let subject = SubjectBody {
            chain_id: self.chain_id,
            genesis_hash: self.genesis_hash,
            app_id: self.app,
            provider: self.provider,
            account: account.account(),
            transport_key: self.transport_key,
            config_digest: Digest([tag; 32]),
        };
        let instance = subject_digest(&subject);
        let keyset = Keyset {
            subject: instance,
            not_after: self.not_after,
            receipt_key: Ed25519Key([tag; 32]),
            hpke_key: X25519Key([tag; 32]),
            tls_keys: Vec::new(),
        };
        let nonce = self.block.block_hash;
        let bound = report_data(&keyset_digest(&keyset), Some(&nonce));
        let evidence = Platform::nth(&DEVELOPMENT_SEED, machine).quote_v4(td, &bound);
        let registration = Registration {
            subject,
            keyset,
            nonce_height: self.block.height,
            nonce,
            evidence_kind: EvidenceKind::Tdx,
            trust_domain: TrustDomain::Emulated,
            family: FMSPC,
            lease_s: 600,
        }
        .to_canonical();
        let signature = account.sign(&registration_digest(&registration, &evidence)).to_vec();
        let call = IApps::registerCall {
            registration: registration.into(),
            evidence: evidence.into(),
            signature: signature.into(),
        };
        (instance, call.abi_encode())
    }
}

/// Calls that an app of an emulated machine needs: its creation, and the emulator's collateral.
pub(super) fn app_calls(td: &TdReport, now_unix_s: u64) -> [(Account, Vec<u8>); 2] {
    let measurement: Measurement = td.measurement().into();
    let policy = AppPolicy {
        evidence: development_policy(measurement),
        lease_s_max: 600,
        boot_contexts: vec!["root".to_owned()],
        ..AppPolicy::default()
    };
    let create = IApps::createCall { scheme: 1, policy: policy.to_canonical().into() };
    let document = Platform::new(&DEVELOPMENT_SEED).collateral(now_unix_s);
    let key = collateral_key(TrustDomain::Emulated, &FMSPC).to_vec();
    let submit = ICollateral::submitCall { kind: 1, key: key.into(), document: document.into() };
    [(slots::APPS, create.abi_encode()), (slots::COLLATERAL, submit.abi_encode())]
}

/// A development genesis with the emulator's root.
fn genesis(now_unix_s: u64) -> Result<Genesis> {
    let mut balance = [0; 32];
    balance[16..].copy_from_slice(&10_u128.pow(22).to_be_bytes());
    let allocations = [OWNER, PROVIDER]
        .into_iter()
        .map(|seed| Ok(Allocation { account: key(seed)?.account(), balance }))
        .collect::<Result<_>>()?;
    let certificate = Blob(Platform::new(&DEVELOPMENT_SEED).root_certificate());
    Ok(Genesis {
        chain_id: CHAIN_ID,
        purpose: freehold_primitives::Purpose::Development,
        timestamp_ms: now_unix_s * 1_000,
        epoch_s: 600,
        lease_s: 600,
        validators: Vec::new(),
        consensus_polynomial: Blob::default(),
        derivation_polynomial: Vec::new(),
        key_ceremony: KeyCeremony::TrustedDealer,
        trust_roots: vec![TrustRoot { domain: TrustDomain::Emulated, certificate }],
        allocations,
        membership: Membership::default(),
    })
}
