//! Wrong shares of keys: what proves one, and what does not.

use alloy_primitives::U256;
use alloy_sol_types::SolEvent as _;
use freehold_crypto::{
    Derivation, Share, StateRootKey, TransportSecret, encrypt_share, share_message, slots, state_grant_id,
    subject_digest,
};
use freehold_ledger::{ExecutedBlock, ModuleRefusal};
use freehold_primitives::{
    AppPolicy, Blob, Canonical as _, Digest, Ed25519Signature, G1Point, NetworkKey, ShareReport, StateShare,
    entries::{GrantEntry, ValidatorState},
};
use rand::{SeedableRng as _, rngs::StdRng};

use crate::{
    common::Chain,
    registry::{Draft, INSTANCE, IValidators, Refused, Registry, assert_refused, emulated_chain, policy},
    validators::net::{BOND, FOUNDERS, Net, genesis_of, identity, secret, validators},
};

/// Who reports.
const REPORTER: u8 = 9;
/// The validator that lies.
const LIAR: u8 = 3;

/// A chain whose master's polynomial is a constant, so that the test knows every validator's share of it; an app's instance
/// on it.
struct Shared {
    registry: Registry,
    instance: Digest,
    grant: Digest,
    transport_key: G1Point,
}

fn share(member: u32, scalar: u8) -> Share {
    Share::from_bytes(member, &[scalar; 32]).unwrap()
}

impl Shared {
    fn new() -> Self {
        let mut genesis = genesis_of(&FOUNDERS);
        genesis.trust_roots = emulated_chain().ctx.genesis().trust_roots.clone();
        genesis.membership.term_blocks = 16;
        genesis.derivation_polynomial = vec![share(0, 7).public()];
        let policy = AppPolicy { boot_contexts: vec!["root".to_owned()], ..policy() };
        let mut registry = Registry::on(Chain::new(genesis), policy);
        let transport_key = TransportSecret::generate(&mut StdRng::seed_from_u64(1)).public();
        let mut draft = registry.draft(INSTANCE);
        draft.registration.subject.transport_key = transport_key;
        draft.registration.keyset.subject = subject_digest(&draft.registration.subject);
        let draft: Draft = draft.quoted();
        registry.register(&draft).unwrap();
        let instance = draft.instance_id();
        Self { registry, instance, grant: slots::grant_id(&instance, "root", 0), transport_key }
    }

    fn master(&self) -> NetworkKey {
        self.registry.chain.ctx.genesis().derivation_polynomial[0]
    }

    fn member(&self, seed: u8) -> u32 {
        let members = &self.registry.chain.ctx.genesis().validators;
        u32::try_from(members.iter().position(|member| *member == identity(seed)).unwrap()).unwrap()
    }

    /// A member's share with this scalar, of a key.
    fn encrypted(&self, member: u32, scalar: u8, derivation: &Derivation) -> Vec<u8> {
        let mut rng = StdRng::seed_from_u64(2);
        encrypt_share(&share(member, scalar), derivation, &self.transport_key, &mut rng).unwrap().to_bytes().to_vec()
    }

    fn derivation(&self) -> Derivation {
        let grant: GrantEntry =
            self.registry.entry(freehold_primitives::entries::EntryKind::Grant, self.grant.as_bytes()).unwrap();
        Derivation::new(&self.master(), &grant.app_id, &grant.context, grant.generation).unwrap()
    }

    /// A report of a share that the liar signed.
    fn report(&self, bytes: Vec<u8>) -> ShareReport {
        let (member, signature) = (self.member(LIAR), Ed25519Signature::ZERO);
        let report =
            ShareReport { term: 0, master: 0, member, grant: self.grant, state: None, share: Blob(bytes), signature };
        self.signed(LIAR, report)
    }

    fn signed(&self, seed: u8, report: ShareReport) -> ShareReport {
        let genesis = self.registry.chain.ctx.genesis_hash();
        let message = share_message(&genesis, (report.term, report.master), &report.grant, &report.share.0);
        ShareReport { signature: Ed25519Signature(secret(seed).sign(&message)), ..report }
    }

    fn send(&mut self, report: &ShareReport) -> Result<ExecutedBlock, Refused> {
        self.send_bytes(report.to_canonical())
    }

    fn send_bytes(&mut self, report: Vec<u8>) -> Result<ExecutedBlock, Refused> {
        let call = IValidators::reportWrongShareCall { report: report.into() };
        self.registry.send(REPORTER, validators(), call, 0)
    }

    fn state_of(self, seed: u8) -> ValidatorState {
        Net { chain: self.registry.chain }.state_of(seed)
    }
}

