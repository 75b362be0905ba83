//! Rotation of contexts by hand and by age, what is granted then, and the count of grants.
#![allow(clippy::unwrap_used)]

use crate::registry::{Draft, IKeys, INSTANCE, OWNER, Refused, Registry, assert_refused, module, policy};
use alloy_sol_types::SolCall as _;
use freehold_crypto::slots;
use freehold_ledger::{ModuleRefusal, PayloadRefusal, Status, TurnFault, check_payload};
use freehold_primitives::{
    Blob, Digest, NetworkKey,
    entries::{EntryKind, GrantEntry, KeyContextEntry},
    succession_body,
};

/// An app that no test here opens.
const NOBODY: u8 = 7;

struct Keyed {
    registry: Registry,
    draft: Draft,
}

impl Keyed {
    /// An app with the contexts `root` and `disk`, and one instance of it, whose account has money.
    fn new() -> Self {
        let contexts = vec!["root".to_owned(), "disk".to_owned()];
        let mut registry = Registry::with(freehold_primitives::AppPolicy { boot_contexts: contexts, ..policy() });
        let draft = Draft { value: 10_u128.pow(18), ..registry.draft(INSTANCE) };
        registry.register(&draft).unwrap();
        Self { registry, draft }
    }

    fn keys(&mut self, from: u8, call: impl alloy_sol_types::SolCall) -> Result<(), Refused> {
        self.registry.send(from, module(slots::KEYS), call, 0).map(|_| ())
    }

    fn rule(&mut self, from: u8, max_age_s: u64, keep_s: u64) -> Result<(), Refused> {
        let app = self.registry.app.as_bytes().into();
        self.keys(from, IKeys::setContextCall { app, context: "root".to_owned(), maxAgeS: max_age_s, keepS: keep_s })
    }

    fn rotate(&mut self, from: u8) -> Result<(), Refused> {
        let app = self.registry.app.as_bytes().into();
        self.keys(from, IKeys::rotateCall { app, context: "root".to_owned() })
    }

    fn retire(&mut self, from: u8) -> Result<(), Refused> {
        let app = self.registry.app.as_bytes().into();
        self.keys(from, IKeys::retireCall { app, context: "root".to_owned() })
    }

    fn request(&mut self) -> Result<(), Refused> {
        self.keys(INSTANCE, IKeys::requestCall { context: "root".to_owned() })
    }

    fn context(&self) -> Option<KeyContextEntry> {
        self.registry.entry(EntryKind::KeyContext, &slots::key_context_id(&self.registry.app, "root"))
    }

    fn grant(&self, generation: u32) -> Option<GrantEntry> {
        let id = slots::grant_id(&self.draft.instance_id(), "root", generation);
        self.registry.entry(EntryKind::Grant, id.as_bytes())
    }

    fn listed(&self) -> Vec<Digest> {
        let call = IKeys::grantsCall { instance: self.draft.instance_id().0.into() };
        let outcome = self.registry.view(module(slots::KEYS), call);
        let ids = IKeys::grantsCall::abi_decode_returns(&outcome.output).unwrap();
        ids.into_iter().map(|id| Digest(id.0)).collect()
    }

    /// Grants ever made, and live ones.
    fn count(&self) -> (u64, u64) {
        let app = self.registry.app.as_bytes().into();
        let outcome = self.registry.view(module(slots::KEYS), IKeys::grantCountCall { app });
        assert_eq!(outcome.status, Status::Success);
        let count = IKeys::grantCountCall::abi_decode_returns(&outcome.output).unwrap();
        (count.made, count.live)
    }

    fn pass(&mut self, seconds: u64) {
        self.registry.chain.time_ms += seconds * 1_000;
        self.registry.chain.block(Vec::new());
    }
}

#[test]
fn the_owner_rotates_and_the_generation_before_is_kept_and_then_ends() {
    let mut keyed = Keyed::new();
    assert_eq!((keyed.context(), keyed.count()), (None, (2, 2)));
    keyed.rule(OWNER, 0, 100).unwrap();
    keyed.rotate(OWNER).unwrap();
    let context = keyed.context().unwrap();
    let until = context.previous_until;
    assert_eq!((context.generation, until), (1, context.begun_at + 100));
    assert!(context.serves(1, until) && context.serves(0, until - 1) && !context.serves(0, until));
    assert!(!context.serves(2, 0));

    // Nothing is granted until somebody asks; then both are, the older one for as long as it is kept.
    assert_eq!(keyed.grant(1), None);
    keyed.request().unwrap();
    let (newest, before) = (keyed.grant(1).unwrap(), keyed.grant(0).unwrap());
    assert!(newest.closed_at.is_none() && before.closed_at.is_none());
    assert_eq!((before.until, newest.transport_key), (until.min(newest.until), before.transport_key));
    assert_eq!(keyed.count(), (3, 3));

    // Two rotations in a row would cut off what is under the first.
    assert_refused(keyed.rotate(OWNER), ModuleRefusal::ContextRotationRuns);
    keyed.pass(101);
    keyed.rotate(OWNER).unwrap();
    keyed.request().unwrap();
    // Generation 0 is closed and listed no more; 1 is kept, 2 is new.
    assert!(keyed.grant(0).unwrap().closed_at.is_some());
    assert!(keyed.grant(1).unwrap().closed_at.is_none() && keyed.grant(2).unwrap().closed_at.is_none());
    assert!(!keyed.listed().contains(&keyed.grant(0).unwrap().grant_id));
    assert_eq!((keyed.listed().len(), keyed.count()), (3, (4, 3)));

    // Retired by hand: at once, and the next rotation is free.
    keyed.retire(OWNER).unwrap();
    let context = keyed.context().unwrap();
    assert!(!context.serves(1, context.begun_at));
    assert_refused(keyed.retire(OWNER), ModuleRefusal::Unknown);
    keyed.rotate(OWNER).unwrap();
}

