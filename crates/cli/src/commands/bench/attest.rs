//! Time to verify evidence by kind, beside the library that does Intel's part, and the attestation step of a registration.

use std::time::Instant;

use anyhow::{Context as _, Result, bail};
use freehold_attestation::{
    BareDcap, Evidence, VerifiedClaims, default_policy,
    nitro::{self, VerifiedNitroCollateral},
    nvidia::{self, VerifiedNvidiaCollateral},
    sgx,
    snp::{self, VerifiedSnpCollateral},
    tdx,
};
use freehold_client::PolicyFile;
use freehold_emulator::{
    AppImage, DEVELOPMENT_SEED, EmulatedGpu, EnclaveReport, NitroCollateralCondition, NitroCondition, NitroEnclave,
    NitroPlatform, Platform, SnpCollateralCondition, SnpCondition, SnpGuest, SnpPlatform, TdBody, TdReport,
    gpu_root_certificate, root_certificate,
};
use freehold_ledger::{AttestationTerms, attest};
use freehold_primitives::{
    Account, AppId, Blob, Canonical as _, Digest, EvidenceKind, G1Point, GpuArchitecture, Measurement, SnpProduct,
    SnpSigningKey, TrustDomain, TrustRoot,
    entries::{AccountEntry, InstanceEntry, UsedEvidenceEntry},
};
use serde_json::json;

use super::{Samples, cpu_s, round};
use crate::output::Output;

/// Emulated evidence is made and judged at this moment.
const NOW: u64 = 1_795_000_000;
const REPORT_DATA: [u8; 64] = [7; 64];
/// A slot of the state: key and value.
const SLOT_BYTES: usize = 64;

/// Runs the benchmark.
pub(crate) fn run(count: u32, output: Output) -> Result<()> {
    let app = AppImage { executable: Digest([2; 32]), arguments: Vec::new(), model: None };
    let bench = Bench { count, output };
    bench.intel(&app)?;
    bench.snp(&app)?;
    bench.nitro(&app)?;
    bench.nvidia()?;
    bench.registration(&app)
}

struct Bench {
    count: u32,
    output: Output,
}

/// Wall times and mean CPU time of one kind.
struct Timed {
    samples: Samples,
    cpu_ms: f64,
}

impl Bench {
    /// Times what must succeed.
    fn time(&self, what: &str, run: impl Fn() -> bool) -> Result<Timed> {
        let (mut samples, cpu) = (Samples::default(), cpu_s());
        for _ in 0..self.count {
            let begun = Instant::now();
            if !run() {
                bail!("{what} is refused; figures of a refusal say nothing");
            }
            samples.push(begun.elapsed());
        }
        Ok(Timed { samples, cpu_ms: (cpu_s() - cpu) * 1_000.0 / f64::from(self.count.max(1)) })
    }

    fn print(&self, kind: &str, timed: &Timed, bytes: (usize, usize)) {
        let (p50, cpu) = (timed.samples.quantile_ms(0.5), timed.cpu_ms);
        let (evidence, collateral) = bytes;
        self.output.text(&format!(
            "  {kind:<34} p50 {p50:7.3} ms, {cpu:7.3} ms CPU each, evidence {evidence} bytes, collateral {collateral}"
        ));
        self.output.object(&json!({
            "event": "bench",
            "bench": "attest",
            "kind": kind,
            "time": timed.samples.json(),
            "cpu_ms": round(cpu),
            "evidence_bytes": evidence,
            "collateral_bytes": collateral,
        }));
    }

    fn measure(&self, kind: &str, bytes: (usize, usize), run: impl Fn() -> bool) -> Result<()> {
        let timed = self.time(kind, run)?;
        self.print(kind, &timed, bytes);
        Ok(())
    }

