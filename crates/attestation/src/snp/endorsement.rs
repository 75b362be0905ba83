//! The certificate of the key that signed a report: VCEK or VLEK (AMD 57230, tables 8 to 11).

use freehold_primitives::{SnpProduct, SnpSigningKey, SnpTcb};
use x509_cert::der::{Decode as _, asn1::Ia5StringRef, oid::ObjectIdentifier};

use super::report::SnpReport;
use crate::{certificate::Certificate, refusal::Refusal};

const fn oid(text: &str) -> ObjectIdentifier {
    ObjectIdentifier::new_unwrap(text)
}

const PRODUCT_NAME: ObjectIdentifier = oid("1.3.6.1.4.1.3704.1.2");
const BOOTLOADER: ObjectIdentifier = oid("1.3.6.1.4.1.3704.1.3.1");
const TEE: ObjectIdentifier = oid("1.3.6.1.4.1.3704.1.3.2");
const SNP: ObjectIdentifier = oid("1.3.6.1.4.1.3704.1.3.3");
const UNUSED: [ObjectIdentifier; 4] = [
    oid("1.3.6.1.4.1.3704.1.3.4"),
    oid("1.3.6.1.4.1.3704.1.3.5"),
    oid("1.3.6.1.4.1.3704.1.3.6"),
    oid("1.3.6.1.4.1.3704.1.3.7"),
];
const MICROCODE: ObjectIdentifier = oid("1.3.6.1.4.1.3704.1.3.8");
const FMC: ObjectIdentifier = oid("1.3.6.1.4.1.3704.1.3.9");
const HARDWARE_ID: ObjectIdentifier = oid("1.3.6.1.4.1.3704.1.4");
const CLOUD_ID: ObjectIdentifier = oid("1.3.6.1.4.1.3704.1.5");

/// Longest id of a cloud, in bytes.
const CLOUD_ID_BYTES_MAX: usize = 256;

/// Whom a certificate endorses.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Holder {
    /// One chip, at this TCB version, by its hardware id: 64 bytes, on Turin 8.
    Chip(Vec<u8>),
    /// A cloud, by AMD's name for it.
    Cloud(String),
}

/// What a VCEK or VLEK certificate says.
pub(super) struct Endorsement {
    pub(super) product: SnpProduct,
    pub(super) tcb: SnpTcb,
    pub(super) holder: Holder,
}

impl Endorsement {
    /// Reads AMD's extensions; which key it is decides which there must be.
    pub(super) fn read(certificate: &Certificate<'_>, key: SnpSigningKey) -> Result<Self, Refusal> {
        Self::parse(certificate, key).ok_or(Refusal::SnpEndorsement)
    }

    fn parse(certificate: &Certificate<'_>, key: SnpSigningKey) -> Option<Self> {
        let name = match key {
            SnpSigningKey::Vcek => "SEV-VCEK",
            SnpSigningKey::Vlek => "SEV-VLEK",
        };
        if certificate.common_name()? != name {
            return None;
        }
        let text = |oid| Some(Ia5StringRef::from_der(certificate.extension(oid)?).ok()?.as_str());
        let part = |oid| u8::from_der(certificate.extension(oid)?).ok();
        // A part that this product has no name for counts nothing and must say so.
        let absent = |oid| certificate.extension(oid).is_none_or(|value| value == [2, 1, 0]);

        let product = product_of(text(PRODUCT_NAME)?)?;
        let fmc = match product {
            SnpProduct::Turin => part(FMC)?,
            SnpProduct::Milan | SnpProduct::Genoa => absent(FMC).then_some(0)?,
        };
        if !UNUSED.into_iter().all(absent) {
            return None;
        }
        let tcb = SnpTcb {
            fmc,
            bootloader: part(BOOTLOADER)?,
            tee: part(TEE)?,
            snp: part(SNP)?,
            microcode: part(MICROCODE)?,
        };
        let holder = match key {
            SnpSigningKey::Vcek => {
                let id = certificate.extension(HARDWARE_ID)?;
                (id.len() == chip_id_bytes(product)).then(|| Holder::Chip(id.to_vec()))?
            }
            SnpSigningKey::Vlek => {
                let id = text(CLOUD_ID)?;
                (!id.is_empty() && id.len() <= CLOUD_ID_BYTES_MAX).then(|| Holder::Cloud(id.to_owned()))?
            }
        };
        Some(Self { product, tcb, holder })
    }

    /// Checks that this endorses the very chip and TCB that the report names.
    pub(super) fn check_names(&self, report: &SnpReport) -> Result<(), Refusal> {
        report.check_tcb_unused(self.product)?;
        if report.cpu().is_some_and(|cpu| cpu.product() != Some(self.product)) {
            return Err(Refusal::SnpProductMismatch);
        }
        if let Holder::Chip(id) = &self.holder {
            let chip_id = report.chip_id();
            let (used, unused) = chip_id.split_at(chip_id_bytes(self.product));
            if used != id || unused.iter().any(|byte| *byte != 0) {
                return Err(Refusal::SnpChipMismatch);
            }
        }
        if self.tcb == report.reported_tcb(self.product) { Ok(()) } else { Err(Refusal::SnpTcbMismatch) }
    }
}

/// Bytes of a chip id.
const fn chip_id_bytes(product: SnpProduct) -> usize {
    match product {
        SnpProduct::Milan | SnpProduct::Genoa => 64,
        SnpProduct::Turin => 8,
    }
}

/// The product of a name such as `Milan-B0`; AMD issues for Bergamo and Siena under Genoa.
fn product_of(name: &str) -> Option<SnpProduct> {
    match name.split('-').next()? {
        "Milan" => Some(SnpProduct::Milan),
        "Genoa" | "Bergamo" | "Siena" => Some(SnpProduct::Genoa),
        "Turin" => Some(SnpProduct::Turin),
        _ => None,
    }
}
