//! SEV-SNP reports whose hypervisor gave no certificate beside them: the host is asked for it, since the VM reaches nobody.
//!
//! The certificate vouches for nothing here; the chain verifies it under AMD's root, and that it fits the report. Not every
//! hypervisor carries certificates to its guests, and QEMU as a rule does not.

use super::{EvidenceError, EvidenceSource};

/// Where a report names what its key hangs on: the TCB that it reports, and the chip (AMD 56860, table 23).
const REPORTED_TCB: std::ops::Range<usize> = 0x180..0x188;
const CHIP: std::ops::Range<usize> = 0x1a0..0x1e0;
/// The GUID of a VCEK certificate in a table of certificates, as `auxblob` has it.
const VCEK: [u8; 16] = [0x63, 0xda, 0x75, 0x8d, 0xe6, 0x64, 0x45, 0x64, 0xad, 0xc5, 0xf4, 0xb9, 0x3b, 0xe8, 0xac, 0xcd];
/// Bytes of one entry of the table.
const ENTRY_BYTES: usize = 24;

/// Brings the certificate of a report's key; `None` where it is not to be had now.
type Ask = Box<dyn FnMut(&[u8]) -> Option<Vec<u8>> + Send>;

/// A source of reports, and whom to ask for what is missing beside them.
pub(crate) struct EndorsedSource {
    inner: Box<dyn EvidenceSource>,
    ask: Ask,
    report: Vec<u8>,
    /// What the last certificate hangs on, and the certificate.
    known: Option<(Vec<u8>, Vec<u8>)>,
}

impl EndorsedSource {
    /// A source that takes from `inner`, and asks where that gives no certificate: once for each chip and TCB.
    pub(crate) fn new(
        inner: Box<dyn EvidenceSource>,
        ask: impl FnMut(&[u8]) -> Option<Vec<u8>> + Send + 'static,
    ) -> Self {
        Self { inner, ask: Box::new(ask), report: Vec::new(), known: None }
    }

    fn certificate(&mut self) -> Option<&[u8]> {
        let part = |range: std::ops::Range<usize>| self.report.get(range);
        let hangs_on = [part(REPORTED_TCB)?, part(CHIP)?].concat();
        if self.known.as_ref().is_none_or(|(known, _)| *known != hangs_on) {
            let certificate = (self.ask)(&self.report)?;
            self.known = Some((hangs_on, certificate));
        }
        self.known.as_ref().map(|(_, certificate)| certificate.as_slice())
    }
}

impl EvidenceSource for EndorsedSource {
    fn write_inblob(&mut self, report_data: &[u8; 64]) -> Result<(), EvidenceError> {
        self.inner.write_inblob(report_data)
    }

    fn read_outblob(&mut self) -> Result<Vec<u8>, EvidenceError> {
        self.report = self.inner.read_outblob()?;
        Ok(self.report.clone())
    }

    fn read_auxblob(&mut self) -> Result<Vec<u8>, EvidenceError> {
        let given = self.inner.read_auxblob()?;
        if given.iter().any(|byte| *byte != 0) {
            return Ok(given);
        }
        Ok(self.certificate().map(table).unwrap_or_default())
    }

    fn generation(&mut self) -> Result<u64, EvidenceError> {
        self.inner.generation()
    }

    fn provider(&self) -> &str {
        self.inner.provider()
    }

    fn reset(&mut self) {
        self.inner.reset();
    }
}

/// A table of one certificate, and the empty entry that ends it.
fn table(certificate: &[u8]) -> Vec<u8> {
    let (from, length) = (2 * ENTRY_BYTES as u32, u32::try_from(certificate.len()).unwrap_or(u32::MAX));
    let mut table = VCEK.to_vec();
    table.extend(from.to_le_bytes());
    table.extend(length.to_le_bytes());
    table.resize(2 * ENTRY_BYTES, 0);
    table.extend(certificate);
    table
}
