//! A whole valid proof, made in process from real parts: emulated TDX evidence, Ed25519 and secp256k1 signatures, a log,
//! a state tree, Ethereum headers, payloads, and BLS certificates under a network key whose secret is known here.
#![allow(clippy::unwrap_used, dead_code)]

mod network;
mod tree;

use alloy_consensus::Header;
use freehold_attestation::{Evidence, development_policy};
use freehold_crypto::{
    AccountKey, Ed25519Secret, HpkeSecret, MerkleTree, content_digest, genesis_hash, keyset_digest, leaf_hash,
    report_data, sha256, subject_digest, to_jcs,
};
use freehold_emulator::{AppImage, DEVELOPMENT_SEED, Platform, TdReport};
use freehold_primitives::{
    ACI_VERSION, Account, AppId, AppPolicy, Blob, BlockMoment, Canonical, Digest, Event, EvidenceKind, G1Point,
    Genesis, KeyCeremony, Keyset, Measurement, Membership, NetworkKey, RECEIPT_KEY_ID, Receipt, Registration, Sampling,
    SubjectBody, TlsKey, TrustDomain, TrustRoot,
    entries::{
        AnchorEntry, AppEntry, AuditEntry, AuditVerdict, ClosedCode, Denial, DenyEntry, DenySubject, InstanceEntry,
        PolicyInForce, TcbLevel, UpgradeEntry, UpgradeRule,
    },
};
use freehold_verify::{
    AnchorSection, BodySection, CommitmentSection, EntryKey, EntryProof, FinalityProof, FinalitySection, HEADER_FORMAT,
    HeaderDocument, HeaderSection, KeysetSection, OptionalEntryProof, PROOF_FORMAT, PromiseProof, ProofDocument,
    QuoteSection, RegistrationSection, StateProofSection,
};

pub(crate) use network::Network;
pub(crate) use tree::TestTree;

/// Time of block 0, unless a test binary chooses another.
pub(crate) const GENESIS_TIME: u64 = 1_795_000_000;

static CHOSEN_TIME: std::sync::OnceLock<u64> = std::sync::OnceLock::new();

/// Chooses the time of block 0 for this process, once.
pub(crate) fn choose_genesis_time(unix_s: u64) {
    CHOSEN_TIME.get_or_init(|| unix_s);
}

/// Time of block 0.
pub(crate) fn genesis_time() -> u64 {
    *CHOSEN_TIME.get_or_init(|| GENESIS_TIME)
}

/// Height that the receipt names; block `h` has time `genesis_time() + h`.
pub(crate) const RECEIPT_HEIGHT: u64 = 40;
/// Height that anchors it.
pub(crate) const ANCHOR_HEIGHT: u64 = 42;
/// Height whose state is proven.
pub(crate) const STATE_HEIGHT: u64 = 45;
/// A TCB date long before that of the emulated platform.
pub(crate) const EARLIER_DATE: u64 = 1_000_000_000;
/// What was asked.
pub(crate) const REQUEST: &str = r#"{"messages":[{"content":"Why is the sky blue?","role":"user"}],"stream":true}"#;
/// What was answered.
pub(crate) const RESPONSE: &str = "data: {\"choices\":[{\"delta\":{\"content\":\"Because…\"}}]}\n\ndata: [DONE]\n\n";

/// What differs from the ordinary proof.
#[derive(Clone, Default)]
pub(crate) struct Plan {
    /// Leave the receipt unanchored.
    pub(crate) unanchored: bool,
    /// Subjects that the app denies, from height 44.
    pub(crate) denied: Vec<DenySubject>,
    /// Subjects that the chain denies, from height 44.
    pub(crate) denied_by_chain: Vec<DenySubject>,
    /// Another height from which the chain denies it.
    pub(crate) denied_since: Option<u64>,
    /// Height that lifted what the chain denies.
    pub(crate) lifted_at: Option<u64>,
    /// The chain denies a TCB level below the instance's, which an earlier piece of its evidence had.
    pub(crate) earlier_level: bool,
    /// Height that closed the instance.
    pub(crate) closed_at: Option<u64>,
    /// Height that closed the app.
    pub(crate) app_closed_at: Option<u64>,
    /// Another end of the lease.
    pub(crate) expires_at: Option<u64>,
    /// Another height of first registration.
    pub(crate) opened_at: Option<u64>,
    /// Another instance anchored.
    pub(crate) adopted: bool,
    /// Another nonce in the evidence than the chain recorded.
    pub(crate) stale_quote: bool,
    /// State of an earlier height than the receipt names.
    pub(crate) state_height: Option<u64>,
    /// The app's policy accepts another measurement.
    pub(crate) other_measurement: bool,
    /// The registration is signed by another account.
    pub(crate) other_signer: bool,
    /// What the proof says of the app's upgrades; nothing by default.
    pub(crate) promise: Option<Promised>,
}

