//! The ABI as other rooms and Solidity see it, and calls that make no sense.
#![allow(clippy::unwrap_used)]

use alloy_primitives::{Address, Bytes, U256};
use alloy_sol_types::{SolCall, SolError, SolEvent, SolInterface};
use freehold_crypto::slots;
use freehold_evm::{BlockContext, CALL_GAS_MAX, MemoryView, TxEnv, simulate};
use freehold_primitives::{Blob, Genesis, KeyCeremony, Membership};

use super::{
    ModuleRefusal,
    abi::{
        IApps::{self, IAppsCalls},
        ICollateral::{self, ICollateralCalls},
        IKeys::{self, IKeysCalls},
        ILog::{self, ILogCalls},
        IValidators::{self, IValidatorsCalls},
        IVisibility::{self, IVisibilityCalls},
    },
};
use crate::{ChainContext, state::to_address};

fn context() -> ChainContext {
    ChainContext::new(Genesis {
        chain_id: 1,
        purpose: freehold_primitives::Purpose::Development,
        timestamp_ms: 0,
        epoch_s: 10,
        lease_s: 600,
        validators: Vec::new(),
        consensus_polynomial: Blob::default(),
        derivation_polynomial: Vec::new(),
        key_ceremony: KeyCeremony::TrustedDealer,
        trust_roots: Vec::new(),
        allocations: Vec::new(),
        membership: Membership::default(),
    })
    .unwrap()
}

/// A deterministic stream of bytes, for input that means nothing.
fn noise(seed: u64, length: usize) -> Vec<u8> {
    let mut out = Vec::new();
    let mut counter = 0_u64;
    while out.len() < length {
        let block = freehold_crypto::hash("noise", &[&seed.to_be_bytes(), &counter.to_be_bytes()]);
        out.extend_from_slice(block.as_bytes());
        counter += 1;
    }
    out.truncate(length);
    out
}

#[test]
fn selectors_are_those_of_the_interfaces() {
    // What Solidity would compute from the text of the signature; a change here is a change of the contract.
    let pairs: [(&str, [u8; 4]); 28] = [
        ("create(uint8,bytes)", IApps::createCall::SELECTOR),
        ("update(bytes21,bytes)", IApps::updateCall::SELECTOR),
        ("register(bytes,bytes,bytes)", IApps::registerCall::SELECTOR),
        ("deregister(bytes32)", IApps::deregisterCall::SELECTOR),
        ("revoke(bytes21,bytes32,uint8)", IApps::revokeCall::SELECTOR),
        ("deny(bytes21,uint8,bytes,uint8)", IApps::denyCall::SELECTOR),
        ("lift(uint8,bytes)", IApps::liftCall::SELECTOR),
        ("setGovernor(address)", IApps::setGovernorCall::SELECTOR),
        ("setTier(uint8,string,bytes)", IApps::setTierCall::SELECTOR),
        ("scheduleProtocol(uint32,uint64,string)", IApps::scheduleProtocolCall::SELECTOR),
        ("protocol()", IApps::protocolCall::SELECTOR),
        ("caller(address)", IApps::callerCall::SELECTOR),
        ("standing(bytes32)", IApps::standingCall::SELECTOR),
        ("shadow(uint8,bytes,uint64)", IApps::shadowCall::SELECTOR),
        ("isAuthorized(bytes21,address)", IApps::isAuthorizedCall::SELECTOR),
        ("request(string)", IKeys::requestCall::SELECTOR),
        ("anchor(uint64,bytes32,bytes32)", ILog::anchorCall::SELECTOR),
        ("submit(uint8,bytes,bytes)", ICollateral::submitCall::SELECTOR),
        ("scheduleVerifier(uint32,uint64)", ICollateral::scheduleVerifierCall::SELECTOR),
        ("verifier()", ICollateral::verifierCall::SELECTOR),
        ("makePublic()", IVisibility::makePublicCall::SELECTOR),
        ("rotateStateKey()", IKeys::rotateStateKeyCall::SELECTOR),
        ("join(bytes32,address,string,bytes)", IValidators::joinCall::SELECTOR),
        ("resign(bytes32)", IValidators::resignCall::SELECTOR),
        ("withdraw(bytes32)", IValidators::withdrawCall::SELECTOR),
        ("unjail(bytes32)", IValidators::unjailCall::SELECTOR),
        ("reportDoubleProposal(bytes,bytes,bytes,bytes)", IValidators::reportDoubleProposalCall::SELECTOR),
        ("turn(bytes,uint256)", IValidators::turnCall::SELECTOR),
    ];
    for (signature, selector) in pairs {
        assert_eq!(alloy_primitives::keccak256(signature)[..4], selector, "{signature}");
    }
    assert_eq!((IAppsCalls::COUNT, IKeysCalls::COUNT, ILogCalls::COUNT, ICollateralCalls::COUNT), (43, 12, 6, 5));
    assert_eq!(IValidatorsCalls::COUNT, 22);
    let errors = [IApps::Refused::SELECTOR, IKeys::Refused::SELECTOR, ILog::Refused::SELECTOR];
    assert!(errors.iter().all(|selector| *selector == ICollateral::Refused::SELECTOR));
    assert_eq!(IValidators::Refused::SELECTOR, IApps::Refused::SELECTOR);
    let granted = "Granted(bytes32,bytes21,bytes32,string,uint32,bytes,uint64)";
    assert_eq!(IKeys::Granted::SIGNATURE_HASH, alloy_primitives::keccak256(granted));
}

