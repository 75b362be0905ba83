//! An app, an emulated machine and instances on a chain of one test.
#![allow(clippy::too_many_arguments, reason = "generated from Solidity by alloy")]
#![allow(dead_code, missing_docs, clippy::unwrap_used, clippy::expect_used, unreachable_pub)]

use alloy_primitives::{Address, Bytes};
use alloy_sol_types::{SolCall, sol};
use freehold_attestation::{Refusal, development_policy};
use freehold_crypto::{AccountKey, keyset_digest, registration_digest, report_data, slots, subject_digest};
use freehold_emulator::{AppImage, DEVELOPMENT_SEED, FMSPC, Platform, TdReport};
use freehold_ledger::{ExecutedBlock, ModuleRefusal, Outcome, Status, read_entry, to_address};
use freehold_primitives::{
    AppId, AppPolicy, Blob, Canonical, Digest, Ed25519Key, EvidenceKind, G1Point, Keyset, Measurement, Register,
    Registration, SubjectBody, TdxMeasurement, TrustDomain, TrustRoot, X25519Key,
    entries::{CollateralKind, EntryKind, InstanceEntry, collateral_key as key_of},
};

use crate::common::{Chain, Fields, address, genesis, key};

sol!("../../contracts/interfaces/IApps.sol");
sol!("../../contracts/interfaces/IKeys.sol");
sol!("../../contracts/interfaces/ILog.sol");
sol!("../../contracts/interfaces/ICollateral.sol");
sol!("../../contracts/interfaces/IValidators.sol");

/// Owner of the app.
pub(crate) const OWNER: u8 = 1;
/// Provider that registers.
pub(crate) const PROVIDER: u8 = 2;
/// Account of the first instance.
pub(crate) const INSTANCE: u8 = 0x21;

pub(crate) fn module(account: freehold_primitives::Account) -> Address {
    to_address(&account)
}

pub(crate) fn platform() -> Platform {
    Platform::new(&DEVELOPMENT_SEED)
}

pub(crate) fn app_image() -> AppImage {
    AppImage { executable: Digest([2; 32]), arguments: vec!["serve".to_owned()], model: None }
}

pub(crate) fn report() -> TdReport {
    TdReport::launch(&Digest([1; 32]), &app_image())
}

/// A chain that trusts the emulator.
pub(crate) fn emulated_chain() -> Chain {
    let certificate = Blob(platform().root_certificate());
    Chain::new(genesis(vec![TrustRoot { domain: TrustDomain::Emulated, certificate }]))
}

/// The registers that the emulated TD shows.
pub(crate) fn registers() -> TdxMeasurement {
    let quote = platform().quote_v4(&report(), &[0; 64]);
    freehold_attestation::tdx::UnverifiedTdx::read(&quote).unwrap().measurement().clone()
}

/// The same, as entries record them.
pub(crate) fn shown() -> Measurement {
    Measurement::Tdx(registers())
}

pub(crate) fn policy() -> AppPolicy {
    AppPolicy {
        evidence: development_policy(registers()),
        lease_s_max: 500,
        boot_contexts: vec!["root".to_owned()],
        ..AppPolicy::default()
    }
}

pub(crate) fn collateral_key() -> Vec<u8> {
    key_of(TrustDomain::Emulated, &FMSPC).to_vec()
}

/// A registration before it is signed, with everything that may be wrong about it.
#[derive(Clone)]
pub(crate) struct Draft {
    pub(crate) registration: Registration,
    pub(crate) evidence: Vec<u8>,
    pub(crate) signer: u8,
    pub(crate) sender: u8,
    pub(crate) value: u128,
}

impl Draft {
    /// Quotes again, after a change that evidence must bind.
    pub(crate) fn quoted(mut self) -> Self {
        let keyset = &mut self.registration.keyset;
        keyset.subject = subject_digest(&self.registration.subject);
        let bound = report_data(&keyset_digest(keyset), Some(&self.registration.nonce));
        self.evidence = platform().quote_v4(&report(), &bound);
        self
    }

    pub(crate) fn instance_id(&self) -> Digest {
        subject_digest(&self.registration.subject)
    }
}

/// A chain with collateral and an app.
pub(crate) struct Registry {
    pub(crate) chain: Chain,
    pub(crate) app: AppId,
}

impl Registry {
    pub(crate) fn new() -> Self {
        Self::with(policy())
    }

    pub(crate) fn with(policy: AppPolicy) -> Self {
        Self::on(emulated_chain(), policy)
    }

    /// On a chain that trusts the emulator.
    pub(crate) fn on(chain: Chain, policy: AppPolicy) -> Self {
        let mut registry = Self { chain, app: AppId::new([0; 20]) };
        let now = registry.chain.time_ms / 1000;
        registry.submit(platform().collateral(now)).unwrap();
        let create = IApps::createCall { scheme: 1, policy: policy.to_canonical().into() };
        let nonce = registry.chain.nonce(&key(OWNER));
        registry.app = freehold_crypto::app_id_from_creator_nonce(&key(OWNER).account(), nonce);
        registry.apps(OWNER, create).unwrap();
        registry
    }

    pub(crate) fn submit(&mut self, document: Vec<u8>) -> Result<ExecutedBlock, Refused> {
        self.submit_of(CollateralKind::Dcap, collateral_key(), document)
    }

    /// Submits collateral of any kind under a key.
    pub(crate) fn submit_of(
        &mut self,
        kind: CollateralKind,
        key: Vec<u8>,
        document: Vec<u8>,
    ) -> Result<ExecutedBlock, Refused> {
        let call = ICollateral::submitCall { kind: kind as u8, key: key.into(), document: document.into() };
        self.send(3, module(slots::COLLATERAL), call, 0)
    }

