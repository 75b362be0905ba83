//! One verdict everywhere: what the command line said of a file, the chain and the verifier of proofs say too.
//!
//! The chain's verdict is that of `Collateral.submit` over each document and then of the ledger's attestation step, which
//! takes the documents as accepted; the proof's is `freehold_attestation::verify`, which `freehold_verify` calls for every
//! proof and every live instance. GPUs alone are no evidence of an instance, so they are compared in a bundle.

use std::{fs, path::Path, sync::LazyLock};

use freehold_attestation::{
    Evidence, Refusal, UnverifiedEvidence, VerifierVersion,
    container::{Container, Endorsements, Prepared},
    default_policy, read_collateral, vendor_roots,
};
use freehold_client::PolicyFile;
use freehold_emulator::{DEVELOPMENT_SEED, NitroPlatform, SnpPlatform, gpu_root_certificate, root_certificate};
use freehold_ledger::{AttestationTerms, attest};
use freehold_primitives::{
    Blob, Canonical as _, EvidenceBundle, EvidenceKind, EvidencePolicy, PlatformFamily, SnpProduct, TrustDomain,
    TrustRoot, entries::CollateralKind,
};

static ROOTS: LazyLock<Vec<TrustRoot>> = LazyLock::new(|| {
    let products = [SnpProduct::Milan, SnpProduct::Genoa, SnpProduct::Turin];
    let snp = products.map(|product| SnpPlatform::new(&DEVELOPMENT_SEED, product).root_certificate());
    let others = [
        root_certificate(&DEVELOPMENT_SEED),
        NitroPlatform::new(&DEVELOPMENT_SEED).root_certificate(),
        gpu_root_certificate(&DEVELOPMENT_SEED),
    ];
    let emulated = snp.into_iter().chain(others);
    let emulated = emulated.map(|der| TrustRoot { domain: TrustDomain::Emulated, certificate: Blob(der) });
    vendor_roots().into_iter().chain(emulated).collect()
});

/// Compares, where the file holds evidence that a chain takes; returns whether it does.
pub(crate) fn check(file: &Path, beside: Option<&Path>, now: u64, code: Option<u64>) -> bool {
    let said = code.map(|code| u16::try_from(code).unwrap());
    let endorsements = endorsements(beside);
    let Ok(container) = Container::read(&fs::read(file).unwrap(), None) else { return false };
    let Ok(prepared) = container.prepare(&endorsements, &ROOTS, now) else { return false };
    let [one] = prepared.as_slice() else { return false };
    if one.kind == EvidenceKind::Nvidia {
        return false;
    }
    let (documents, policy) = (documents(one), policy(one, now));
    let evidence = Evidence { kind: one.kind, bytes: &one.bytes, collateral: &documents };
    let chain = chain(&evidence, &policy, now).err().map(Refusal::code);
    let proof = freehold_attestation::verify(&evidence, &ROOTS, &policy, now).err().map(Refusal::code);
    assert_eq!((chain, proof), (said, said), "{} at {now}: chain, proof", file.display());
    true
}

fn documents(prepared: &Prepared) -> Vec<&[u8]> {
    prepared.collateral.iter().map(Vec::as_slice).collect()
}

/// Collateral of a file, or of every file of a folder that is some, as the command line takes it.
fn endorsements(path: Option<&Path>) -> Endorsements {
    let mut all = Endorsements::default();
    let Some(path) = path else { return all };
    let mut files = vec![path.to_owned()];
    if path.is_dir() {
        files = fs::read_dir(path).unwrap().map(|entry| entry.unwrap().path()).filter(|one| one.is_file()).collect();
        files.sort();
    }
    for file in files {
        let _ = all.add(&fs::read(file).unwrap());
    }
    all
}

/// The default policy, with the measurement that the evidence shows.
fn policy(prepared: &Prepared, now: u64) -> EvidencePolicy {
    let documents = documents(prepared);
    let evidence = Evidence { kind: prepared.kind, bytes: &prepared.bytes, collateral: &documents };
    let file = PolicyFile::any_measurement(default_policy());
    match freehold_attestation::claims(&evidence, &ROOTS, now) {
        Ok(claims) => file.policy_for(claims.measurement()),
        Err(_) => default_policy(),
    }
}

/// What a chain says whose genesis lists these roots: of each document when it is submitted, then of the evidence.
fn chain(evidence: &Evidence<'_>, policy: &EvidencePolicy, now: u64) -> Result<(), Refusal> {
    // Evidence that has no form is refused before anything is looked up for it.
    UnverifiedEvidence::read(evidence.kind, evidence.bytes)?;
    let primary = match evidence.kind {
        EvidenceKind::Bundle => EvidenceBundle::from_canonical(evidence.bytes).unwrap().primary_kind,
        kind => kind,
    };
    for (at, document) in evidence.collateral.iter().enumerate() {
        let kind = if at == 0 { CollateralKind::of(primary).unwrap() } else { CollateralKind::Nvidia };
        if !document.is_empty() {
            read_collateral(kind, document, &ROOTS, now)?;
        }
    }
    let stated = freehold_attestation::claims(evidence, &ROOTS, now)
        .map_or((TrustDomain::Emulated, PlatformFamily::ZERO), |claims| (claims.trust_domain(), claims.family()));
    let terms = AttestationTerms { stated, roots: &ROOTS, policy, verifier: VerifierVersion::V1, now_unix_s: now };
    match attest(evidence, &terms) {
        Ok(_) => Ok(()),
        Err((_, refusal)) => Err(refusal.expect("the stated domain and family are the evidence's own")),
    }
}

/// A TD with a GPU, both of the emulator, as the command line reads them: the bundle, and a folder of collateral.
pub(crate) fn bundle(folder: &Path, td: &[u8], td_collateral: &[u8], gpu: (Vec<u8>, Option<Vec<u8>>)) {
    let (gpu, gpu_collateral) = gpu;
    let bundle = EvidenceBundle { primary_kind: EvidenceKind::Tdx, primary: Blob(td.to_vec()), gpus: vec![Blob(gpu)] };
    fs::write(folder.join("bundle.bin"), bundle.to_canonical()).unwrap();
    let beside = folder.join("collateral");
    let _ = fs::remove_dir_all(&beside);
    fs::create_dir_all(&beside).unwrap();
    fs::write(beside.join("td"), td_collateral).unwrap();
    if let Some(document) = gpu_collateral {
        fs::write(beside.join("gpu"), document).unwrap();
    }
}