#[test]
fn refusals_have_stable_ascending_codes() {
    assert!(ModuleRefusal::ALL.is_sorted_by_key(|refusal| refusal.code()));
    for refusal in ModuleRefusal::ALL {
        assert_eq!(ModuleRefusal::from_code(refusal.code()), Some(*refusal));
        let revert = IApps::Refused { code: refusal.code(), detail: 507 }.abi_encode();
        let read = ModuleRefusal::from_revert(&revert).unwrap();
        assert_eq!(read, (*refusal, Some(freehold_attestation::Refusal::PolicyTcbStatus)));
    }
    assert_eq!(ModuleRefusal::from_code(9_999), None);
    assert_eq!(ModuleRefusal::from_revert(&[1, 2, 3]), None);
}

#[test]
fn every_refusal_is_specified() {
    let pages = [
        include_str!("../../../../spec/apps.md"),
        include_str!("../../../../spec/registration.md"),
        include_str!("../../../../spec/log.md"),
        include_str!("../../../../spec/entries.md"),
        include_str!("../../../../spec/confidential-state.md"),
        include_str!("../../../../spec/membership.md"),
        include_str!("../../../../spec/leases.md"),
        include_str!("../../../../spec/key-service.md"),
        include_str!("../../../../spec/settings.md"),
        include_str!("../../../../spec/upgrades.md"),
    ]
    .concat();
    for refusal in ModuleRefusal::ALL {
        let row = format!("| {} |", refusal.code());
        assert!(pages.contains(&row), "{refusal:?} ({}) stands on no page", refusal.code());
    }
}

#[test]
fn calls_without_sense_are_refused_and_never_panic() {
    let ctx = context();
    let view = MemoryView::default();
    let block = BlockContext { chain_id: 1, height: 1, gas_limit: 60_000_000, ..BlockContext::default() };
    let mut selectors: Vec<[u8; 4]> = IAppsCalls::selectors().collect();
    selectors.extend(IKeysCalls::selectors());
    selectors.extend(ILogCalls::selectors());
    selectors.extend(ICollateralCalls::selectors());
    selectors.extend(IVisibilityCalls::selectors());
    selectors.extend(IValidatorsCalls::selectors());
    let modules = [slots::APPS, slots::KEYS, slots::LOG, slots::COLLATERAL, slots::VALIDATORS, slots::VISIBILITY];
    for module in modules.map(|module| to_address(&module)) {
        for (seed, selector) in (0_u64..).zip(&selectors) {
            for length in [0, 1, 31, 32, 64, 96, 300] {
                let mut words = noise(seed, length);
                // Offsets and lengths that point somewhere, so that decoding goes as deep as it can.
                for at in (0..words.len() / 32).map(|word| word * 32) {
                    words[at..at + 31].fill(0);
                }
                let input: Bytes = [selector.as_slice(), &words].concat().into();
                let tx = TxEnv {
                    caller: Address::repeat_byte(1),
                    kind: alloy_primitives::TxKind::Call(module),
                    gas_limit: CALL_GAS_MAX,
                    value: U256::ZERO,
                    data: input,
                    ..TxEnv::default()
                };
                let outcome = simulate(block.clone(), ctx.modules(), &view, tx).unwrap();
                if let Some((refusal, _)) = ModuleRefusal::from_revert(&outcome.output) {
                    assert_ne!(refusal.code(), 0);
                }
            }
        }
    }
}

#[test]
fn no_roots_of_development_in_production() {
    let mut genesis = context().genesis().clone();
    genesis.purpose = freehold_primitives::Purpose::Production;
    assert!(matches!(ChainContext::new(genesis.clone()), Err(crate::LedgerError::Ceremony)));
    genesis.key_ceremony = KeyCeremony::Distributed;
    let missing = crate::LedgerError::Membership(crate::MembershipFault::AppMissing);
    assert_eq!(ChainContext::new(genesis.clone()).unwrap_err().to_string(), missing.to_string());
    genesis.membership.app = Some(freehold_primitives::AppId::new([7; 20]));
    assert!(ChainContext::new(genesis.clone()).is_ok());
    genesis.trust_roots = vec![freehold_primitives::TrustRoot {
        domain: freehold_primitives::TrustDomain::Emulated,
        certificate: Blob(freehold_emulator::root_certificate(&freehold_emulator::DEVELOPMENT_SEED)),
    }];
    assert!(matches!(ChainContext::new(genesis), Err(crate::LedgerError::Roots(_))));
}
