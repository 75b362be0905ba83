//! Quotes byte for byte as Intel's quoting enclaves lay them out (Intel 360702, "DCAP Quote Generation" appendix A), in
//! the canonical form of `spec/evidence.md` §2: TDX versions 4 and 5, SGX version 3.

use sha2::{Digest as _, Sha256};

use crate::{keys::Key, platform::CPU_SVN};

/// MRSIGNER of the emulated quoting enclaves.
pub(crate) const QE_MR_SIGNER: [u8; 32] = [0xe0; 32];
/// ISVSVN of the emulated quoting enclaves.
pub(crate) const QE_ISV_SVN: u16 = 4;

const QE_VENDOR_ID: [u8; 16] =
    [0x93, 0x9a, 0x72, 0x33, 0xf7, 0x9c, 0x4c, 0xa9, 0x94, 0x0a, 0x0d, 0xb3, 0x95, 0x7f, 0x06, 0x07];
const TEE_SGX: u32 = 0;
const TEE_TDX: u32 = 0x81;

/// Which quoting enclave vouches for an attestation key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum QuotingEnclave {
    Sgx,
    Td,
}

impl QuotingEnclave {
    /// ISVPRODID.
    pub(crate) const fn product(self) -> u16 {
        match self {
            Self::Sgx => 1,
            Self::Td => 2,
        }
    }
}

/// Body of a version 5 quote.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u16)]
pub enum TdBody {
    /// TD 1.0: 584 bytes.
    Td10 = 2,
    /// TD 1.5: 648 bytes, with the current TCB and service TDs.
    Td15 = 3,
    /// TD 1.5ex: 885 bytes.
    Td15Ex = 4,
}

/// Everything from the attestation key on, the same in each of a platform's quotes: the quoting enclave's report, signed
/// by the PCK, around the PCK chain (certification data of type 5; from version 4 on inside type 6).
pub(crate) fn certification(pck_key: &Key, attestation_key: &Key, enclave: QuotingEnclave, chain: &str) -> Vec<u8> {
    let auth_data: [u8; 32] = core::array::from_fn(|index| index as u8);
    let bound = Sha256::new().chain_update(attestation_key.public_point()).chain_update(auth_data).finalize();
    let report = qe_report(enclave, &bound.into());
    let mut inner = report.to_vec();
    inner.extend(pck_key.sign(&report));
    inner.extend(32u16.to_le_bytes());
    inner.extend(auth_data);
    inner.extend(5u16.to_le_bytes());
    inner.extend(length(chain.len() + 1));
    inner.extend(chain.as_bytes());
    inner.push(0);

    let mut out = attestation_key.public_point().to_vec();
    if enclave == QuotingEnclave::Td {
        out.extend(6u16.to_le_bytes());
        out.extend(length(inner.len()));
    }
    out.extend(inner);
    out
}

/// The quoting enclave's own report: an SGX report body of 384 bytes whose report data is the bound hash.
fn qe_report(enclave: QuotingEnclave, bound: &[u8; 32]) -> [u8; 384] {
    let mut report = [0; 384];
    report[..16].copy_from_slice(&CPU_SVN);
    report[48] = 0x11;
    report[56] = 0xe7;
    report[64..96].copy_from_slice(&[0xe1; 32]);
    report[128..160].copy_from_slice(&QE_MR_SIGNER);
    report[256..258].copy_from_slice(&enclave.product().to_le_bytes());
    report[258..260].copy_from_slice(&QE_ISV_SVN.to_le_bytes());
    report[320..352].copy_from_slice(bound);
    report
}

pub(crate) fn td_v4(attestation_key: &Key, certification: &[u8], body: &[u8]) -> Vec<u8> {
    let mut quote = header(4, TEE_TDX);
    quote.extend(body);
    signed(quote, attestation_key, certification)
}

pub(crate) fn td_v5(attestation_key: &Key, certification: &[u8], kind: TdBody, body: &[u8]) -> Vec<u8> {
    let mut quote = header(5, TEE_TDX);
    quote.extend((kind as u16).to_le_bytes());
    quote.extend(length(body.len()));
    quote.extend(body);
    signed(quote, attestation_key, certification)
}

pub(crate) fn sgx_v3(attestation_key: &Key, certification: &[u8], body: &[u8]) -> Vec<u8> {
    let mut quote = header(3, TEE_SGX);
    quote.extend(body);
    signed(quote, attestation_key, certification)
}

/// A header of 48 bytes.
fn header(version: u16, tee: u32) -> Vec<u8> {
    let mut quote = version.to_le_bytes().to_vec();
    quote.extend(2u16.to_le_bytes());
    quote.extend(tee.to_le_bytes());
    quote.extend([0; 4]);
    quote.extend(QE_VENDOR_ID);
    quote.extend([0; 20]);
    quote
}

/// Header and body with their signature and certification behind them.
fn signed(mut quote: Vec<u8>, attestation_key: &Key, certification: &[u8]) -> Vec<u8> {
    let signature = attestation_key.sign(&quote);
    quote.extend(length(signature.len() + certification.len()));
    quote.extend(signature);
    quote.extend(certification);
    quote
}

fn length(length: usize) -> [u8; 4] {
    u32::try_from(length).expect("a quote is a few KiB").to_le_bytes()
}