/// What an app promises about its upgrades.
#[derive(Clone, Default)]
pub(crate) struct Promised {
    /// The rule; without one the app never promised anything.
    pub(crate) rule: Option<UpgradeRule>,
    /// Since when it promises something.
    pub(crate) since_unix_s: u64,
    /// Since when its policy is public.
    pub(crate) public_since_unix_s: u64,
    /// The entry is of another policy than the app has.
    pub(crate) other_policy: bool,
    /// Auditors, and what they say.
    pub(crate) audits: Vec<(Account, Option<AuditVerdict>)>,
}

impl Promised {
    fn policy(app: &AppEntry) -> Digest {
        content_digest(&app.policy.to_canonical())
    }

    fn entry(&self, app: &AppEntry) -> Option<UpgradeEntry> {
        let policy = if self.other_policy { Digest([1; 32]) } else { Self::policy(app) };
        let (public_since_unix_s, since_unix_s) = (self.public_since_unix_s, self.public_since_unix_s);
        self.rule.clone().map(|rule| UpgradeEntry {
            app_id: app.app_id,
            changed_at: 6,
            rule,
            promised_since_unix_s: self.since_unix_s,
            pending: None,
            in_force: PolicyInForce { version: 1, policy, public_since_unix_s, since_unix_s },
            stood: Vec::new(),
        })
    }

    fn audit(app: &AppEntry, auditor: Account, verdict: AuditVerdict) -> AuditEntry {
        AuditEntry {
            auditor,
            app_id: app.app_id,
            policy: Self::policy(app),
            verdict,
            report: Digest([3; 32]),
            place: "https://audits.example".to_owned(),
            said_at: 7,
            said_at_unix_s: genesis_time() + 7,
        }
    }

    fn audit_key(app: &AppEntry, auditor: Account) -> EntryKey {
        EntryKey::Audit(auditor, app.app_id, Self::policy(app))
    }

    fn put(&self, tree: &mut TestTree, app: &AppEntry) {
        if let Some(entry) = self.entry(app) {
            tree.entry(&EntryKey::Upgrade(app.app_id), &entry);
        }
        for (auditor, word) in &self.audits {
            if let Some(verdict) = word {
                tree.entry(&Self::audit_key(app, *auditor), &Self::audit(app, *auditor, *verdict));
            }
        }
    }

    fn proof(&self, tree: &TestTree, app: &AppEntry) -> PromiseProof {
        let optional = |key: &EntryKey, content: Option<Vec<u8>>| OptionalEntryProof {
            content: content.map(Into::into),
            proof: tree.prove(key).into(),
        };
        let audit = |(auditor, word): &(Account, Option<AuditVerdict>)| {
            let content = word.map(|verdict| Self::audit(app, *auditor, verdict).to_canonical());
            (*auditor, optional(&Self::audit_key(app, *auditor), content))
        };
        let upgrade = self.entry(app).map(|entry| entry.to_canonical());
        PromiseProof {
            audits: self.audits.iter().map(audit).collect(),
            upgrade: optional(&EntryKey::Upgrade(app.app_id), upgrade),
        }
    }
}

/// A proof with the key that it hangs on.
pub(crate) struct Made {
    /// The document.
    pub(crate) document: ProofDocument,
    /// The network key.
    pub(crate) network_key: NetworkKey,
    /// The instance entry.
    pub(crate) instance: InstanceEntry,
    /// Maker of certificates.
    pub(crate) network: Network,
    app: AppEntry,
}

/// A registered instance with its secrets.
pub(crate) struct Instance {
    pub(crate) account: AccountKey,
    pub(crate) receipt_key: Ed25519Secret,
    pub(crate) hpke: HpkeSecret,
    pub(crate) td: TdReport,
    pub(crate) subject: SubjectBody,
    pub(crate) keyset: Keyset,
    pub(crate) evidence: Vec<u8>,
    pub(crate) collateral: Vec<u8>,
    pub(crate) registration: Registration,
    pub(crate) entry: InstanceEntry,
    pub(crate) app: AppEntry,
}

