//! A version 4 TDX quote, byte for byte as Intel's quoting enclave lays it out (Intel 360702, "DCAP Quote Generation"
//! appendix A.3), in the canonical form of `spec/evidence.md` §2.

use sha2::{Digest as _, Sha256};

use crate::{keys::Key, platform::CPU_SVN, report::TdReport};

/// MRSIGNER of the emulated quoting enclave.
pub(crate) const QE_MR_SIGNER: [u8; 32] = [0xe0; 32];
/// ISVSVN of the emulated quoting enclave.
pub(crate) const QE_ISV_SVN: u16 = 4;
/// ISVPRODID of the TD quoting enclave.
pub(crate) const QE_ISV_PROD_ID: u16 = 2;
/// SVNs of the emulated TDX module and its loader; byte 0 is the module's ISVSVN, byte 1 its major version.
pub(crate) const TEE_TCB_SVN: [u8; 16] = [11, 1, 3, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];

const QE_VENDOR_ID: [u8; 16] =
    [0x93, 0x9a, 0x72, 0x33, 0xf7, 0x9c, 0x4c, 0xa9, 0x94, 0x0a, 0x0d, 0xb3, 0x95, 0x7f, 0x06, 0x07];
const MR_SEAM: [u8; 48] = [0xee; 48];

/// Everything behind the attestation key, the same in each of a platform's quotes: certification data of type 6 (the
/// quoting enclave's report, signed by the PCK) around type 5 (the PCK chain).
pub(crate) fn certification(pck_key: &Key, attestation_key: &Key, chain: &str) -> Vec<u8> {
    let auth_data: [u8; 32] = core::array::from_fn(|index| index as u8);
    let bound = Sha256::new().chain_update(attestation_key.public_point()).chain_update(auth_data).finalize();
    let report = qe_report(&bound.into());
    let mut inner = report.to_vec();
    inner.extend(pck_key.sign(&report));
    inner.extend(32u16.to_le_bytes());
    inner.extend(auth_data);
    inner.extend(5u16.to_le_bytes());
    inner.extend(length(chain.len() + 1));
    inner.extend(chain.as_bytes());
    inner.push(0);

    let mut out = attestation_key.public_point().to_vec();
    out.extend(6u16.to_le_bytes());
    out.extend(length(inner.len()));
    out.extend(inner);
    out
}

/// The quoting enclave's own report: an SGX report body of 384 bytes whose report data is the bound hash.
fn qe_report(bound: &[u8; 32]) -> [u8; 384] {
    let mut report = [0; 384];
    report[..16].copy_from_slice(&CPU_SVN);
    report[48] = 0x11;
    report[56] = 0xe7;
    report[64..96].copy_from_slice(&[0xe1; 32]);
    report[128..160].copy_from_slice(&QE_MR_SIGNER);
    report[256..258].copy_from_slice(&QE_ISV_PROD_ID.to_le_bytes());
    report[258..260].copy_from_slice(&QE_ISV_SVN.to_le_bytes());
    report[320..352].copy_from_slice(bound);
    report
}

/// Header, body, signature, certification.
pub(crate) fn quote_v4(
    attestation_key: &Key,
    certification: &[u8],
    report: &TdReport,
    report_data: &[u8; 64],
) -> Vec<u8> {
    let mut quote = Vec::with_capacity(700 + certification.len());
    quote.extend(4u16.to_le_bytes());
    quote.extend(2u16.to_le_bytes());
    quote.extend(0x81u32.to_le_bytes());
    quote.extend([0; 4]);
    quote.extend(QE_VENDOR_ID);
    quote.extend([0; 20]);
    write_body(&mut quote, report, report_data);
    let signature = attestation_key.sign(&quote);
    quote.extend(length(signature.len() + certification.len()));
    quote.extend(signature);
    quote.extend(certification);
    quote
}

/// A TD 1.0 report body, 584 bytes.
fn write_body(out: &mut Vec<u8>, report: &TdReport, report_data: &[u8; 64]) {
    out.extend(TEE_TCB_SVN);
    out.extend(MR_SEAM);
    out.extend([0; 48]); // MRSIGNERSEAM: Intel's own module
    out.extend([0; 8]); // SEAMATTRIBUTES
    out.extend(report.td_attributes.to_le_bytes());
    out.extend(report.xfam.to_le_bytes());
    out.extend(report.mrtd.0);
    out.extend(report.mr_config_id.0);
    out.extend(report.mr_owner.0);
    out.extend(report.mr_owner_config.0);
    for rtmr in report.rtmrs() {
        out.extend(rtmr.0);
    }
    out.extend(report_data);
}

fn length(length: usize) -> [u8; 4] {
    u32::try_from(length).expect("a quote is a few KiB").to_le_bytes()
}
