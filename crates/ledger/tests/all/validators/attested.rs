//! Validators that are instances of the app that the genesis names.

use alloy_sol_types::SolCall;
use freehold_crypto::app_id_from_creator_nonce;
use freehold_ledger::{ExecutedBlock, ModuleRefusal};
use freehold_primitives::{
    Diversity, TrustDomain,
    entries::{TurnAct, ValidatorState},
};

use crate::{
    common::{Chain, address, key},
    registry::{IValidators, OWNER, PROVIDER, Refused, Registry, assert_refused, emulated_chain, policy},
    validators::net::{BOND, FOUNDERS, Net, acts, genesis_of, identities, identity, possession, validators},
};

/// Account of the first instance; its validator has the same seed.
const FIRST: u8 = 0x31;

/// A chain whose validators are instances of one app. The first of them belong to the provider.
fn registry(diversity: Diversity) -> Registry {
    let mut genesis = genesis_of(&FOUNDERS);
    genesis.trust_roots = emulated_chain().ctx.genesis().trust_roots.clone();
    genesis.membership.diversity = diversity;
    genesis.membership.term_blocks = 16;
    // The owner's first transaction creates it.
    genesis.membership.app = Some(app_id_from_creator_nonce(&key(OWNER).account(), 0));
    if diversity == Diversity::Waived {
        for seat in &mut genesis.membership.seats {
            seat.account = key(PROVIDER).account();
        }
    }
    // Instances hold coins, for their bonds.
    for seed in FIRST..FIRST + 6 {
        let allocation = genesis.allocations[0].clone();
        genesis.allocations.push(freehold_primitives::Allocation { account: key(seed).account(), ..allocation });
    }
    Registry::on(Chain::new(genesis), policy())
}

fn send(registry: &mut Registry, from: u8, call: impl SolCall, value: u128) -> Result<ExecutedBlock, Refused> {
    registry.send(from, validators(), call, value)
}

fn join(registry: &mut Registry, seed: u8) -> Result<ExecutedBlock, Refused> {
    let call = IValidators::joinCall {
        identity: identity(seed).0.into(),
        payee: address(&key(PROVIDER)),
        reachedAt: format!("10.0.0.{seed}:9000"),
        possession: possession(&registry.chain, seed, &key(seed).account()).into(),
    };
    send(registry, seed, call, BOND)
}

fn attest(registry: &mut Registry, seed: u8, instance: u8) -> Result<ExecutedBlock, Refused> {
    let possession = possession(&registry.chain, seed, &key(instance).account()).into();
    send(registry, instance, IValidators::attestCall { identity: identity(seed).0.into(), possession }, 0)
}

fn net(registry: Registry) -> Net {
    Net { chain: registry.chain }
}

#[test]
fn only_a_live_instance_of_the_app_joins() {
    let mut registry = registry(Diversity::Required);
    assert_refused(join(&mut registry, FIRST), ModuleRefusal::NotLive);
    let draft = registry.draft(FIRST);
    registry.register(&draft).unwrap();
    join(&mut registry, FIRST).unwrap();
    let id = draft.instance_id();
    let net = net(registry);
    let entry = net.validator(FIRST);
    assert_eq!((entry.instance_id, entry.vendor), (Some(id), Some(TrustDomain::Emulated)));
    assert_eq!((entry.operator, entry.account), (key(PROVIDER).account(), key(FIRST).account()));
}

#[test]
fn operator_acts_for_a_validator_whose_instance_is_gone_and_moves_it() {
    let mut registry = registry(Diversity::Waived);
    let first = registry.draft(FIRST);
    registry.register(&first).unwrap();
    join(&mut registry, FIRST).unwrap();
    // The instance ends; another one, with other keys, takes its place.
    registry.apps(FIRST, crate::registry::IApps::deregisterCall { instance: first.instance_id().0.into() }).unwrap();
    assert_refused(attest(&mut registry, FIRST, FIRST + 1), ModuleRefusal::NotLive);
    let second = registry.draft(FIRST + 1);
    registry.register(&second).unwrap();
    attest(&mut registry, FIRST, FIRST + 1).unwrap();
    send(&mut registry, PROVIDER, IValidators::resignCall { identity: identity(FIRST).0.into() }, 0).unwrap();
    let net = net(registry);
    let entry = net.validator(FIRST);
    assert_eq!((entry.account, entry.instance_id), (key(FIRST + 1).account(), Some(second.instance_id())));
    assert_eq!(entry.state, ValidatorState::Left);
}

#[test]
fn attested_replace_the_unattested_and_lapsed_ones_go() {
    let mut registry = registry(Diversity::Waived);
    for seed in [FIRST, FIRST + 1] {
        let draft = registry.draft(seed);
        registry.register(&draft).unwrap();
        join(&mut registry, seed).unwrap();
    }
    // One of the genesis' validators moves into an instance; the others did not.
    let draft = registry.draft(FIRST + 2);
    registry.register(&draft).unwrap();
    attest(&mut registry, 1, FIRST + 2).unwrap();
    let mut net = net(registry);
    let turn = net.next_term();
    assert!(net.players().contains(&identity(1)));
    let joined = [FIRST, FIRST + 1].iter().all(|seed| net.players().contains(&identity(*seed)));
    assert!(joined, "{turn:?}");
    let lapsed = [2, 3, 4].iter().filter(|seed| acts(&turn, **seed) == vec![TurnAct::Lapsed]).count();
    assert_eq!(lapsed, 2, "as many as wait");
    // Leases end: nobody is live any more, nobody can take a seat, and all stay.
    let players = net.players();
    for _ in 0..600 {
        net.chain.block(vec![]);
    }
    assert_eq!(net.players(), players);
    assert_refused(net.unjail(2, PROVIDER), ModuleRefusal::NotLive);
}

#[test]
fn vendor_never_comes_to_a_threshold() {
    let mut registry = registry(Diversity::Required);
    // Two of the four move into TEEs of one vendor, for operators of their own; the third may not.
    let mut moved = 0;
    for (place, seed) in FOUNDERS.into_iter().enumerate() {
        let instance = FIRST + place as u8;
        let mut draft = registry.draft(instance);
        draft.registration.subject.provider = key(seed).account();
        draft.sender = seed;
        let draft = draft.quoted();
        registry.register(&draft).unwrap();
        match attest(&mut registry, seed, instance) {
            Ok(_) => moved += 1,
            refused => assert_refused(refused, ModuleRefusal::Diversity),
        }
    }
    assert_eq!(moved, 2);
    // Nor may somebody else's instance take a validator over.
    let draft = registry.draft(FIRST + 5);
    registry.register(&draft).unwrap();
    let refused = attest(&mut registry, 1, FIRST + 5);
    assert_refused(refused, ModuleRefusal::ValidatorCaller);
    // Candidates of the vendor wait for ever.
    join(&mut registry, FIRST + 5).unwrap();
    let mut net = net(registry);
    net.resign(4, 4).unwrap();
    net.next_term();
    assert_eq!(net.players(), identities(&FOUNDERS));
}
