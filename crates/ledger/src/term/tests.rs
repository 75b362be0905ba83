//! The largest turn there can be fits into what a system call may use.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;

use alloy_consensus::Header;
use alloy_primitives::U256;
use freehold_crypto::content_digest;
use freehold_evm::{BlockContext, Outcome};
use freehold_primitives::{
    Account, AppId, Blob, Digest, Dispute, Diversity, EvidenceKind, G1Point, Genesis, KeyCeremony, Measurement,
    Membership, NetworkKey, PlatformFamily, Purpose, Register, Seat, TdxMeasurement, TrustDomain,
    entries::{EntryKind, GpuRecord, InstanceEntry, RosterEntry, TurnAct, TurnEntry, ValidatorEntry, ValidatorState},
};

use super::*;
use crate::{genesis_block, read::read_entry, state::TreeView, to_address};

/// A third of what a system call may use, 30 million (EIP-2935).
const GAS_MAX: u64 = 10_000_000;

fn app() -> AppId {
    AppId::new([7; 20])
}

fn identity(number: u8) -> Ed25519Key {
    Ed25519Key([number; 32])
}

fn genesis() -> Genesis {
    let seat = |number: u8| Seat { account: Account([number; 20]), bond: [1; 32], address: String::new() };
    Genesis {
        chain_id: 1,
        purpose: Purpose::Development,
        timestamp_ms: 0,
        epoch_s: 10,
        lease_s: 600,
        validators: (1..=64).map(identity).collect(),
        consensus_polynomial: Blob(vec![1; 96 * 43]),
        derivation_polynomial: vec![NetworkKey([2; 96]); 43],
        key_ceremony: KeyCeremony::TrustedDealer,
        trust_roots: Vec::new(),
        allocations: Vec::new(),
        membership: Membership {
            term_blocks: 512,
            seats: (1..=64).map(seat).collect(),
            diversity: Diversity::Required,
            app: Some(app()),
            ..Membership::default()
        },
    }
}

/// An instance with as much beside it as can be denied.
fn instance(number: u8) -> InstanceEntry {
    let family = PlatformFamily([number; 6]);
    InstanceEntry {
        instance_id: Digest([number; 32]),
        app_id: app(),
        app_version: 0,
        provider: Account([number; 20]),
        account: Account([number; 20]),
        transport_key: G1Point([1; 48]),
        keyset_digest: Digest::ZERO,
        keyset_not_after: u64::MAX,
        evidence_digest: Digest::ZERO,
        collateral_digests: vec![Digest::ZERO; 9],
        nonce_height: 0,
        nonce: Digest::ZERO,
        judged_at_unix_s: 0,
        evidence_kind: EvidenceKind::Bundle,
        trust_domain: [TrustDomain::Intel, TrustDomain::Amd, TrustDomain::Aws][usize::from(number % 3)],
        measurement: Measurement::Tdx(TdxMeasurement {
            mrtd: Register([1; 48]),
            rtmr0: Some(Register([1; 48])),
            rtmr1: Some(Register([1; 48])),
            rtmr2: Some(Register([1; 48])),
            rtmr3: Some(Register([1; 48])),
        }),
        tcb_status: None,
        tcb_level: None,
        tcb_level_lowest: None,
        tier: 0,
        platform: Digest([number; 32]),
        family,
        gpus: (0..8).map(|gpu| GpuRecord { family: PlatformFamily([gpu; 6]), platform: Digest([gpu; 32]) }).collect(),
        opened_at: 0,
        renewed_at: 0,
        expires_at: u64::MAX,
        closed_at: None,
        closed_code: None,
    }
}

fn write(evm: &mut Evm<'_>, kind: EntryKind, id: &[u8], entry: &impl freehold_primitives::Canonical) {
    let bytes = entry.to_canonical();
    let slot = U256::from_be_bytes(slots::entry_slot(kind, id));
    evm.write_entry(to_address(&slots::entry_module(kind)), slot, content_digest(&bytes), bytes).unwrap();
}