#[test]
fn a_signed_wrong_share_costs_the_bond_and_the_seat() {
    let mut shared = Shared::new();
    let (member, derivation) = (shared.member(LIAR), shared.derivation());
    let report = shared.report(shared.encrypted(member, 8, &derivation));
    let block = shared.send(&report).unwrap();
    let slashed = IValidators::Slashed::decode_log(&block.receipts[0].envelope.logs()[0]).unwrap();
    assert_eq!((slashed.identity.0, slashed.view_, slashed.term), (identity(LIAR).0, 0, 0));
    assert_eq!((slashed.amount, slashed.reward), (U256::from(BOND), U256::from(BOND / 8)));
    // Once for all that was done until then.
    assert_refused(shared.send(&report), ModuleRefusal::SlashedAlready);
    let garbage = shared.report(vec![1, 2, 3]);
    assert_refused(shared.send(&garbage), ModuleRefusal::SlashedAlready);
    assert_eq!(shared.state_of(LIAR), ValidatorState::Jailed);
}

#[test]
fn garbage_another_index_and_a_share_of_another_key_are_wrong_too() {
    let other = |shared: &Shared| {
        let app = shared.registry.app;
        Derivation::new(&shared.master(), &app, "root", 1).unwrap()
    };
    let lies: [fn(&Shared, Derivation) -> Vec<u8>; 3] = [
        |_, _| vec![0xab; 196],
        |shared, derivation| shared.encrypted(shared.member(LIAR) ^ 1, 7, &derivation),
        |shared, derivation| shared.encrypted(shared.member(LIAR), 7, &derivation),
    ];
    for (number, lie) in lies.into_iter().enumerate() {
        let mut shared = Shared::new();
        let derivation = if number == 2 { other(&shared) } else { shared.derivation() };
        let report = shared.report(lie(&shared, derivation));
        shared.send(&report).unwrap();
        assert_eq!(shared.state_of(LIAR), ValidatorState::Jailed, "lie {number}");
    }
}

#[test]
fn what_proves_nothing_is_refused() {
    let mut shared = Shared::new();
    let (member, derivation) = (shared.member(LIAR), shared.derivation());
    let right = shared.report(shared.encrypted(member, 7, &derivation));
    assert_refused(shared.send(&right), ModuleRefusal::ShareRight);
    let wrong = shared.report(shared.encrypted(member, 8, &derivation));
    // Another's signature, and a signature over something else.
    let by_another = shared.signed(4, wrong.clone());
    assert_refused(shared.send(&by_another), ModuleRefusal::ShareSignature);
    let changed = ShareReport { share: Blob(vec![1; 196]), ..wrong.clone() };
    assert_refused(shared.send(&changed), ModuleRefusal::ShareSignature);
    // What the chain does not know, although it is signed.
    let unknown = [
        ShareReport { term: 1, ..wrong.clone() },
        ShareReport { member: 4, ..wrong.clone() },
        ShareReport { master: 1, ..wrong.clone() },
        ShareReport { grant: Digest([5; 32]), ..wrong.clone() },
        ShareReport { state: Some(StateShare { instance: shared.instance, generation: 0 }), ..wrong.clone() },
    ];
    for report in unknown {
        let report = shared.signed(LIAR, report);
        assert_refused(shared.send(&report), ModuleRefusal::ShareUnknown);
    }
    let bytes = wrong.to_canonical();
    for cut in [&bytes[..bytes.len() - 1], &[]] {
        assert_refused(shared.send_bytes(cut.to_vec()), ModuleRefusal::ShareMalformed);
    }
    // The codes are those of the specification.
    let refusals = [
        ModuleRefusal::ShareMalformed,
        ModuleRefusal::ShareUnknown,
        ModuleRefusal::ShareSignature,
        ModuleRefusal::ShareRight,
    ];
    assert_eq!(refusals.map(ModuleRefusal::code), [251, 252, 253, 254]);
    assert_eq!(shared.state_of(LIAR), ValidatorState::Active);
}

#[test]
fn a_share_of_a_state_root_key_is_judged_by_the_instance_that_asked() {
    let mut shared = Shared::new();
    let state = StateShare { instance: shared.instance, generation: 2 };
    let derivation = StateRootKey::derivation(&shared.master(), 2).unwrap();
    let member = shared.member(LIAR);
    let of_state = |shared: &Shared, bytes| {
        let grant = state_grant_id(&state.instance, state.generation);
        let report = ShareReport { state: Some(state), grant, ..shared.report(bytes) };
        shared.signed(LIAR, report)
    };
    let right = of_state(&shared, shared.encrypted(member, 7, &derivation));
    assert_refused(shared.send(&right), ModuleRefusal::ShareRight);
    let wrong = of_state(&shared, shared.encrypted(member, 8, &derivation));
    shared.send(&wrong).unwrap();
    assert_eq!(shared.state_of(LIAR), ValidatorState::Jailed);
}