    /// Calls `Apps` in a transaction.
    pub(crate) fn apps(&mut self, from: u8, call: impl SolCall) -> Result<ExecutedBlock, Refused> {
        self.send(from, module(slots::APPS), call, 0)
    }

    /// Sends a transaction in a block of its own; a revert is read as a refusal.
    pub(crate) fn send(
        &mut self,
        from: u8,
        to: Address,
        call: impl SolCall,
        value: u128,
    ) -> Result<ExecutedBlock, Refused> {
        let key = key(from);
        let fields = Fields {
            to: Some(to),
            value,
            data: call.abi_encode().into(),
            nonce: self.chain.nonce(&key),
            gas: 16_000_000,
            ..Fields::default()
        };
        let transaction = self.chain.sign_with(&key, fields);
        let block = self.chain.block(vec![transaction]);
        assert_eq!(block.skipped, vec![], "the transaction stands in the block");
        let receipt = &block.receipts[0];
        if receipt.envelope.status() { Ok(block) } else { Err(Refused(ModuleRefusal::from_revert(&receipt.output))) }
    }

    pub(crate) fn view(&self, to: Address, call: impl SolCall) -> Outcome {
        self.chain.call(address(&key(9)), to, call.abi_encode())
    }

    /// A good registration of an instance whose account has this seed.
    pub(crate) fn draft(&self, seed: u8) -> Draft {
        let tip = self.chain.tip();
        let subject = SubjectBody {
            chain_id: self.chain.ctx.chain_id(),
            genesis_hash: self.chain.ctx.genesis_hash(),
            app_id: self.app,
            provider: key(PROVIDER).account(),
            account: key(seed).account(),
            transport_key: G1Point([seed; 48]),
            config_digest: Digest([seed; 32]),
        };
        let keyset = Keyset {
            subject: subject_digest(&subject),
            not_after: self.chain.time_ms / 1000 + 30 * 86_400,
            receipt_key: Ed25519Key([seed; 32]),
            hpke_key: X25519Key([seed; 32]),
            tls_keys: Vec::new(),
        };
        let registration = Registration {
            subject,
            keyset,
            nonce_height: tip.number,
            nonce: Digest(tip.hash_slow().0),
            evidence_kind: EvidenceKind::Tdx,
            trust_domain: TrustDomain::Emulated,
            family: FMSPC,
            lease_s: 300,
        };
        Draft { registration, evidence: Vec::new(), signer: seed, sender: PROVIDER, value: 0 }.quoted()
    }

    /// The next registration of an instance: same keys, fresh nonce and evidence.
    pub(crate) fn renewal(&self, before: &Draft) -> Draft {
        let tip = self.chain.tip();
        let mut draft = before.clone();
        draft.registration.nonce_height = tip.number;
        draft.registration.nonce = Digest(tip.hash_slow().0);
        draft.quoted()
    }

    pub(crate) fn register(&mut self, draft: &Draft) -> Result<ExecutedBlock, Refused> {
        let signature = sign(&key(draft.signer), draft);
        self.register_raw(draft, draft.registration.to_canonical(), signature)
    }

    pub(crate) fn register_raw(
        &mut self,
        draft: &Draft,
        registration: Vec<u8>,
        signature: Vec<u8>,
    ) -> Result<ExecutedBlock, Refused> {
        let call = IApps::registerCall {
            registration: registration.into(),
            evidence: draft.evidence.clone().into(),
            signature: signature.into(),
        };
        self.send(draft.sender, module(slots::APPS), call, draft.value)
    }

    pub(crate) fn entry<T: Canonical>(&self, kind: EntryKind, id: &[u8]) -> Option<T> {
        read_entry(kind, id, &self.chain.state, &self.chain.content).unwrap()
    }

    pub(crate) fn instance(&self, id: &Digest) -> InstanceEntry {
        self.entry(EntryKind::Instance, id.as_bytes()).unwrap()
    }

    pub(crate) fn is_authorized(&self, seed: u8) -> bool {
        let caller = address(&key(seed));
        let outcome =
            self.view(module(slots::APPS), IApps::isAuthorizedCall { id: self.app.as_bytes().into(), caller });
        assert_eq!(outcome.status, Status::Success);
        IApps::isAuthorizedCall::abi_decode_returns(&outcome.output).unwrap()
    }

    pub(crate) fn update(&mut self, policy: &AppPolicy) -> Result<ExecutedBlock, Refused> {
        let policy = Bytes::from(policy.to_canonical());
        self.apps(OWNER, IApps::updateCall { app: self.app.as_bytes().into(), policy })
    }

    pub(crate) fn deny(&mut self, kind: u8, subject: &[u8]) -> Result<ExecutedBlock, Refused> {
        let subject = Bytes::copy_from_slice(subject);
        self.apps(OWNER, IApps::denyCall { app: self.app.as_bytes().into(), kind, subject, reason: 1 })
    }
}

pub(crate) fn sign(key: &AccountKey, draft: &Draft) -> Vec<u8> {
    key.sign(&registration_digest(&draft.registration.to_canonical(), &draft.evidence)).to_vec()
}

/// A refusal by a module; `None` where the transaction failed without one.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Refused(pub(crate) Option<(ModuleRefusal, Option<Refusal>)>);

/// Asserts the refusal by its code.
pub(crate) fn assert_refused<T>(result: Result<T, Refused>, refusal: ModuleRefusal) {
    let found = result.err().expect("it is refused").0.expect("it is refused with a code");
    assert_eq!(found.0, refusal);
}

pub(crate) fn other_register() -> Register {
    Register([9; 48])
}
