//! Which certificate AMD gives for the key of a report: the questions that its Key Distribution Service is asked, by what the report
//! says of chip and patches (AMD 57230 §3.1). Pure; nothing of the report is verified, and nothing needs to be: another chip's or
//! another TCB's certificate does not verify it.

use freehold_attestation::snp::{SNP_REPORT_BYTES, SnpCpu};
use freehold_primitives::SnpProduct;

use crate::error::HostError;

/// Where things stand in a report (AMD 56860, table 23).
const REPORTED_TCB: usize = 0x180;
const CPU: usize = 0x188;
const CHIP: std::ops::Range<usize> = 0x1a0..0x1e0;
/// First version of reports that name their CPU.
const VERSION_WITH_CPU: u32 = 3;
/// Bytes of the chip's id that Turin has.
const TURIN_CHIP_BYTES: usize = 8;

/// The path below AMD's service of the certificate, for each product that the report may be of: one where it names its CPU, else
/// those of its time.
///
/// # Errors
/// [`HostError::Endorsement`].
pub(crate) fn paths(report: &[u8]) -> Result<Vec<String>, HostError> {
    let refused = |why| Err(HostError::Endorsement(why));
    if report.len() != SNP_REPORT_BYTES {
        return refused("it is no report of SEV-SNP");
    }
    let chip = &report[CHIP];
    if chip.iter().all(|byte| *byte == 0) {
        return refused(
            "the platform hides its chip's id (MASK_CHIP_ID): switch that off in the SNP firmware's configuration",
        );
    }
    let version = u32::from_le_bytes([report[0], report[1], report[2], report[3]]);
    let products = if version < VERSION_WITH_CPU {
        vec![SnpProduct::Milan, SnpProduct::Genoa]
    } else {
        let cpu = SnpCpu { family: report[CPU], model: report[CPU + 1], stepping: report[CPU + 2] };
        match cpu.product() {
            Some(product) => vec![product],
            None => return refused("the report is of a processor that this release does not know"),
        }
    };
    let tcb = &report[REPORTED_TCB..REPORTED_TCB + 8];
    Ok(products.into_iter().map(|product| path(product, chip, tcb)).collect())
}

fn path(product: SnpProduct, chip: &[u8], tcb: &[u8]) -> String {
    match product {
        SnpProduct::Milan | SnpProduct::Genoa => format!(
            "/vcek/v1/{product:?}/{}?blSPL={:02}&teeSPL={:02}&snpSPL={:02}&ucodeSPL={:02}",
            hex::encode(chip),
            tcb[0],
            tcb[1],
            tcb[6],
            tcb[7],
        ),
        SnpProduct::Turin => format!(
            "/vcek/v1/{product:?}/{}?fmcSPL={:02}&blSPL={:02}&teeSPL={:02}&snpSPL={:02}&ucodeSPL={:02}",
            hex::encode(&chip[..TURIN_CHIP_BYTES]),
            tcb[0],
            tcb[1],
            tcb[2],
            tcb[3],
            tcb[7],
        ),
    }
}
