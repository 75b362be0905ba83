//! From evidence of real hardware to the collateral that judges it and the policy that accepts it, and the certificate of a report's
//! key: recorded evidence, and recorded answers of the vendors.

use std::collections::BTreeMap;

use freehold_attestation::{
    Evidence, Refusal, UnverifiedEvidence, canonicalise, collateral_wanted, snp, vendor_roots, verify,
};
use freehold_primitives::{EvidenceKind, Measurement, SnpProduct, SnpSigningKey, TrustDomain};

use super::{
    server::{Reply, intel, serve, vectors},
    vendor::{RECORDED, recorded},
};
use crate::{
    HostError,
    collateral::{
        bring::endorsed,
        choice::Candidate,
        http::VendorClient,
        vcek,
        vendor::{Promotion, Round, Subject, VendorSources},
    },
    config::HardwareTee,
    machine::hardware_policy,
};

fn vector(path: &str) -> Option<Vec<u8>> {
    Some(std::fs::read(vectors()?.join(path)).unwrap())
}

#[tokio::test]
async fn a_real_quote_names_its_collateral_and_passes_the_policy_of_its_measurement_alone() {
    let (Some(quote), Some(document)) =
        (vector("tdx/dcap-qvl/tdx_quote"), recorded("tdx/dcap-qvl/tdx_quote_collateral.json"))
    else {
        return;
    };
    let evidence = canonicalise(&quote).unwrap();
    let outline = UnverifiedEvidence::read(EvidenceKind::Tdx, &evidence).unwrap();
    let stated = (TrustDomain::Intel, outline.family());
    let wanted = collateral_wanted(EvidenceKind::Tdx, &evidence, stated).unwrap();
    let url = serve(intel("tdx", "platform", "standard", &document, "B0C06F000000")).await;
    let sources = VendorSources { intel: url.clone(), amd: url };
    let subject = sources.subject_of(&wanted[0], &evidence).unwrap();
    assert_eq!(subject, Subject::Tdx("b0c06f000000".parse().unwrap()));
    let client = VendorClient::new(None).unwrap();
    let brought = Round::new(&client, &sources).document(&subject, Promotion::Standard).await.unwrap();
    let candidate = Candidate::verified(&subject, brought, &vendor_roots(), RECORDED).unwrap();
    assert_eq!(candidate.verified.key(), &wanted[0].1);
    // What a host asks its app to accept, where the machine's registers are these.
    let Measurement::Tdx(registers) = outline.measurement().clone() else { panic!("a TD") };
    let given = Evidence { kind: EvidenceKind::Tdx, bytes: &evidence, collateral: &[&candidate.document] };
    let judged = |shown: Measurement| {
        let policy = hardware_policy(HardwareTee::Tdx, shown);
        verify(&given, &vendor_roots(), &policy, RECORDED).map(|claims| claims.trust_domain())
    };
    assert_eq!(judged(registers.clone().into()), Ok(TrustDomain::Intel));
    let mut other = registers;
    other.mrtd.0[0] ^= 1;
    assert_eq!(judged(other.into()), Err(Refusal::PolicyMeasurement));
}

#[test]
fn reports_of_real_chips_name_their_certificates() {
    let (Some(genoa), Some(milan)) =
        (vector("snp/trustee/az-genoa-report.bin"), vector("snp/virtee-sev/report_milan.hex"))
    else {
        return;
    };
    let milan = hex::decode(milan.trim_ascii()).unwrap();
    let asked = vcek::paths(&genoa).unwrap();
    assert_eq!(asked.len(), 1);
    assert!(asked[0].starts_with(&format!("/vcek/v1/Genoa/{}?blSPL=", hex::encode(&genoa[0x1a0..0x1e0]))), "{asked:?}");
    // A report of version 2 does not say which product it is of.
    let asked = vcek::paths(&milan).unwrap();
    assert!(asked.len() == 2 && asked[0].starts_with("/vcek/v1/Milan/") && asked[1].starts_with("/vcek/v1/Genoa/"));
    // What the certificate of this chip says of its TCB (snp.md §3): the report asks for just these.
    assert!(asked[0].contains("blSPL=") && asked[0].contains("&ucodeSPL="), "{asked:?}");

    let mut hidden = genoa.clone();
    hidden[0x1a0..0x1e0].fill(0);
    let mut unknown = genoa.clone();
    unknown[0x188] = 0x42;
    for report in [hidden, unknown, genoa[..100].to_vec()] {
        assert!(matches!(vcek::paths(&report), Err(HostError::Endorsement(_))));
    }
    // Turin: another order, and a chip of eight bytes.
    let mut turin = genoa;
    (turin[0x188], turin[0x189]) = (0x1a, 0x02);
    turin[0x180..0x188].copy_from_slice(&[1, 2, 3, 4, 0, 0, 0, 5]);
    let chip = hex::encode(&turin[0x1a0..0x1a8]);
    let expected = format!("/vcek/v1/Turin/{chip}?fmcSPL=01&blSPL=02&teeSPL=03&snpSPL=04&ucodeSPL=05");
    assert_eq!(vcek::paths(&turin).unwrap(), [expected]);
}

#[tokio::test]
async fn the_certificate_of_a_real_report_is_brought_and_fits_it() {
    let (Some(report), Some(certificate)) =
        (vector("snp/virtee-sev/report_milan.hex"), vector("snp/virtee-sev/vcek_milan.der"))
    else {
        return;
    };
    let report = hex::decode(report.trim_ascii()).unwrap();
    let path = vcek::paths(&report).unwrap().remove(0);
    let url = serve(BTreeMap::from([(path, Reply::good(certificate.clone()))])).await;
    let client = VendorClient::new(None).unwrap();
    let (_, brought) = endorsed(&client, &url, &report, None).await.unwrap();
    assert_eq!(brought, certificate);
    let evidence = snp::canonicalise(&report, &brought).unwrap();
    let outline = UnverifiedEvidence::read(EvidenceKind::Snp, &evidence).unwrap();
    let wanted = collateral_wanted(EvidenceKind::Snp, &evidence, (TrustDomain::Amd, outline.family())).unwrap();
    let sources = VendorSources { intel: url.clone(), amd: url.clone() };
    let subject = sources.subject_of(&wanted[0], &evidence).unwrap();
    assert_eq!(subject, Subject::Snp(SnpProduct::Milan, SnpSigningKey::Vcek));
    // A service that knows the chip under no product says so.
    let nobody = serve(BTreeMap::new()).await;
    let refused = endorsed(&client, &nobody, &report, None).await.unwrap_err();
    assert!(matches!(refused, HostError::Vendor(_)), "{refused}");
}

#[test]
fn emulated_platforms_are_never_asked_for_at_the_vendors_own() {
    let key = (freehold_primitives::entries::CollateralKind::Dcap, vec![TrustDomain::Emulated as u8, 0, 0, 0, 0, 0, 1]);
    assert_eq!(VendorSources::default().subject_of(&key, &[]), None);
}
