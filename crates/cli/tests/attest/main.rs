//! `freehold attest` as a process: real evidence of every vendor at fixed times, emulated evidence in every status, and
//! what is no evidence at all.
//!
//! Real evidence is kept outside the repository (`FREEHOLD_VECTORS`); without it the tests of it say `SKIPPED`.
#![allow(clippy::unwrap_used, missing_docs)]

mod same;

use std::{
    fs,
    io::Write as _,
    path::{Path, PathBuf},
    process::Command,
};

use freehold_attestation::nvidia::gpu_nonce;
use freehold_emulator::{
    AppImage, DEVELOPMENT_SEED, EmulatedGpu, GpuCondition, GpuPlan, GpuRevocation, Platform, TdReport,
};
use freehold_primitives::{Digest, GpuArchitecture};
use serde_json::{Value, json};

/// 2025-07-02: within the validity of most of the real collateral.
const SUMMER_2025: u64 = 1_751_500_000;
const NOVEMBER_2026: u64 = 1_795_000_000;
/// Names of a verdict, in the order in which a JSON object shows them when it is sorted.
const NAMES: [&str; 11] = [
    "canonicalised",
    "claims",
    "class",
    "code",
    "file",
    "tcb_status",
    "tee",
    "text",
    "trust_domain",
    "verdict",
    "warnings",
];

/// Runs `freehold --json attest …`: exit status and the objects of standard output.
fn attest(arguments: &[&str]) -> (i32, Vec<Value>) {
    let run = Command::new(env!("CARGO_BIN_EXE_freehold")).args(["--json", "attest"]).args(arguments).output().unwrap();
    let text = String::from_utf8(run.stdout).unwrap();
    let noise = String::from_utf8_lossy(&run.stderr);
    assert!(!noise.contains("panicked"), "{arguments:?}: {noise}");
    let lines = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    (run.status.code().unwrap(), lines)
}

/// The verdict over one file: its form is checked, and that exit status, verdict, code and class agree.
fn verdict(arguments: &[&str]) -> Value {
    let (status, mut lines) = attest(&[&["verify"], arguments].concat());
    assert_eq!(lines.len(), 1, "{arguments:?}: one object a file");
    let verdict = lines.remove(0);
    let names: Vec<&String> = verdict.as_object().unwrap().keys().collect();
    let mut sorted = names.clone();
    sorted.sort();
    assert_eq!(sorted, NAMES, "{arguments:?}");
    let Some(code) = verdict["code"].as_u64() else {
        assert_eq!((status, &verdict["verdict"]), (0, &json!("accepted")), "{arguments:?}");
        assert!(verdict["class"].is_null() && verdict["text"].is_null() && verdict["claims"].is_object());
        return verdict;
    };
    let class = ["invalid", "untrusted", "expired", "unavailable", "policy"][usize::try_from(code).unwrap() / 100 - 1];
    assert_eq!((status, &verdict["verdict"]), (1, &json!("refused")), "{arguments:?}");
    assert_eq!((&verdict["class"], verdict["text"].is_string()), (&json!(class), true), "{arguments:?}");
    verdict
}

/// The folder of real evidence; absence is said loudly.
fn vectors() -> Option<PathBuf> {
    let root = std::env::var_os("FREEHOLD_VECTORS")
        .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/vectors"), PathBuf::from);
    if root.is_dir() {
        return Some(root);
    }
    let said = format!("SKIPPED: no real evidence at {}; set FREEHOLD_VECTORS\n", root.display());
    std::io::stderr().write_all(said.as_bytes()).unwrap();
    None
}