/// The ordinary proof.
pub(crate) fn made() -> Made {
    made_with(&Plan::default())
}

/// A proof by plan.
pub(crate) fn made_with(plan: &Plan) -> Made {
    let network = Network::new();
    let genesis = genesis(&network);
    let hash = genesis_hash(&genesis);
    let instance = instance(plan, hash);
    let receipt_run = network.finality(hash, &headers(RECEIPT_HEIGHT, 2, Digest([0xaa; 32])));
    let first = block(RECEIPT_HEIGHT, Digest([0xaa; 32]));
    let receipt = receipt(&instance, &moment(&first));
    let leaf = leaf_hash(to_jcs(&serde_json::to_value(&receipt).unwrap()).unwrap().as_bytes());
    let (anchor, path) = anchor(plan, &instance, leaf);
    let state_height = plan.state_height.unwrap_or(STATE_HEIGHT);
    let anchor = (!plan.unanchored).then_some(anchor);
    let (state_proof, root) = state(plan, &instance, anchor.as_ref());
    let state_run = network.finality(hash, &headers(state_height, 3, root));
    let signer = if plan.other_signer { AccountKey::from_bytes(&[9; 32]).unwrap() } else { instance.account };
    let signature = signer.sign_registration(&instance.registration, &instance.evidence);
    let document = ProofDocument {
        format: PROOF_FORMAT.to_owned(),
        request: BodySection::Whole { body: REQUEST.to_owned() },
        response: BodySection::Whole { body: RESPONSE.to_owned() },
        receipt,
        keyset: KeysetSection::new(&instance.subject, &instance.keyset),
        quote: QuoteSection { collateral: vec![instance.collateral.into()], evidence: instance.evidence.into() },
        registration: RegistrationSection::new(&instance.registration, &signature),
        anchor: (!plan.unanchored).then_some(AnchorSection { path }),
        state_proof,
        header: HeaderSection { receipt: hexed(receipt_run.headers), state: hexed(state_run.headers) },
        commitment: CommitmentSection {
            receipt: receipt_run.payload_head.into(),
            state: state_run.payload_head.into(),
        },
        finality: FinalitySection {
            genesis: genesis.to_canonical().into(),
            receipt: receipt_run.certificate.into(),
            state: state_run.certificate.into(),
        },
    };
    Made { document, network_key: network.key(), instance: instance.entry, app: instance.app, network }
}

impl Made {
    /// A header file for the same instance at a later height.
    pub(crate) fn header_file(&self, height: u64, closed_at: Option<u64>) -> HeaderDocument {
        let mut instance = self.instance.clone();
        instance.closed_at = closed_at;
        instance.closed_code = closed_at.map(|_| ClosedCode::Owner);
        let mut tree = TestTree::default();
        tree.entry(&EntryKey::Instance(instance.instance_id), &instance);
        tree.entry(&EntryKey::App(self.app.app_id), &self.app);
        let subject = &self.document.keyset.subject;
        let run: FinalityProof = self.network.finality(subject.genesis_hash, &headers(height, 1, tree.root()));
        HeaderDocument {
            app: proof(&tree, &EntryKey::App(self.app.app_id), &self.app),
            certificate: run.certificate.into(),
            denied: denied(&tree, &instance, &Plan::default()),
            format: HEADER_FORMAT.to_owned(),
            headers: hexed(run.headers),
            instance: proof(&tree, &EntryKey::Instance(instance.instance_id), &instance),
            payload_head: run.payload_head.into(),
        }
    }
}

fn hexed(headers: Vec<Vec<u8>>) -> Vec<freehold_verify::LowerHex> {
    headers.into_iter().map(Into::into).collect()
}

pub(crate) fn genesis(network: &Network) -> Genesis {
    Genesis {
        chain_id: network::CHAIN_ID,
        purpose: freehold_primitives::Purpose::Development,
        timestamp_ms: genesis_time() * 1000,
        epoch_s: 600,
        lease_s: 600,
        validators: Vec::new(),
        consensus_polynomial: Blob(network.key().0.to_vec()),
        derivation_polynomial: vec![network.key()],
        key_ceremony: KeyCeremony::TrustedDealer,
        trust_roots: vec![TrustRoot {
            domain: TrustDomain::Emulated,
            certificate: Blob(Platform::new(&DEVELOPMENT_SEED).root_certificate()),
        }],
        allocations: Vec::new(),
        membership: Membership::default(),
    }
}