    /// TDX beside `dcap-qvl` alone, in turns, so that a busy machine slows both.
    fn intel(&self, app: &AppImage) -> Result<()> {
        let platform = Platform::new(&DEVELOPMENT_SEED);
        let td = TdReport::launch(&Digest([1; 32]), app);
        let quote = platform.quote_v4(&td, &REPORT_DATA);
        let document = platform.collateral(NOW);
        let roots = [emulated(platform.root_certificate())];
        let bare = BareDcap::new(&document, platform.root_certificate())?;
        let (mut ours, mut theirs) = (Samples::default(), Samples::default());
        let mut cpu = [0.0, 0.0];
        for _ in 0..self.count {
            let (begun, start) = (Instant::now(), cpu_s());
            tdx::claims(&quote, &document, &roots, NOW)?;
            ours.push(begun.elapsed());
            let (begun, middle) = (Instant::now(), cpu_s());
            bare.verify(&quote, NOW)?;
            theirs.push(begun.elapsed());
            cpu[0] += middle - start;
            cpu[1] += cpu_s() - middle;
        }
        let each = |total: f64| total * 1_000.0 / f64::from(self.count.max(1));
        let ratio = ours.quantile_ms(0.5) / theirs.quantile_ms(0.5);
        let bytes = (quote.len(), document.len());
        self.print("tdx v4", &Timed { samples: ours, cpu_ms: each(cpu[0]) }, bytes);
        self.print("tdx v4, dcap-qvl alone", &Timed { samples: theirs, cpu_ms: each(cpu[1]) }, bytes);
        self.output.text(&format!("  tdx v4 takes {ratio:.3} times what dcap-qvl alone does"));
        self.output.object(&json!({ "event": "bench", "bench": "attest", "kind": "tdx ratio", "ratio": round(ratio) }));

        let v5 = platform.quote_v5(&td, TdBody::Td15, &REPORT_DATA);
        self.measure("tdx v5, TD 1.5", (v5.len(), document.len()), || {
            tdx::claims(&v5, &document, &roots, NOW).is_ok()
        })?;
        let enclave = EnclaveReport::launch(&Digest([1; 32]), app);
        let (quote, document) =
            (platform.quote_v3(&enclave, &REPORT_DATA), platform.sgx_collateral_with(NOW, &Default::default()));
        self.measure("sgx v3", (quote.len(), document.len()), || sgx::claims(&quote, &document, &roots, NOW).is_ok())?;
        let document = platform.collateral(NOW);
        self.measure("tdx collateral alone", (0, bytes.1), || tdx::read_collateral(&document, &roots, NOW).is_ok())
    }

    fn snp(&self, app: &AppImage) -> Result<()> {
        let (genoa, vcek) = (SnpProduct::Genoa, SnpSigningKey::Vcek);
        let machine = SnpPlatform::new(&DEVELOPMENT_SEED, genoa);
        let guest = SnpGuest::launch(&Digest([1; 32]), app);
        let evidence = machine.evidence(&guest, &REPORT_DATA, vcek, SnpCondition::Good);
        let document = machine.collateral(NOW, vcek, SnpCollateralCondition::Good);
        let roots = [emulated(machine.root_certificate())];
        let bytes = (evidence.len(), document.len());
        self.measure("snp, whole chain", bytes, || snp::claims(&evidence, &document, &roots, NOW).is_ok())?;
        self.measure("snp, chain verified before", bytes, || {
            VerifiedSnpCollateral::from_accepted(&document, &roots[0])
                .is_ok_and(|known| snp::claims_under(&evidence, &known, NOW).is_ok())
        })
    }

    fn nitro(&self, app: &AppImage) -> Result<()> {
        let host = NitroPlatform::new(&DEVELOPMENT_SEED);
        let enclave = NitroEnclave::launch(&Digest([1; 32]), app);
        let evidence = host.evidence(&enclave, &REPORT_DATA, NOW, NitroCondition::Good);
        let document = host.collateral(NOW, NitroCollateralCondition::Good);
        let roots = [emulated(host.root_certificate())];
        let bytes = (evidence.len(), document.len());
        self.measure("nitro, whole chain", bytes, || nitro::claims(&evidence, &document, &roots, NOW).is_ok())?;
        self.measure("nitro, chain verified before", bytes, || {
            VerifiedNitroCollateral::from_accepted(&document, &roots[0])
                .is_ok_and(|known| nitro::claims_under(&evidence, &known, &roots, NOW).is_ok())
        })
    }

    fn nvidia(&self) -> Result<()> {
        let gpu = EmulatedGpu::nth(&DEVELOPMENT_SEED, GpuArchitecture::Hopper, 0);
        let (evidence, document) = (gpu.evidence(&nvidia::gpu_nonce(&REPORT_DATA)), gpu.collateral(NOW));
        let roots = [emulated(gpu_root_certificate(&DEVELOPMENT_SEED))];
        let bytes = (evidence.len(), document.len());
        self.measure("nvidia, whole chain", bytes, || nvidia::claims(&evidence, &document, &roots, NOW).is_ok())?;
        self.measure("nvidia, chain verified before", bytes, || {
            VerifiedNvidiaCollateral::from_accepted(&document, &roots)
                .is_ok_and(|known| nvidia::claims_with(&evidence, Some(&known), &roots, NOW).is_ok())
        })
    }

