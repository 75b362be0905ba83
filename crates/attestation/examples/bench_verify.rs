//! Prints the time of [`tdx::claims`] beside bare `dcap-qvl` on the same quote, alternating, and their ratio.
//!
//! `cargo run --release -p freehold-attestation --example bench_verify`

#![allow(clippy::unwrap_used, clippy::print_stdout)]

use std::time::{Duration, Instant};

use dcap_qvl::{QuoteCollateralV3, QuotePolicy, configs::RustCryptoConfig, verify::QuoteVerifier};
use freehold_attestation::{CollateralDocument, tdx};
use freehold_emulator::{AppImage, DEVELOPMENT_SEED, Platform, TdReport};
use freehold_primitives::{Blob, Canonical as _, Digest, TrustDomain, TrustRoot};

const NOW: u64 = 1_795_000_000;
const ROUNDS: usize = 300;

fn main() {
    let platform = Platform::new(&DEVELOPMENT_SEED);
    let app = AppImage { executable: Digest::ZERO, arguments: Vec::new(), model: None };
    let quote = platform.quote_v4(&TdReport::launch(&Digest::ZERO, &app), &[7; 64]);
    let document = platform.collateral(NOW);
    let root = platform.root_certificate();
    let roots = [TrustRoot { domain: TrustDomain::Emulated, certificate: Blob(root.clone()) }];
    let collateral = dcap(&document);

    let mut ours = Vec::new();
    let mut theirs = Vec::new();
    for _ in 0..ROUNDS {
        ours.push(time(|| assert!(tdx::claims(&quote, &document, &roots, NOW).is_ok())));
        theirs.push(time(|| {
            let verifier = QuoteVerifier::<RustCryptoConfig>::new_with_config(root.clone());
            let policy = QuotePolicy::claims_only(NOW);
            assert!(verifier.verify_with_policy(&quote, collateral.clone(), NOW, &policy).is_ok());
        }));
    }
    let (ours, theirs) = (quick(&mut ours), quick(&mut theirs));
    println!("claims       {:.3} ms (p10 of {ROUNDS})", ours.as_secs_f64() * 1e3);
    println!("dcap-qvl     {:.3} ms (p10 of {ROUNDS})", theirs.as_secs_f64() * 1e3);
    println!("ratio        {:.3}", ours.as_secs_f64() / theirs.as_secs_f64());
    let mut reads: Vec<Duration> =
        (0..ROUNDS).map(|_| time(|| assert!(tdx::read_collateral(&document, &roots, NOW).is_ok()))).collect();
    println!("collateral   {:.3} ms (p10 of {ROUNDS})", quick(&mut reads).as_secs_f64() * 1e3);
}

fn time(run: impl FnOnce()) -> Duration {
    let start = Instant::now();
    run();
    start.elapsed()
}

fn quick(times: &mut [Duration]) -> Duration {
    times.sort_unstable();
    times[times.len() / 10]
}

fn dcap(document: &[u8]) -> QuoteCollateralV3 {
    let document = CollateralDocument::from_canonical(document).unwrap();
    QuoteCollateralV3 {
        pck_crl_issuer_chain: document.pck_crl_issuer_chain,
        root_ca_crl: document.root_ca_crl.0,
        pck_crl: document.pck_crl.0,
        tcb_info_issuer_chain: document.tcb_info_issuer_chain,
        tcb_info: document.tcb_info,
        tcb_info_signature: document.tcb_info_signature.to_vec(),
        qe_identity_issuer_chain: document.qe_identity_issuer_chain,
        qe_identity: document.qe_identity,
        qe_identity_signature: document.qe_identity_signature.to_vec(),
        pck_certificate_chain: None,
    }
}
