//! Makes a case: evidence and collateral in files as tools write them.

use freehold_attestation::nvidia::gpu_nonce;
use freehold_emulator::{
    AppImage, COLLATERAL_VALID_S, CollateralPlan, Condition, DEVELOPMENT_SEED, EmulatedGpu, EnclaveReport,
    GpuCondition, GpuPlan, GpuRevocation, NitroCollateralCondition, NitroCondition, NitroEnclave, NitroPlatform,
    Platform, SnpCollateralCondition, SnpCondition, SnpGuest, SnpPlatform, TdBody, TdReport,
};
use freehold_primitives::{Digest, GpuArchitecture, Register, SnpProduct, SnpSigningKey};
use serde_json::json;

use super::table::{Case, Fault, Plan};

/// What `attest verify` is given.
pub(crate) struct Made {
    pub(crate) evidence_name: &'static str,
    pub(crate) evidence: Vec<u8>,
    pub(crate) collateral: Option<Vec<u8>>,
}

impl Made {
    fn new(evidence: Vec<u8>, collateral: Option<Vec<u8>>) -> Self {
        Self { evidence_name: "evidence.bin", evidence, collateral }
    }
}

/// Makes a case at `now_unix_s`.
pub(crate) fn made(case: &Case, report_data: &[u8; 64], now_unix_s: u64) -> Made {
    match case.plan {
        Plan::Intel(condition, fault) => intel(case.kind, condition, fault, (report_data, now_unix_s)),
        Plan::Snp(product, key, evidence, collateral) => {
            snp((product, key), evidence, collateral, (report_data, now_unix_s))
        }
        Plan::Nitro(evidence, collateral) => nitro(evidence, collateral, (report_data, now_unix_s)),
        Plan::Gpu(architecture, condition, revocation) => {
            gpu(architecture, condition, revocation, (report_data, now_unix_s))
        }
    }
}

fn app() -> AppImage {
    AppImage { executable: Digest([2; 32]), arguments: Vec::new(), model: None }
}

const GUEST: Digest = Digest([1; 32]);

fn intel(kind: &str, condition: Condition, fault: Fault, (report_data, now_unix_s): (&[u8; 64], u64)) -> Made {
    let platform = Platform::new(&DEVELOPMENT_SEED);
    let plan = CollateralPlan { condition, ..CollateralPlan::default() };
    let issued = if fault == Fault::Expired { now_unix_s.saturating_sub(2 * COLLATERAL_VALID_S) } else { now_unix_s };
    let (mut evidence, collateral) = if kind == "sgx" {
        let mut enclave = EnclaveReport::launch(&GUEST, &app());
        if fault == Fault::Debug {
            enclave.attributes |= 1 << 1;
        }
        (platform.quote_v3(&enclave, report_data), platform.sgx_collateral_with(issued, &plan))
    } else {
        let td = td(fault);
        let quote = if kind == "tdx-v5" {
            platform.quote_v5(&td, TdBody::Td15, report_data)
        } else {
            platform.quote_v4(&td, report_data)
        };
        (quote, platform.collateral_with(issued, &plan))
    };
    match fault {
        Fault::Trailing => evidence.push(1),
        // A byte of the report data, which the header and body's signature covers.
        Fault::Forged => {
            let at = if kind == "sgx" { 48 + 320 } else { 48 + 520 };
            evidence[at + 8] ^= 1;
        }
        _ => {}
    }
    Made::new(evidence, (fault != Fault::CollateralMissing).then_some(collateral))
}

fn td(fault: Fault) -> TdReport {
    let mut td = TdReport::launch(&GUEST, &app());
    match fault {
        Fault::Debug => td.td_attributes |= 1,
        Fault::Migratable => td.td_attributes |= 1 << 29,
        Fault::ServiceTd => td.mr_service_td = Register([1; 48]),
        Fault::Relaunch => td = td.launched_before_update(),
        _ => {}
    }
    td
}

fn snp(
    (product, key): (SnpProduct, SnpSigningKey),
    condition: SnpCondition,
    collateral: SnpCollateralCondition,
    (report_data, now_unix_s): (&[u8; 64], u64),
) -> Made {
    let machine = SnpPlatform::new(&DEVELOPMENT_SEED, product);
    let evidence = machine.evidence(&SnpGuest::launch(&GUEST, &app()), report_data, key, condition);
    Made::new(evidence, Some(machine.collateral(now_unix_s, key, collateral)))
}

fn nitro(
    condition: NitroCondition,
    collateral: Option<NitroCollateralCondition>,
    (report_data, now_unix_s): (&[u8; 64], u64),
) -> Made {
    let host = NitroPlatform::new(&DEVELOPMENT_SEED);
    let enclave = NitroEnclave::launch(&GUEST, &app());
    let evidence = host.evidence(&enclave, report_data, now_unix_s, condition);
    Made::new(evidence, collateral.map(|condition| host.collateral(now_unix_s, condition)))
}

/// GPUs stand in a list, as NVIDIA's tools write them, with the nonce that was asked for.
fn gpu(
    architecture: GpuArchitecture,
    condition: GpuCondition,
    revocation: GpuRevocation,
    (report_data, now_unix_s): (&[u8; 64], u64),
) -> Made {
    let gpu = EmulatedGpu::nth(&DEVELOPMENT_SEED, architecture, 0);
    let plan = GpuPlan { condition, ..GpuPlan::new(architecture) };
    let nonce = gpu_nonce(report_data);
    let (report, chain) = gpu.raw(&nonce, &plan);
    let list = json!([{
        "arch": format!("{architecture:?}").to_uppercase(),
        "driver_version": plan.driver_version,
        "vbios_version": plan.vbios_version,
        "nonce": hex::encode(nonce),
        "evidence": hex::encode(report),
        "certificate": chain,
    }]);
    let collateral = Some(gpu.collateral_with(now_unix_s, revocation));
    Made { evidence_name: "evidence.json", evidence: list.to_string().into_bytes(), collateral }
}