#[test]
fn a_rotation_without_keeping_ends_the_generation_at_once() {
    let mut keyed = Keyed::new();
    keyed.rotate(OWNER).unwrap();
    let context = keyed.context().unwrap();
    assert_eq!((context.generation, context.previous_until), (1, 0));
    assert!(!context.serves(0, 0));
    keyed.request().unwrap();
    assert!(keyed.grant(0).unwrap().closed_at.is_some());
    assert!(keyed.grant(1).unwrap().closed_at.is_none());
}

#[test]
fn age_rotates_at_the_next_renewal_or_by_anybodys_hand() {
    let mut keyed = Keyed::new();
    keyed.rule(OWNER, 120, 30).unwrap();
    assert_refused(keyed.rotate(NOBODY), ModuleRefusal::NotOwner);
    keyed.pass(121);
    // The renewal finds the generation due, and receives both.
    let renewal = Draft { value: 0, ..keyed.registry.renewal(&keyed.draft) };
    keyed.registry.register(&renewal).unwrap();
    assert_eq!(keyed.context().unwrap().generation, 1);
    let (before, context) = (keyed.grant(0).unwrap(), keyed.context().unwrap());
    assert_eq!((before.until, before.closed_at), (context.previous_until, None));
    assert!(keyed.grant(1).unwrap().closed_at.is_none());

    // Not due again before its time, then for anybody.
    keyed.pass(60);
    assert_refused(keyed.rotate(NOBODY), ModuleRefusal::NotOwner);
    keyed.pass(61);
    keyed.rotate(NOBODY).unwrap();
    assert_eq!(keyed.context().unwrap().generation, 2);
}

#[test]
fn only_the_owner_sets_rules_and_only_for_listed_contexts_of_open_apps() {
    let mut keyed = Keyed::new();
    assert_refused(keyed.rule(NOBODY, 1, 1), ModuleRefusal::NotOwner);
    assert_refused(keyed.rule(INSTANCE, 1, 1), ModuleRefusal::NotOwner);
    assert_refused(keyed.retire(NOBODY), ModuleRefusal::NotOwner);
    assert_refused(keyed.retire(OWNER), ModuleRefusal::Unknown);
    let app = keyed.registry.app.as_bytes().into();
    let other = IKeys::rotateCall { app, context: "other".to_owned() };
    assert_refused(keyed.keys(OWNER, other), ModuleRefusal::Context);
    let unknown = freehold_primitives::AppId::new([0x77; 20]).as_bytes().into();
    let call = IKeys::rotateCall { app: unknown, context: "root".to_owned() };
    assert_refused(keyed.keys(OWNER, call), ModuleRefusal::AppUnknown);
    let chain = IKeys::rotateCall { app: [0; 21].into(), context: "root".to_owned() };
    assert_refused(keyed.keys(OWNER, chain), ModuleRefusal::AppUnknown);
    // A rule so long that times overflow is no trouble.
    keyed.rule(OWNER, u64::MAX, u64::MAX).unwrap();
    keyed.rotate(OWNER).unwrap();
    assert_eq!(keyed.context().unwrap().previous_until, u64::MAX);
    keyed.request().unwrap();
}

#[test]
fn another_instance_gets_nothing_of_a_retired_generation() {
    let mut keyed = Keyed::new();
    keyed.rotate(OWNER).unwrap();
    let second = keyed.registry.draft(INSTANCE + 1);
    keyed.registry.register(&second).unwrap();
    let grant = |generation| {
        let id = slots::grant_id(&second.instance_id(), "root", generation);
        keyed.registry.entry::<GrantEntry>(EntryKind::Grant, id.as_bytes())
    };
    assert!(grant(0).is_none());
    assert_eq!(grant(1).unwrap().transport_key, second.registration.subject.transport_key);
}

/// `spec/succession.md` §4: as long as no key waits, nobody can have one signed.
#[test]
fn a_body_that_names_a_network_key_gets_no_vote() {
    let mut keyed = Keyed::new();
    let chain = &mut keyed.registry.chain;
    let mut payload = chain.payload(Vec::new());
    payload.body = Blob(succession_body(&NetworkKey([5; 96])));
    payload.head.body = freehold_crypto::body_digest(&payload.body.0);
    assert_eq!(check_payload(&chain.ctx, &payload), Err(PayloadRefusal::Turn(TurnFault::Succession)));
}
