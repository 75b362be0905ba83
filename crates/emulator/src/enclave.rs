//! What runs in an emulated SGX enclave, as its report shows it (`spec/evidence.md` §3).
//!
//! MRENCLAVE stands for the enclave's file. An enclave has no register that could be extended, so that the app's image
//! digest stands in CONFIGID (key separation and sharing, KSS).

use freehold_primitives::{Digest, SgxMeasurement};
use sha2::{Digest as _, Sha256};

use crate::{platform::CPU_SVN, report::AppImage};

/// INIT, MODE64BIT, KSS.
const ATTRIBUTES: u64 = 0x85;
/// x87, SSE, AVX, AVX-512.
const XFRM: u64 = 0xe7;

/// The part of an enclave's report that its launch decides.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EnclaveReport {
    /// Attribute flags; bit 1 is DEBUG, bit 7 KSS.
    pub attributes: u64,
    /// Extended features.
    pub xfrm: u64,
    /// MISCSELECT.
    pub misc_select: u32,
    /// MRENCLAVE, MRSIGNER, ISVPRODID and ISVSVN.
    pub measurement: SgxMeasurement,
    /// CONFIGID.
    pub config_id: [u8; 64],
    /// CONFIGSVN.
    pub config_svn: u16,
    /// ISVEXTPRODID.
    pub isv_ext_prod_id: [u8; 16],
    /// ISVFAMILYID.
    pub isv_family_id: [u8; 16],
}

impl EnclaveReport {
    /// An enclave whose file has SHA-256 `enclave` and that will serve `app`.
    pub fn launch(enclave: &Digest, app: &AppImage) -> Self {
        let mut config_id = [0; 64];
        config_id[..48].copy_from_slice(app.digest().as_bytes());
        Self {
            attributes: ATTRIBUTES,
            xfrm: XFRM,
            misc_select: 0,
            measurement: SgxMeasurement {
                mr_enclave: hash(b"freehold emulated mrenclave\n", enclave.as_ref()),
                mr_signer: hash(b"freehold emulated mrsigner\n", &[]),
                isv_prod_id: 1,
                isv_svn: 1,
            },
            config_id,
            config_svn: 0,
            isv_ext_prod_id: [0; 16],
            isv_family_id: [0; 16],
        }
    }

    /// The report body, 384 bytes.
    pub(crate) fn body(&self, report_data: &[u8; 64]) -> [u8; 384] {
        let mut body = [0; 384];
        let mut put = |at: usize, bytes: &[u8]| body[at..at + bytes.len()].copy_from_slice(bytes);
        put(0, &CPU_SVN);
        put(16, &self.misc_select.to_le_bytes());
        put(32, &self.isv_ext_prod_id);
        put(48, &self.attributes.to_le_bytes());
        put(56, &self.xfrm.to_le_bytes());
        put(64, self.measurement.mr_enclave.as_bytes());
        put(128, self.measurement.mr_signer.as_bytes());
        put(192, &self.config_id);
        put(256, &self.measurement.isv_prod_id.to_le_bytes());
        put(258, &self.measurement.isv_svn.to_le_bytes());
        put(260, &self.config_svn.to_le_bytes());
        put(304, &self.isv_family_id);
        put(320, report_data);
        body
    }
}

fn hash(first: &[u8], second: &[u8]) -> Digest {
    Digest(Sha256::new().chain_update(first).chain_update(second).finalize().into())
}
