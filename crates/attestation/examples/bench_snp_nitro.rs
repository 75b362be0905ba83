//! Prints the time of SEV-SNP and Nitro verification: with the whole chain, and under collateral verified before.
//!
//! `cargo run --release -p freehold-attestation --example bench_snp_nitro`

#![allow(clippy::unwrap_used, clippy::print_stdout)]

use std::time::{Duration, Instant};

use freehold_attestation::{
    nitro::{self, VerifiedNitroCollateral},
    snp::{self, VerifiedSnpCollateral},
};
use freehold_emulator::{
    AppImage, DEVELOPMENT_SEED, NitroCollateralCondition, NitroCondition, NitroEnclave, NitroPlatform,
    SnpCollateralCondition, SnpCondition, SnpGuest, SnpPlatform,
};
use freehold_primitives::{Blob, Digest, SnpProduct, SnpSigningKey, TrustDomain, TrustRoot};

const NOW: u64 = 1_795_000_000;
const ROUNDS: usize = 300;

fn main() {
    let app = AppImage { executable: Digest::ZERO, arguments: Vec::new(), model: None };
    snp(&app);
    nitro(&app);
}

fn snp(app: &AppImage) {
    let machine = SnpPlatform::new(&DEVELOPMENT_SEED, SnpProduct::Genoa);
    let evidence =
        machine.evidence(&SnpGuest::launch(&Digest::ZERO, app), &[7; 64], SnpSigningKey::Vcek, SnpCondition::Good);
    let document = machine.collateral(NOW, SnpSigningKey::Vcek, SnpCollateralCondition::Good);
    let roots = [TrustRoot { domain: TrustDomain::Emulated, certificate: Blob(machine.root_certificate()) }];
    print("snp, whole chain", || assert!(snp::claims(&evidence, &document, &roots, NOW).is_ok()));
    print("snp, accepted collateral read and used", || {
        let known = VerifiedSnpCollateral::from_accepted(&document, &roots[0]).unwrap();
        assert!(snp::claims_under(&evidence, &known, NOW).is_ok());
    });
    print("snp, collateral alone", || assert!(VerifiedSnpCollateral::verify(&document, &roots, NOW).is_ok()));
    println!("snp evidence {} bytes, collateral {} bytes", evidence.len(), document.len());
}

fn nitro(app: &AppImage) {
    let host = NitroPlatform::new(&DEVELOPMENT_SEED);
    let enclave = NitroEnclave::launch(&Digest::ZERO, app);
    let evidence = host.evidence(&enclave, &[7; 64], NOW, NitroCondition::Good);
    let document = host.collateral(NOW, NitroCollateralCondition::Good);
    let roots = [TrustRoot { domain: TrustDomain::Emulated, certificate: Blob(host.root_certificate()) }];
    print("nitro, whole chain", || assert!(nitro::claims(&evidence, &[], &roots, NOW).is_ok()));
    print("nitro, whole chain and revocation lists", || {
        assert!(nitro::claims(&evidence, &document, &roots, NOW).is_ok());
    });
    print("nitro, accepted collateral read and used", || {
        let known = VerifiedNitroCollateral::from_accepted(&document, &roots[0]).unwrap();
        assert!(nitro::claims_under(&evidence, &known, &roots, NOW).is_ok());
    });
    println!("nitro evidence {} bytes, collateral {} bytes", evidence.len(), document.len());
}

/// Prints p10 and p50 of the rounds.
fn print(what: &str, run: impl Fn()) {
    let mut times: Vec<Duration> = (0..ROUNDS)
        .map(|_| {
            let start = Instant::now();
            run();
            start.elapsed()
        })
        .collect();
    times.sort_unstable();
    let ms = |at: usize| times[at].as_secs_f64() * 1e3;
    println!("{what:42} {:.3} ms p10, {:.3} ms p50 of {ROUNDS}", ms(ROUNDS / 10), ms(ROUNDS / 2));
}
