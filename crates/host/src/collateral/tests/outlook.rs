//! What is foreseen: the chain's own codes, and the second from which they hold.

use freehold_attestation::{Evidence, Refusal};
use freehold_emulator::{CollateralPlan, Condition, DEVELOPMENT_SEED, Platform, TdReport};
use freehold_primitives::{Blob, DcapPolicy, EvidenceKind, EvidencePolicy, TcbStatus, TrustDomain, TrustRoot};

use crate::{
    EmulatedTee,
    collateral::outlook::{Foreseen, Terms, foresee, remedy},
    machine::Machine,
    tests::launched,
};

const NOW: u64 = 1_790_000_000;
const DAY_S: u64 = 86_400;

struct Stage {
    roots: Vec<TrustRoot>,
    policy: EvidencePolicy,
    evidence: Vec<u8>,
    platform: Platform,
}

impl Stage {
    fn new() -> Self {
        let platform = Platform::new(&DEVELOPMENT_SEED);
        let launch = launched();
        let report: &TdReport = &launch.emulated().unwrap().report;
        let policy = Machine::of(&launch, EmulatedTee::Tdx).policy(&launch);
        let root = TrustRoot { domain: TrustDomain::Emulated, certificate: Blob(platform.root_certificate()) };
        Self { roots: vec![root], policy, evidence: platform.quote_v4(report, &[7; 64]), platform }
    }

    fn under(&self, condition: Condition, number: u32, notice_s: u64) -> Option<Foreseen> {
        let plan = CollateralPlan { condition, tcb_evaluation_data_number: number, ..CollateralPlan::default() };
        let document = self.platform.collateral_with(NOW, &plan);
        let evidence = Evidence { kind: EvidenceKind::Tdx, bytes: &self.evidence, collateral: &[&document] };
        let terms = Terms { roots: &self.roots, policy: &self.policy, now_unix_s: NOW, notice_s };
        foresee(&evidence, &terms)
    }

    fn platform_policy(&mut self) -> &mut DcapPolicy {
        &mut self.policy.tdx.as_mut().unwrap().platform
    }
}

#[test]
fn each_condition_that_drops_an_instance_is_foreseen_with_its_code() {
    let stage = Stage::new();
    assert_eq!(stage.under(Condition::UpToDate, 20, 30 * DAY_S), None);
    let cases = [
        (Condition::OutOfDate, Refusal::PolicyTcbStatus),
        (Condition::SwHardeningNeeded, Refusal::PolicyTcbStatus),
        (Condition::ModuleOutOfDate, Refusal::PolicyTcbStatus),
        (Condition::TcbRevoked, Refusal::TcbRevoked),
        (Condition::TcbUnknown, Refusal::TcbUnknown),
        (Condition::PckRevoked, Refusal::CertificateRevoked),
        (Condition::ModuleForeign, Refusal::TdxModule),
        (Condition::QuotingEnclaveForeign, Refusal::QuotingEnclave),
    ];
    for (condition, refusal) in cases {
        let foreseen = stage.under(condition, 21, 0).unwrap();
        assert_eq!((foreseen.refusal, foreseen.from_unix_s), (refusal, NOW), "{condition:?}");
        assert!(!remedy(&foreseen).contains("look the code up"), "{condition:?} has a remedy");
    }
    // Age is none of ours: collateral is brought anew before it ends.
    assert_eq!(stage.under(Condition::ListsExpired, 21, 30 * DAY_S), None);
}

#[test]
fn the_end_of_grace_is_foreseen_to_the_second() {
    let mut stage = Stage::new();
    let tcb_date = {
        let plan = CollateralPlan { condition: Condition::OutOfDate, ..CollateralPlan::default() };
        let document = stage.platform.collateral_with(NOW, &plan);
        let evidence = Evidence { kind: EvidenceKind::Tdx, bytes: &stage.evidence, collateral: &[&document] };
        let claims = freehold_attestation::claims(&evidence, &stage.roots, NOW).unwrap();
        claims.as_tdx().unwrap().platform().tcb_date_unix_s()
    };
    // Grace ends ten days from now.
    let grace_s = NOW - tcb_date + 10 * DAY_S;
    stage.platform_policy().tcb_grace_s = grace_s;
    let foreseen = stage.under(Condition::OutOfDate, 20, 30 * DAY_S).unwrap();
    assert_eq!((foreseen.refusal, foreseen.tcb_status), (Refusal::PolicyTcbStatus, Some(TcbStatus::OutOfDate)));
    assert!(foreseen.from_unix_s.abs_diff(tcb_date + grace_s) <= 1, "{foreseen:?}");
    assert_eq!(stage.under(Condition::OutOfDate, 20, 9 * DAY_S), None, "a shorter notice does not see it");
}