/// The block at `height` on top of a parent that is fixed by the height; runs start with it.
pub(crate) fn block(height: u64, state_root: Digest) -> Header {
    Header {
        parent_hash: sha256(&height.to_be_bytes()).0.into(),
        number: height,
        timestamp: genesis_time() + height,
        state_root: state_root.0.into(),
        gas_limit: 60_000_000,
        base_fee_per_gas: Some(1_000_000_000),
        withdrawals_root: Some(Digest([1; 32]).0.into()),
        blob_gas_used: Some(0),
        excess_blob_gas: Some(0),
        parent_beacon_block_root: Some(Digest([2; 32]).0.into()),
        requests_hash: Some(Digest([3; 32]).0.into()),
        ..Header::default()
    }
}

pub(crate) fn moment(header: &Header) -> BlockMoment {
    BlockMoment { height: header.number, block_hash: Digest(header.hash_slow().0), time_unix_s: header.timestamp }
}

/// `count` headers from `height` on; the first has `state_root`.
pub(crate) fn headers(height: u64, count: u64, state_root: Digest) -> Vec<Header> {
    let mut run = vec![block(height, state_root)];
    for next in height + 1..height + count {
        let parent = run.last().unwrap().hash_slow();
        run.push(Header { parent_hash: parent, ..block(next, state_root) });
    }
    run
}

pub(crate) fn instance(plan: &Plan, genesis_hash: Digest) -> Instance {
    let account = AccountKey::from_bytes(&[7; 32]).unwrap();
    let receipt_key = Ed25519Secret::from_seed(&[8; 32]);
    let hpke = HpkeSecret::from_bytes(&[2; 32]);
    let subject = SubjectBody {
        chain_id: network::CHAIN_ID,
        genesis_hash,
        app_id: AppId::new([5; 20]),
        provider: Account([6; 20]),
        account: account.account(),
        transport_key: G1Point([4; 48]),
        config_digest: Digest([3; 32]),
    };
    let keyset = keyset(&subject, &receipt_key, &hpke);
    let nonce = Digest([0x77; 32]);
    let image = AppImage { executable: Digest([2; 32]), arguments: vec!["serve".to_owned()], model: None };
    let td = TdReport::launch(&Digest([1; 32]), &image);
    let platform = Platform::new(&DEVELOPMENT_SEED);
    let quoted = if plan.stale_quote { Digest([0x78; 32]) } else { nonce };
    let evidence = platform.quote_v4(&td, &report_data(&keyset_digest(&keyset), Some(&quoted)));
    let collateral = platform.collateral(genesis_time());
    let mut measurement = td.measurement();
    if plan.other_measurement {
        measurement.mrtd.0[0] ^= 1;
    }
    let app = app(plan, &subject, development_policy(measurement));
    let registration = Registration {
        subject: subject.clone(),
        keyset: keyset.clone(),
        nonce_height: 8,
        nonce,
        evidence_kind: EvidenceKind::Tdx,
        trust_domain: TrustDomain::Emulated,
        family: freehold_emulator::FMSPC,
        lease_s: 600,
    };
    let roots = [TrustRoot { domain: TrustDomain::Emulated, certificate: Blob(platform.root_certificate()) }];
    let shown = Evidence { kind: EvidenceKind::Tdx, bytes: &evidence, collateral: &[&collateral] };
    let claims = freehold_attestation::claims(&shown, &roots, genesis_time() + 10).unwrap();
    let entry = InstanceEntry {
        instance_id: keyset.subject,
        app_id: subject.app_id,
        app_version: 1,
        provider: subject.provider,
        account: subject.account,
        transport_key: subject.transport_key,
        keyset_digest: keyset_digest(&keyset),
        keyset_not_after: keyset.not_after,
        evidence_digest: content_digest(&evidence),
        collateral_digests: vec![content_digest(&collateral)],
        nonce_height: 8,
        nonce,
        judged_at_unix_s: genesis_time() + 10,
        evidence_kind: EvidenceKind::Tdx,
        trust_domain: TrustDomain::Emulated,
        measurement: Measurement::Tdx(td.measurement()),
        tcb_status: claims.tcb_status(),
        tcb_level: claims.tcb_level(),
        tcb_level_lowest: if plan.earlier_level { Some(TcbLevel::Dated(EARLIER_DATE)) } else { claims.tcb_level() },
        tier: 1,
        platform: claims.platform(),
        family: claims.family(),
        gpus: Vec::new(),
        opened_at: plan.opened_at.unwrap_or(10),
        renewed_at: 10,
        expires_at: plan.expires_at.unwrap_or(genesis_time() + 600),
        closed_at: plan.closed_at,
        closed_code: plan.closed_at.map(|_| ClosedCode::Denied),
    };
    Instance { account, receipt_key, hpke, td, subject, keyset, evidence, collateral, registration, entry, app }
}

