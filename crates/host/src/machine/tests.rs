//! A machine of hardware and an emulated one are told apart at every place where they could be mistaken.
#![allow(clippy::unwrap_used)]

use freehold_attestation::vendor_roots;
use freehold_primitives::{Blob, Digest, TdxMeasurement};

use super::*;
use crate::tests::{launched, on_hardware};

fn emulated_roots() -> Vec<TrustRoot> {
    let certificate = Blob(Emulated::new(EmulatedTee::Tdx).root_certificate());
    vec![TrustRoot { domain: TrustDomain::Emulated, certificate }]
}

#[test]
fn a_machine_of_hardware_is_its_vendors_alone() {
    let registers = TdxMeasurement {
        mrtd: Register([1; 48]),
        rtmr0: None,
        rtmr1: Some(Register([2; 48])),
        rtmr2: Some(Register([3; 48])),
        rtmr3: Some(Register([4; 48])),
    };
    let guest = SnpMeasurement { measurement: Register([5; 48]), host_data: Some(Digest([6; 32])) };
    for (tee, shown, domain) in [
        (HardwareTee::Tdx, Measurement::Tdx(registers), TrustDomain::Intel),
        (HardwareTee::Snp, Measurement::Snp(guest), TrustDomain::Amd),
    ] {
        let launch = on_hardware(tee, shown.clone());
        // Whatever the emulator is told to play.
        for played in [EmulatedTee::Tdx, EmulatedTee::Snp] {
            let machine = Machine::of(&launch, played);
            assert!(machine.emulated().is_none() && launch.emulated().is_none());
            assert_eq!((machine.domain(), machine.measurement(&launch)), (domain, shown.clone()));
            assert_eq!(machine.policy(&launch).trust_domains, [domain]);
        }
        let machine = Machine::of(&launch, EmulatedTee::Tdx);
        let refused = machine.check_roots(&emulated_roots()).unwrap_err();
        assert!(matches!(refused, HostError::NoVendorRoot(named) if named == domain), "{refused}");
        machine.check_roots(&vendor_roots()).unwrap();
    }
    // A TD has a register that the app extends, an SEV-SNP guest none.
    assert!(Machine::Hardware(HardwareTee::Tdx).has_runtime_register());
    assert!(!Machine::Hardware(HardwareTee::Snp).has_runtime_register());
    let emulated = Machine::of(&launched(), EmulatedTee::Tdx);
    assert!(matches!(emulated.check_roots(&vendor_roots()), Err(HostError::NoEmulatedRoot)));
    emulated.check_roots(&emulated_roots()).unwrap();
}

#[test]
fn the_policy_of_hardware_takes_no_attribute_that_a_host_may_add() {
    let policy = hardware_policy(
        HardwareTee::Tdx,
        Measurement::Tdx(TdxMeasurement {
            mrtd: Register([1; 48]),
            rtmr0: None,
            rtmr1: None,
            rtmr2: None,
            rtmr3: None,
        }),
    );
    let tdx = policy.tdx.unwrap();
    let (debug, perfmon) = (1, 1 << 63);
    assert_eq!((tdx.attributes_required, tdx.attributes_allowed & (debug | perfmon)), (1 << 28, 0));
    assert_eq!((tdx.mr_config_id, tdx.mr_owner), (Some(Register::ZERO), Some(Register::ZERO)));
    assert!(policy.snp.is_none() && policy.sgx.is_none() && policy.nitro.is_none());
    assert!(!tdx.platform.tcb_statuses.contains(&TcbStatus::OutOfDate));
}
