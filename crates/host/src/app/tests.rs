//! Policies of apps that run under more than one launcher.
#![allow(clippy::unwrap_used)]

use freehold_primitives::{TdxMeasurement, TdxPolicy};

use super::*;
use crate::{
    config::EmulatedTee,
    tests::{launched, on_hardware},
};

fn policy(machine: &Machine, launch: &Launch) -> AppPolicy {
    AppPolicy { evidence: machine.policy(launch), lease_s_max: 7, ..AppPolicy::default() }
}

#[test]
fn a_policy_is_widened_and_loses_nothing() {
    let launch = launched();
    let machine = Machine::of(&launch, EmulatedTee::Tdx);
    let (mut first, second) = (policy(&machine, &launch), policy(&machine, &launch));
    let measurements = |policy: &AppPolicy| policy.evidence.tdx.as_ref().unwrap().measurements.clone();
    let own = measurements(&second);
    let other = TdxMeasurement { rtmr3: None, ..own[0].clone() };
    first.evidence.tdx = Some(TdxPolicy { measurements: vec![other.clone()], ..first.evidence.tdx.unwrap() });
    first.lease_s_max = 9;
    let both = widened(first.clone(), second.clone());
    assert_eq!(measurements(&both), [&[other], own.as_slice()].concat());
    // What else the owner set stays.
    assert_eq!(both.lease_s_max, 9);
    assert_eq!(widened(both.clone(), second.clone()), both);
    // A policy that knows no TDX takes the other's whole.
    first.evidence.tdx = None;
    assert_eq!(widened(first, second.clone()).evidence.tdx, second.evidence.tdx);
}

#[test]
fn a_policy_admits_no_emulator_beside_hardware() {
    let (launch, tee) = (launched(), crate::HardwareTee::Snp);
    let emulated = policy(&Machine::of(&launch, EmulatedTee::Tdx), &launch);
    let shown =
        freehold_primitives::SnpMeasurement { measurement: freehold_primitives::Register([1; 48]), host_data: None };
    let hardware = on_hardware(tee, shown.into());
    let hardware = policy(&Machine::of(&hardware, EmulatedTee::Tdx), &hardware);
    for alone in [&emulated, &hardware] {
        one_world(alone).unwrap();
    }
    for both in [widened(emulated.clone(), hardware.clone()), widened(hardware.clone(), emulated)] {
        assert!(matches!(one_world(&both), Err(HostError::EmulatedBesideHardware)));
    }
    // Two vendors of hardware go together.
    let mut intel = hardware.clone();
    intel.evidence.trust_domains = vec![TrustDomain::Intel];
    let both = widened(hardware, intel);
    one_world(&both).unwrap();
    assert_eq!(both.evidence.trust_domains, [TrustDomain::Amd, TrustDomain::Intel]);
}