/// A real file, judged.
struct Known {
    file: &'static str,
    collateral: Option<&'static str>,
    now: u64,
    /// Kind, trust domain, TCB status where the vendor has one.
    said: (&'static str, Option<&'static str>, Option<&'static str>),
    code: Option<u64>,
}

const fn known(
    file: &'static str,
    collateral: Option<&'static str>,
    now: u64,
    said: (&'static str, Option<&'static str>, Option<&'static str>),
    code: Option<u64>,
) -> Known {
    Known { file, collateral, now, said, code }
}

const TDX: &str = "tdx/dcap-qvl/tdx_quote";
const TDX_COLLATERAL: Option<&str> = Some("tdx/dcap-qvl/tdx_quote_collateral.json");
const SGX: &str = "sgx/dcap-qvl/sgx_quote";
const SGX_COLLATERAL: Option<&str> = Some("sgx/dcap-qvl/sgx_quote_collateral.json");
const TRUSTEE: Option<&str> = Some("snp/trustee");
const NITRO: &str = "nitro/dstack-nitro_attestation.bin";
const H100: &str = "nvidia/nvtrust/hopperAttestationReport.txt";

/// Nothing verified.
const fn unverified(tee: &'static str) -> (&'static str, Option<&'static str>, Option<&'static str>) {
    (tee, None, None)
}

const AMD: (&str, Option<&str>, Option<&str>) = ("snp", Some("amd"), None);
const NVIDIA: (&str, Option<&str>, Option<&str>) = ("nvidia", Some("nvidia"), None);
const SGX_SAID: (&str, Option<&str>, Option<&str>) = ("sgx", Some("intel"), Some("ConfigurationAndSWHardeningNeeded"));

const REAL: &[Known] = &[
    known(TDX, TDX_COLLATERAL, SUMMER_2025, ("tdx", Some("intel"), Some("UpToDate")), None),
    known(TDX, TDX_COLLATERAL, 1_752_919_234, ("tdx", Some("intel"), Some("UpToDate")), None),
    known(TDX, TDX_COLLATERAL, 1_752_919_235, unverified("tdx"), Some(303)),
    known(TDX, None, SUMMER_2025, unverified("tdx"), Some(401)),
    known(SGX, SGX_COLLATERAL, SUMMER_2025, SGX_SAID, Some(507)),
    known(SGX, None, SUMMER_2025, unverified("sgx"), Some(401)),
    known(
        "tdx/automata/quote_tdx_00806f050000.dat",
        Some("tdx/automata"),
        1_740_000_000,
        ("tdx", Some("intel"), Some("OutOfDate")),
        Some(507),
    ),
    known("tdx/go-tdx-guest/quote_v5_sample.dat", None, SUMMER_2025, unverified("tdx"), Some(401)),
    known("tdx/go-tdx-guest/tdx_prod_quote_SPR_E4.dat", None, SUMMER_2025, unverified("tdx"), Some(103)),
    known("tdx/oasis/quote_v4_tdx_ecdsa_p256.bin", None, SUMMER_2025, unverified("tdx"), Some(401)),
    known("tdx/dstack/quote-report.json", None, SUMMER_2025, unverified("tdx"), Some(401)),
    known("tdx/dstack/tdx-lite-attestation.json", None, SUMMER_2025, unverified("tdx"), Some(401)),
    known("tdx/dcap-qvl/tdx-quote.hex", None, SUMMER_2025, unverified("tdx"), Some(401)),
    known("tdx/oasis/quote_v4_tdx_ecdsa_p256_out_of_date.bin", None, SUMMER_2025, unverified("tdx"), Some(401)),
    known("tdx/oasis/quote_v4_tdx_ecdsa_p256_trailing.bin", None, SUMMER_2025, unverified("tdx"), Some(401)),
    known("tdx/dstack/tdx-lite-getquote.json", None, SUMMER_2025, unverified("tdx"), Some(401)),
    known("tdx/dstack/tdx_quote", None, SUMMER_2025, unverified("tdx"), Some(401)),
    known("tdx/dcap-qvl/quote-from-tappd.hex", None, SUMMER_2025, unverified("tdx"), Some(401)),
    known("eventlog/gcp-cos113-cos-113-tdx-quote.dat", None, SUMMER_2025, unverified("tdx"), Some(401)),
    known("sgx/oasis/quote_v3_ecdsa_p256_pck_chain.bin", None, SUMMER_2025, unverified("sgx"), Some(401)),
    known("sgx/oasis/quote_v3_ecdsa_p256_eppid.bin", None, SUMMER_2025, unverified("sgx"), Some(105)),
    known("sgx/oasis/pcs_quote_bundle.cbor", None, SUMMER_2025, unverified("sgx"), Some(401)),
    // Genuine, but of Milan.
    known("snp/virtee-sev/report_milan.hex", Some("snp/virtee-sev"), SUMMER_2025, AMD, Some(530)),
    known("snp/trustee/test-report.bin", TRUSTEE, SUMMER_2025, AMD, Some(530)),
    known("snp/trustee/test-vlek-report.bin", TRUSTEE, SUMMER_2025, AMD, Some(530)),
    known("snp/trustee/az-evidence-v0.json", TRUSTEE, SUMMER_2025, AMD, Some(530)),
    known("snp/trustee/az-evidence-v2.json", TRUSTEE, SUMMER_2025, AMD, Some(530)),
    known("snp/trustee/az-hcl-report.bin", TRUSTEE, SUMMER_2025, AMD, Some(530)),
    known("snp/trustee/az-milan-report.bin", TRUSTEE, SUMMER_2025, AMD, Some(530)),
    known("snp/trustee/az-genoa-report.bin", TRUSTEE, SUMMER_2025, AMD, None),
    known("snp/trustee/az-evidence-genoa.json", TRUSTEE, SUMMER_2025, AMD, None),
    known("snp/trustee/az-genoa-report.bin", None, SUMMER_2025, unverified("snp"), Some(401)),
    known(H100, Some("nvidia/nvtrust/hopperCertChain.txt"), SUMMER_2025, NVIDIA, None),
    known(H100, None, SUMMER_2025, unverified("nvidia"), Some(401)),
    known("nvidia/nvtrust/ppcie_gpu_evidence.json", None, SUMMER_2025, NVIDIA, None),
    known(NITRO, None, 1_766_681_000, ("nitro", Some("aws"), None), None),
    known(NITRO, None, SUMMER_2025, unverified("nitro"), Some(305)),
    known("eventlog/dstack-ccel.bin", None, SUMMER_2025, unverified("eventlog"), Some(128)),
];

#[test]
fn real_evidence_has_its_known_verdict() {
    let Some(vectors) = vectors() else { return };
    let mut compared = 0;
    for known in REAL {
        let file = vectors.join(known.file);
        let collateral = known.collateral.map(|path| vectors.join(path));
        let now = known.now.to_string();
        let mut arguments = vec![file.to_str().unwrap(), "--now", &now];
        if let Some(path) = &collateral {
            arguments.extend(["--collateral", path.to_str().unwrap()]);
        }
        let verdict = verdict(&arguments);
        let said = [&verdict["tee"], &verdict["trust_domain"], &verdict["tcb_status"]].map(Value::as_str);
        assert_eq!(verdict["code"].as_u64(), known.code, "{arguments:?}");
        assert_eq!(said, [Some(known.said.0), known.said.1, known.said.2], "{arguments:?}");
        // What is genuine is shown even where a policy refuses it.
        assert_eq!(verdict["claims"].is_object(), known.said.1.is_some(), "{arguments:?}");
        compared += usize::from(same::check(&file, collateral.as_deref(), known.now, known.code));
    }
    assert!(compared >= 25, "{compared} verdicts are compared with the chain's and the proof's");
}

#[test]
fn a_folder_of_a_vendors_files_is_put_together() {
    let Some(vectors) = vectors() else { return };
    let folder = tempfile::tempdir().unwrap();
    for (from, to) in [
        ("tdx/oasis/tcb_info_v3_tdx_fmspc_50806F000000.json", "info"),
        ("tdx/oasis/qe_identity_v2_tdx.json", "identity"),
        ("tdx/go-tdx-guest/rootcrl.der", "root"),
        ("tdx/go-tdx-guest/pckcrl", "pck"),
        ("tdx/automata/tcb_signing_cert.pem", "signer"),
        ("tdx/oasis/quote_v4_tdx_ecdsa_p256.bin", "no collateral"),
    ] {
        fs::copy(vectors.join(from), folder.path().join(to)).unwrap();
    }
    let quote = vectors.join("tdx/oasis/quote_v4_tdx_ecdsa_p256_out_of_date.bin");
    let arguments = [quote.to_str().unwrap(), "--collateral", folder.path().to_str().unwrap(), "--now", "1687700000"];
    // The TD is older than every level that this collateral knows.
    assert_eq!(verdict(&arguments)["code"], 208);
    fs::remove_file(folder.path().join("pck")).unwrap();
    assert_eq!(verdict(&arguments)["code"], 401);
}

#[test]
fn real_claims_are_shown() {
    let Some(vectors) = vectors() else { return };
    let path = |name: &str| vectors.join(name).to_str().unwrap().to_owned();
    let now = SUMMER_2025.to_string();
    let sgx = verdict(&[&path(SGX), "--collateral", &path(SGX_COLLATERAL.unwrap()), "--now", &now]);
    assert_eq!(sgx["claims"]["pck"]["advisories"], json!(["INTEL-SA-00289", "INTEL-SA-00615"]));
    assert_eq!(sgx["claims"]["family"], "00a067110000");
    let collateral = path(TDX_COLLATERAL.unwrap());
    let tdx = verdict(&[&path(TDX), "--collateral", &collateral, "--now", &now]);
    assert_eq!(
        (&tdx["claims"]["family"], &tdx["claims"]["expires_at"]),
        (&json!("b0c06f000000"), &json!(1_752_919_235))
    );
    // The kernel's padding was taken off, and nobody who wants the canonical form alone gets it.
    assert_eq!(tdx["canonicalised"], true);
    let strict = verdict(&[&path(TDX), "--collateral", &collateral, "--now", &now, "--canonical"]);
    assert_eq!(strict["code"], 185);
    let forced = verdict(&[&path(TDX), "--format", "snp", "--now", &now]);
    assert_eq!(forced["code"], 129);
    // A policy file over the default one lets the SGX status in.
    let folder = tempfile::tempdir().unwrap();
    let policy = folder.path().join("policy.toml");
    fs::write(&policy, "[sgx.platform]\ntcb_statuses = [\"ConfigurationAndSWHardeningNeeded\"]\n").unwrap();
    let collateral = path(SGX_COLLATERAL.unwrap());
    let policy = policy.to_str().unwrap();
    let open = verdict(&[&path(SGX), "--collateral", &collateral, "--now", &now, "--policy", policy]);
    assert_eq!(open["verdict"], "accepted");
}

#[test]
fn every_emulated_status_has_the_code_that_the_list_names() {
    let (status, cases) = attest(&["emulate", "--list"]);
    assert_eq!(status, 0);
    assert!(cases.len() > 100, "{}", cases.len());
    let mut compared = 0;
    let folder = tempfile::tempdir().unwrap();
    let (out, now) = (folder.path().to_str().unwrap(), NOVEMBER_2026.to_string());
    for case in &cases {
        let [kind, name] = [&case["kind"], &case["status"]].map(|text| text.as_str().unwrap());
        let (status, made) = attest(&["emulate", "--kind", kind, "--status", name, "--now", &now, "--out", out]);
        assert_eq!(status, 0, "{kind} {name}");
        let mut arguments = vec![made[0]["evidence"].as_str().unwrap(), "--now", &now];
        if let Some(path) = made[0]["collateral"].as_str() {
            arguments.extend(["--collateral", path]);
        }
        let first = verdict(&arguments);
        assert_eq!(first["code"], case["code"], "{kind} {name}: {first}");
        if first["code"].is_null() {
            assert_eq!(first["trust_domain"], "emulated", "{kind} {name}");
            assert!(first["warnings"].to_string().contains("anyone can make"), "{kind} {name}");
            arguments.push("--require-hardware");
            assert_eq!(verdict(&arguments)["code"], 501, "{kind} {name}");
        }
        let beside = made[0]["collateral"].as_str().map(Path::new);
        let evidence = Path::new(made[0]["evidence"].as_str().unwrap());
        compared += usize::from(same::check(evidence, beside, NOVEMBER_2026, first["code"].as_u64()));
    }
    // All but GPUs alone, and what has no form or no collateral.
    assert!(compared >= 90, "{compared} of {} verdicts are compared with the chain's and the proof's", cases.len());
}

#[test]
fn a_gpu_beside_a_td_has_one_verdict_everywhere() {
    let folder = tempfile::tempdir().unwrap();
    let platform = Platform::new(&DEVELOPMENT_SEED);
    let td =
        TdReport::launch(&Digest([1; 32]), &AppImage { executable: Digest([2; 32]), arguments: vec![], model: None });
    let td = platform.quote_v4(&td, &[7; 64]);
    let td_collateral = platform.collateral(NOVEMBER_2026);
    let gpu = EmulatedGpu::nth(&DEVELOPMENT_SEED, GpuArchitecture::Blackwell, 0);
    let nonce = gpu_nonce(&[7; 64]);
    for condition in GpuCondition::ALL {
        for revocation in [None, Some(GpuRevocation::None), Some(GpuRevocation::Device), Some(GpuRevocation::Model)] {
            let plan = GpuPlan { condition: *condition, ..GpuPlan::new(GpuArchitecture::Blackwell) };
            let collateral = revocation.map(|revocation| gpu.collateral_with(NOVEMBER_2026, revocation));
            same::bundle(folder.path(), &td, &td_collateral, (gpu.evidence_with(&nonce, &plan), collateral));
            let [bundle, beside] = ["bundle.bin", "collateral"].map(|name| folder.path().join(name));
            let (now, paths) = (NOVEMBER_2026.to_string(), [bundle.to_str().unwrap(), beside.to_str().unwrap()]);
            let said = verdict(&[paths[0], "--collateral", paths[1], "--now", &now]);
            assert_eq!(said["tee"], "bundle");
            assert!(same::check(&bundle, Some(&beside), NOVEMBER_2026, said["code"].as_u64()), "{condition:?}");
        }
    }
}

#[test]
fn what_is_no_evidence_is_refused_by_its_code() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().to_str().unwrap();
    assert_eq!(attest(&["emulate", "--kind", "tdx-v4", "--out", out]).0, 0);
    let quote = fs::read(folder.path().join("evidence.bin")).unwrap();
    let padded = [quote.as_slice(), &vec![0; 300 * 1024]].concat();
    let cases: [(&str, &[u8], u64); 9] = [
        ("empty", b"", 181),
        ("garbage", &[0xe7; 2_000], 181),
        ("short", &quote[..100], 102),
        ("truncated", &quote[..quote.len() - 1], 102),
        ("long", &padded, 180),
        ("longer", &[0; 600 * 1024], 180),
        ("twice", br#"{"quote":"00","quote":"01"}"#, 182),
        ("escaped twice", br#"{"quote":"00","\u0071uote":"01"}"#, 182),
        ("deep", "[".repeat(100_000).leak().as_bytes(), 182),
    ];
    for (name, bytes, code) in cases {
        let path = folder.path().join(name);
        fs::write(&path, bytes).unwrap();
        let path = path.to_str().unwrap();
        assert_eq!(verdict(&[path])["code"], code, "{name}");
        let (status, _) = attest(&["inspect", path]);
        assert!(status == 1 || code == 102, "{name}: {status}");
        for format in ["tdx", "sgx", "snp", "nitro", "nvidia", "bundle", "eventlog"] {
            assert_eq!(verdict(&[path, "--format", format])["verdict"], "refused", "{name} as {format}");
        }
    }
}

#[test]
fn one_refusal_among_many_files_and_wrong_usage_have_their_exit_codes() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().to_str().unwrap();
    let now = NOVEMBER_2026.to_string();
    assert_eq!(attest(&["emulate", "--kind", "tdx-v5", "--now", &now, "--out", out]).0, 0);
    let [good, collateral, bad] = ["evidence.bin", "collateral.bin", "bad"].map(|name| folder.path().join(name));
    fs::write(&bad, "no evidence").unwrap();
    let [good, collateral, bad] = [&good, &collateral, &bad].map(|path| path.to_str().unwrap());
    let (status, verdicts) = attest(&["verify", good, bad, good, "--collateral", collateral, "--now", &now]);
    let said: Vec<&Value> = verdicts.iter().map(|verdict| &verdict["verdict"]).collect();
    assert_eq!((status, said), (1, vec![&json!("accepted"), &json!("refused"), &json!("accepted")]));
    for usage in [
        vec!["verify", "absent"],
        vec!["verify", good, "--format", "unknown"],
        vec!["verify", good, "--collateral", bad],
        vec!["verify", good, "--policy", bad],
        vec!["emulate", "--kind", "tdx-v4", "--status", "unknown"],
    ] {
        let (status, told) = attest(&usage);
        assert_eq!((status, &told[0]["event"]), (2, &json!("error")), "{usage:?}");
    }
}