fn keyset(subject: &SubjectBody, receipt_key: &Ed25519Secret, hpke: &HpkeSecret) -> Keyset {
    Keyset {
        subject: subject_digest(subject),
        not_after: genesis_time() + 30 * 86_400,
        receipt_key: receipt_key.public(),
        hpke_key: hpke.public(),
        tls_keys: vec![TlsKey { domain: "api.example.com".to_owned(), spki_sha256: Digest([1; 32]) }],
    }
}

fn app(plan: &Plan, subject: &SubjectBody, evidence: freehold_primitives::EvidencePolicy) -> AppEntry {
    AppEntry {
        app_id: subject.app_id,
        owner: Account([9; 20]),
        version: 1,
        policy: AppPolicy {
            evidence,
            lease_s_max: 600,
            boot_contexts: vec!["root".to_owned()],
            ..AppPolicy::default()
        },
        opened_at: 5,
        changed_at: 6,
        closed_at: plan.app_closed_at,
    }
}

fn receipt(instance: &Instance, named: &BlockMoment) -> Receipt {
    let hash = |text: &str| format!("sha256:{}", sha256(text.as_bytes()));
    let mut receipt = Receipt {
        api_version: ACI_VERSION.to_owned(),
        receipt_id: "rcpt-1".to_owned(),
        chat_id: Some("chatcmpl-1".to_owned()),
        model: None,
        workload_keyset_digest: format!("sha256:{}", keyset_digest(&instance.keyset)),
        endpoint: "/v1/chat/completions".to_owned(),
        method: "POST".to_owned(),
        served_at: named.time_unix_s + 1,
        event_log: vec![
            Event::RequestReceived { body_hash: hash(REQUEST) },
            Event::Model {
                name: "SmolLM2-135M-Instruct".to_owned(),
                weights_sha256: Digest([0x10; 32]),
                tokenizer_sha256: Digest([0x11; 32]),
                template_sha256: Digest([0x12; 32]),
                quantisation: "Q8_0".to_owned(),
                converted_sha256: None,
            },
            Event::Engine {
                name: "candle".to_owned(),
                build: "0.11.1".to_owned(),
                kernel_tier: "avx2".to_owned(),
                threads: 2,
                profile: None,
                sampling: Sampling { temperature_milli: 0, top_p_milli: 1000, top_k: 0, seed: 0, max_tokens: 64 },
            },
            Event::Transport { encryption: "ehbp".to_owned(), request_hash: Some(hash("c")), response_hash: None },
            Event::Stream { interval_tokens: 16, hashes: vec![Digest([0x13; 32]), Digest([0x14; 32])], tokens: 20 },
            Event::ResponseReturned { body_hash: hash(RESPONSE) },
            Event::Chain {
                height: named.height,
                block_hash: named.block_hash,
                time_unix_s: named.time_unix_s,
                sequence: 2,
                previous: Digest([0x15; 32]),
                instance: instance.keyset.subject,
            },
        ],
        key_id: RECEIPT_KEY_ID.to_owned(),
        signature: String::new(),
    };
    let mut value = serde_json::to_value(&receipt).unwrap();
    value.as_object_mut().unwrap().remove("signature");
    receipt.signature = hex::encode(instance.receipt_key.sign(to_jcs(&value).unwrap().as_bytes()));
    receipt
}

fn anchor(plan: &Plan, instance: &Instance, leaf: Digest) -> (AnchorEntry, Vec<Digest>) {
    let mut log = MerkleTree::new();
    for other in [leaf_hash(b"0"), leaf_hash(b"1"), leaf, leaf_hash(b"3"), leaf_hash(b"4")] {
        log.push(other);
    }
    let instance_id = instance.keyset.subject;
    let entry = AnchorEntry {
        instance_id,
        index: 3,
        size: 5,
        root: log.root(),
        anchored_by: if plan.adopted { Digest([0x66; 32]) } else { instance_id },
        height: ANCHOR_HEIGHT,
        time_unix_s: genesis_time() + ANCHOR_HEIGHT,
    };
    (entry, log.inclusion_path(2, 5).unwrap())
}