/// Turns a chain of 64 seats and 64 candidates, all of them instances, after a round that ended so.
fn turn(change: impl FnOnce(&mut TermTurn)) -> (Outcome, TurnEntry) {
    let ctx = ChainContext::new(genesis()).unwrap();
    let mut state = crate::MemoryTree::default();
    let block = genesis_block(&ctx, &mut state).unwrap();
    let content: BTreeMap<_, _> = block.content.into_iter().collect();
    let headers: BTreeMap<u64, Header> = BTreeMap::new();
    let view = TreeView { state: &state, content: &content, hashes: &headers, keyring: None };
    let mut evm = Evm::new(BlockContext { height: 512, ..BlockContext::default() }, ctx.modules(), &view);
    for number in 1..=128 {
        write(&mut evm, EntryKind::Instance, &[number; 32], &instance(number));
        let seated = number <= 64;
        let entry = ValidatorEntry {
            identity: identity(number),
            account: Account([number; 20]),
            operator: Account([number; 20]),
            payee: Account([number; 20]),
            bond: [0; 32],
            address: "[2001:db8:1111:2222:3333:4444:5555:6666]:65535".to_owned(),
            instance_id: Some(Digest([number; 32])),
            vendor: Some(instance(number).trust_domain),
            state: if seated { ValidatorState::Leaving } else { ValidatorState::Candidate },
            joined_at: 0,
            since: 0,
            jailed_until: 0,
            locked_until: 0,
            slashed_in: None,
        };
        write(&mut evm, EntryKind::Validator, &[number; 32], &entry);
    }
    let (seats, candidates) = ((1..=64).map(identity).collect(), (65..=128).map(identity).collect());
    write(&mut evm, EntryKind::Roster, &slots::ROSTER_ID, &RosterEntry { term: 0, seats, candidates });
    let mut said = TermTurn {
        term: 1,
        members: (1..=64).map(identity).collect(),
        consensus_polynomial: Blob(vec![1; 96 * 43]),
        derivation_polynomial: vec![NetworkKey([2; 96]); 43],
        outcome: TermOutcome::Reshared,
        silent: Vec::new(),
        disputes: Vec::new(),
        waiting: None,
        masters: Vec::new(),
    };
    change(&mut said);
    let module = to_address(&slots::VALIDATORS);
    // Fees of a hundred for each, which here come out of the bonds.
    let balance = crate::modules::bonded_at_first(ctx.genesis()).unwrap() + U256::from(6_400);
    let outcome = evm.system_call(module, turn_call(said.to_canonical(), balance)).unwrap();
    assert!(outcome.is_success(), "{outcome:?}");
    let changes = evm.finish();
    let slot = U256::from_be_bytes(slots::entry_slot(EntryKind::Turn, &slots::term_id(1)));
    let digest = Digest(changes.storage[&(module, slot)].to_be_bytes());
    let entry = TurnEntry::from_canonical(&changes.content[&digest]).unwrap();
    assert!(read_entry::<TurnEntry>(EntryKind::Turn, &slots::term_id(1), &state, &content).unwrap().is_none());
    (outcome, entry)
}

fn count(entry: &TurnEntry, act: TurnAct) -> usize {
    entry.events.iter().filter(|event| event.act == act).count()
}

#[test]
fn largest_turn_fits_into_a_system_call() {
    let (outcome, entry) = turn(|_| {});
    let counted = [TurnAct::Left, TurnAct::Seated, TurnAct::Rewarded].map(|act| count(&entry, act));
    assert_eq!(counted, [64, 64, 64]);

    assert!(outcome.gas_used < GAS_MAX, "{}", outcome.gas_used);
    let (outcome, entry) = turn(|said| {
        said.outcome = TermOutcome::Kept;
        said.silent.clone_from(&said.members);
        let pair =
            |dealer: u8| (1..=64).map(move |player| Dispute { dealer: identity(dealer), player: identity(player) });
        said.disputes = (1..=64).flat_map(pair).collect();
    });
    assert_eq!((count(&entry, TurnAct::Jailed), count(&entry, TurnAct::Seated)), (64, 64));

    assert!(outcome.gas_used < GAS_MAX, "{}", outcome.gas_used);
}