    /// The ledger's own attestation step over TDs of as many machines as there are rounds: how many one core takes.
    fn registration(&self, app: &AppImage) -> Result<()> {
        let td = TdReport::launch(&Digest([1; 32]), app);
        let platform = Platform::new(&DEVELOPMENT_SEED);
        let document = platform.collateral(NOW);
        let roots = [emulated(root_certificate(&DEVELOPMENT_SEED))];
        let policy = PolicyFile::any_measurement(default_policy()).policy_for(&Measurement::Tdx(td.measurement()));
        let quotes: Vec<Vec<u8>> = (0..self.count.min(64))
            .map(|index| Platform::nth(&DEVELOPMENT_SEED, index).quote_v4(&td, &REPORT_DATA))
            .collect();
        let terms = AttestationTerms {
            stated: (TrustDomain::Emulated, freehold_emulator::FMSPC),
            roots: &roots,
            policy: &policy,
            now_unix_s: NOW,
        };
        let (begun, cpu) = (Instant::now(), cpu_s());
        let mut last = None;
        for quote in &quotes {
            let evidence = Evidence { kind: EvidenceKind::Tdx, bytes: quote, collateral: &[&document] };
            last = Some(attest(&evidence, &terms).ok().context("the ledger refuses the evidence")?);
        }
        let (seconds, cpu) = (begun.elapsed().as_secs_f64(), cpu_s() - cpu);
        let rate = quotes.len() as f64 / cpu.max(f64::EPSILON);
        self.output.text(&format!(
            "  the ledger's attestation step: {rate:.0} registrations a second of one core ({} in {seconds:.2} s)",
            quotes.len()
        ));
        self.output.object(&json!({
            "event": "bench",
            "bench": "attest",
            "kind": "registration step",
            "n": quotes.len(),
            "per_cpu_second": round(rate),
        }));
        if let (Some(claims), Some(quote)) = (last, quotes.last()) {
            self.state(&claims, quote.len());
        }
        Ok(())
    }

    /// What the first registration of a TD leaves in the state, as `spec/entries.md` has it: three entries with a slot
    /// each, a slot in the shadow of platform, family, measurement and generation, the id in the app's list, and the
    /// evidence, kept by its digest.
    fn state(&self, claims: &VerifiedClaims, evidence_bytes: usize) {
        let instance = instance(claims);
        let id = instance.instance_id;
        let used = UsedEvidenceEntry { instance_id: id, height: 1 };
        let entries = instance.to_canonical().len()
            + AccountEntry { instance_id: id }.to_canonical().len()
            + used.to_canonical().len();
        let slots = (3 + 4) * SLOT_BYTES;
        let all = entries + slots + id.0.len() + evidence_bytes;
        self.output.text(&format!(
            "  state: {all} bytes a registration (evidence {evidence_bytes}, entries {entries}, slots {slots}, list {})",
            id.0.len()
        ));
        self.output.object(&json!({
            "event": "bench",
            "bench": "attest",
            "kind": "registration state",
            "bytes": all,
            "evidence_bytes": evidence_bytes,
            "entry_bytes": entries,
            "slot_bytes": slots,
        }));
    }
}

/// The entry of a first registration; its length does not depend on what the ids and digests are.
fn instance(claims: &VerifiedClaims) -> InstanceEntry {
    InstanceEntry {
        instance_id: Digest::ZERO,
        app_id: AppId::new([0; 20]),
        app_version: 0,
        provider: Account([0; 20]),
        account: Account([0; 20]),
        transport_key: G1Point([0; 48]),
        keyset_digest: Digest::ZERO,
        keyset_not_after: claims.expires_at(),
        evidence_digest: Digest::ZERO,
        collateral_digests: vec![Digest::ZERO],
        nonce_height: 1,
        nonce: Digest::ZERO,
        judged_at_unix_s: NOW,
        evidence_kind: EvidenceKind::Tdx,
        trust_domain: claims.trust_domain(),
        measurement: claims.measurement().clone(),
        tcb_status: claims.tcb_status(),
        tcb_level: claims.tcb_level(),
        tcb_level_lowest: claims.tcb_level(),
        tier: 0,
        platform: claims.platform(),
        family: claims.family(),
        gpus: claims.gpu_records(),
        opened_at: 1,
        renewed_at: 1,
        expires_at: claims.expires_at(),
        closed_at: None,
        closed_code: None,
    }
}

fn emulated(certificate: Vec<u8>) -> TrustRoot {
    TrustRoot { domain: TrustDomain::Emulated, certificate: Blob(certificate) }
}