/// The deny entry of an app, or of the chain, against one of the instance's subjects.
fn deny_entry(plan: &Plan, instance: &InstanceEntry, app_id: AppId, kind: DenySubject) -> (EntryKey, DenyEntry) {
    let subjects = instance.deny_subjects();
    let subject = subjects.into_iter().find(|(known, _)| *known == kind).unwrap().1;
    let key = EntryKey::Deny(app_id, kind, subject.clone());
    let level = match kind {
        DenySubject::TcbLevel if plan.earlier_level => Some(TcbLevel::Dated(EARLIER_DATE)),
        DenySubject::TcbLevel => instance.tcb_level,
        _ => None,
    };
    let lifted_at = plan.lifted_at.filter(|_| app_id == AppId::CHAIN);
    let since = plan.denied_since.unwrap_or(44);
    let denials = vec![Denial { level, reason: 2, since, lifted_at }];
    (key, DenyEntry { app_id, subject_kind: kind, subject: Blob(subject), denials })
}

/// Who denies what by the plan.
fn deniers(plan: &Plan, instance: &InstanceEntry) -> Vec<(AppId, DenySubject)> {
    let of = |app: AppId, kinds: &[DenySubject]| kinds.iter().map(move |kind| (app, *kind)).collect::<Vec<_>>();
    [of(instance.app_id, &plan.denied), of(AppId::CHAIN, &plan.denied_by_chain)].concat()
}

/// The state of the chain: the instance, its app, its anchor, and leaves of others.
pub(crate) fn state_tree(plan: &Plan, instance: &Instance, anchor: Option<&AnchorEntry>) -> TestTree {
    let entry = &instance.entry;
    let mut tree = TestTree::default();
    tree.entry(&EntryKey::Instance(entry.instance_id), entry);
    tree.entry(&EntryKey::AppVersion(entry.app_id, 1), &opened(&instance.app));
    tree.entry(&EntryKey::App(entry.app_id), &instance.app);
    if let Some(anchor) = anchor {
        tree.entry(&EntryKey::Anchor(entry.instance_id, anchor.index), anchor);
    }
    for (app, kind) in deniers(plan, entry) {
        let (key, denied) = deny_entry(plan, entry, app, kind);
        tree.entry(&key, &denied);
    }
    if let Some(promise) = &plan.promise {
        promise.put(&mut tree, &instance.app);
    }
    tree.fill(11);
    tree
}

fn opened(app: &AppEntry) -> AppEntry {
    AppEntry { closed_at: None, ..app.clone() }
}

fn state(plan: &Plan, instance: &Instance, anchor: Option<&AnchorEntry>) -> (StateProofSection, Digest) {
    let entry = &instance.entry;
    let tree = state_tree(plan, instance, anchor);
    let anchor_key = EntryKey::Anchor(entry.instance_id, 3);
    let section = StateProofSection {
        anchor: anchor.map(|anchor| proof(&tree, &anchor_key, anchor)),
        app: proof(&tree, &EntryKey::App(entry.app_id), &instance.app),
        app_version: proof(&tree, &EntryKey::AppVersion(entry.app_id, 1), &opened(&instance.app)),
        denied: denied(&tree, entry, plan),
        height: plan.state_height.unwrap_or(STATE_HEIGHT),
        instance: proof(&tree, &EntryKey::Instance(entry.instance_id), entry),
        promise: plan.promise.as_ref().map(|promise| promise.proof(&tree, &instance.app)),
    };
    (section, tree.root())
}

fn denied(tree: &TestTree, instance: &InstanceEntry, plan: &Plan) -> Vec<OptionalEntryProof> {
    let deniers = deniers(plan, instance);
    let one = |(app, kind, _): (AppId, DenySubject, Vec<u8>)| {
        let (key, entry) = deny_entry(plan, instance, app, kind);
        OptionalEntryProof {
            content: deniers.contains(&(app, kind)).then(|| entry.to_canonical().into()),
            proof: tree.prove(&key).into(),
        }
    };
    instance.deny_entries().into_iter().map(one).collect()
}

fn proof<T: Canonical>(tree: &TestTree, key: &EntryKey, entry: &T) -> EntryProof {
    EntryProof { content: entry.to_canonical().into(), proof: tree.prove(key).into() }
}
