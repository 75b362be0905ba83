//! The attestation document of the Nitro hypervisor and its COSE_Sign1 envelope (RFC 9052 §4.2).
//!
//! Invariant: everything but the signature stands under the signature, the signature has its `s` in the lower half, and
//! the envelope around has one encoding. The document itself is read as the hypervisor writes it (an indefinite map).

use freehold_primitives::{Digest, NitroMeasurement, Register};

use super::cbor::{self, Reader};
use crate::{refusal::Refusal, scalar::P384};

/// Longest evidence, in bytes: the canonical bound of every quote.
pub const NITRO_EVIDENCE_BYTES_MAX: usize = 8 * 1024;
/// Longest certificate bundle, the leaf not counted.
pub(super) const BUNDLE_MAX: usize = 7;
const CERTIFICATE_BYTES_MAX: usize = 1024;
const FIELD_BYTES_MAX: usize = 1024;
const MODULE_ID_BYTES_MAX: usize = 256;
const PCRS_MAX: u64 = 32;
const SIGNATURE_BYTES: usize = 96;

/// An array of four; the protected header `{1: -35}` (ES384) in a byte string; an empty unprotected header.
const ENVELOPE: [u8; 7] = [0x84, 0x44, 0xa1, 0x01, 0x38, 0x22, 0xa0];
/// Tag 18, which RFC 9052 allows before a COSE_Sign1 and the hypervisor does not write.
const TAG: u8 = 0xd2;
/// An array of four, the text `Signature1`, the same protected header, no external data.
const SIGNED_HEAD: &[u8] = b"\x84\x6aSignature1\x44\xa1\x01\x38\x22\x40";

/// An envelope in canonical form.
pub(super) struct Envelope<'a> {
    pub(super) payload: &'a [u8],
    pub(super) signature: &'a [u8; SIGNATURE_BYTES],
}

impl<'a> Envelope<'a> {
    /// Reads an envelope; `s` may be in either half.
    fn split(bytes: &'a [u8]) -> Result<Self, Refusal> {
        if bytes.len() > NITRO_EVIDENCE_BYTES_MAX {
            return Err(Refusal::EvidenceTooLong);
        }
        let mut reader = Reader::new(bytes);
        reader.exactly(&ENVELOPE).ok_or(Refusal::NitroEnvelope)?;
        let payload = reader.bytes(NITRO_EVIDENCE_BYTES_MAX).ok_or(Refusal::NitroEnvelope)?;
        let signature = reader.bytes(SIGNATURE_BYTES).ok_or(Refusal::NitroEnvelope)?;
        if !reader.is_empty() {
            return Err(Refusal::EvidenceTrailing);
        }
        let signature = signature.try_into().map_err(|_| Refusal::NitroEnvelope)?;
        Ok(Self { payload, signature })
    }

    /// Reads an envelope in canonical form.
    pub(super) fn read(bytes: &'a [u8]) -> Result<Self, Refusal> {
        let envelope = Self::split(bytes)?;
        let lower = P384.is_lower_half(&s_of(envelope.signature));
        if lower { Ok(envelope) } else { Err(Refusal::SignatureNotCanonical) }
    }

    /// What the leaf certificate's key signed.
    pub(super) fn signed_part(&self) -> Vec<u8> {
        let mut signed = SIGNED_HEAD.to_vec();
        cbor::write_bytes_head(&mut signed, self.payload.len());
        signed.extend(self.payload);
        signed
    }
}

fn s_of(signature: &[u8; SIGNATURE_BYTES]) -> [u8; 48] {
    let mut s = [0; 48];
    s.copy_from_slice(&signature[48..]);
    s
}

/// Brings an envelope as the device gives it into canonical form: without a tag, `s` in its lower half. What was signed
/// does not change.
///
/// # Errors
/// Refusals of class invalid where there is no canonical form.
pub fn canonicalise(document: &[u8]) -> Result<Vec<u8>, Refusal> {
    let bytes = document.strip_prefix(&[TAG]).unwrap_or(document);
    let envelope = Envelope::split(bytes)?;
    let mut s = s_of(envelope.signature);
    let mut bytes = bytes.to_vec();
    if !P384.is_lower_half(&s) {
        P384.negate(&mut s).ok_or(Refusal::SignatureNotCanonical)?;
        let s_at = bytes.len() - s.len();
        bytes[s_at..].copy_from_slice(&s);
    }
    NitroDocument::read(Envelope::read(&bytes)?.payload)?;
    Ok(bytes)
}

/// A document's fields. Whether they are vouched for depends on where it comes from: a
/// [`NitroClaims`](super::NitroClaims) holds a verified one, an [`UnverifiedNitro`](super::UnverifiedNitro) does not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NitroDocument {
    module_id: String,
    timestamp_ms: u64,
    pcrs: Vec<(u8, Register)>,
    pub(super) certificate: Vec<u8>,
    pub(super) bundle: Vec<Vec<u8>>,
    public_key: Option<Vec<u8>>,
    user_data: Option<Vec<u8>>,
    nonce: Option<Vec<u8>>,
}

/// Fields as they are read, each at most once.
#[derive(Default)]
struct Fields<'a> {
    module_id: Option<&'a str>,
    digest: Option<&'a str>,
    timestamp_ms: Option<u64>,
    pcrs: Option<Vec<(u8, Register)>>,
    certificate: Option<&'a [u8]>,
    bundle: Option<Vec<Vec<u8>>>,
    public_key: Option<Option<&'a [u8]>>,
    user_data: Option<Option<&'a [u8]>>,
    nonce: Option<Option<&'a [u8]>>,
}

impl NitroDocument {
    /// Reads a payload.
    pub(super) fn read(payload: &[u8]) -> Result<Self, Refusal> {
        Self::parse(payload).ok_or(Refusal::NitroDocument)
    }

    fn parse(payload: &[u8]) -> Option<Self> {
        let mut reader = Reader::new(payload);
        let count = reader.map()?;
        let mut fields = Fields::default();
        let mut index = 0;
        while reader.has_item(count, index) {
            fields.read(&mut reader)?;
            index += 1;
        }
        let optional = |value: Option<Option<&[u8]>>| value.flatten().map(<[u8]>::to_vec);
        let module_id = fields.module_id.filter(|id| !id.is_empty())?;
        let bundle = fields.bundle.filter(|bundle| !bundle.is_empty())?;
        let whole = reader.is_empty() && fields.digest == Some("SHA384");
        whole.then_some(())?;
        Some(Self {
            module_id: module_id.to_owned(),
            timestamp_ms: fields.timestamp_ms.filter(|time| *time > 0)?,
            pcrs: fields.pcrs?,
            certificate: fields.certificate?.to_vec(),
            bundle,
            public_key: optional(fields.public_key),
            user_data: optional(fields.user_data),
            nonce: optional(fields.nonce),
        })
    }

    /// Name of the enclave: the parent instance's id, `-enc` and its own.
    pub fn module_id(&self) -> &str {
        &self.module_id
    }

    /// Unix milliseconds by the hypervisor's clock.
    pub const fn timestamp_ms(&self) -> u64 {
        self.timestamp_ms
    }

    /// A register; `None` where the document does not show it.
    pub fn pcr(&self, index: u8) -> Option<Register> {
        self.pcrs.iter().find(|(at, _)| *at == index).map(|(_, value)| *value)
    }

    /// The registers that a policy names. PCR0 to PCR2 are there in every document that was read.
    pub fn measurement(&self) -> NitroMeasurement {
        NitroMeasurement {
            pcr0: self.pcr(0).unwrap_or(Register::ZERO),
            pcr1: self.pcr(1),
            pcr2: self.pcr(2),
            pcr3: self.pcr(3),
            pcr4: self.pcr(4),
            pcr8: self.pcr(8),
        }
    }

    /// Whether PCR0 to PCR2 are all zero: the enclave runs in debug mode and shows its console to the host.
    pub fn is_debug(&self) -> bool {
        (0..3).all(|index| self.pcr(index).is_none_or(|value| value == Register::ZERO))
    }

    /// The 64 bytes that the enclave asked to be signed: its user data, which must have that length.
    ///
    /// # Errors
    /// [`Refusal::NitroReportData`].
    pub fn report_data(&self) -> Result<[u8; 64], Refusal> {
        self.user_data.as_deref().and_then(|data| data.try_into().ok()).ok_or(Refusal::NitroReportData)
    }

    /// The public key that the enclave chose to show; nothing here uses it.
    pub fn public_key(&self) -> Option<&[u8]> {
        self.public_key.as_deref()
    }

    /// The nonce field; nothing here uses it, since ours stands in the report data.
    pub fn nonce(&self) -> Option<&[u8]> {
        self.nonce.as_deref()
    }

    /// The root certificate that its bundle begins with, DER.
    pub fn root_certificate(&self) -> &[u8] {
        self.bundle.first().map_or(&[], Vec::as_slice)
    }

    /// Certificates below the root and above the leaf, the root's own first, DER.
    pub fn intermediates(&self) -> &[Vec<u8>] {
        self.bundle.get(1..).unwrap_or_default()
    }
}

impl<'a> Fields<'a> {
    /// Reads one name and its value; `None` for an unknown name and for one that came before.
    fn read(&mut self, reader: &mut Reader<'a>) -> Option<()> {
        match reader.text(16)? {
            "module_id" => once(&mut self.module_id, reader.text(MODULE_ID_BYTES_MAX)?),
            "digest" => once(&mut self.digest, reader.text(8)?),
            "timestamp" => once(&mut self.timestamp_ms, reader.unsigned()?),
            "pcrs" => once(&mut self.pcrs, read_pcrs(reader)?),
            "certificate" => once(&mut self.certificate, reader.bytes(CERTIFICATE_BYTES_MAX)?),
            "cabundle" => once(&mut self.bundle, read_bundle(reader)?),
            "public_key" => once(&mut self.public_key, reader.bytes_or_null(FIELD_BYTES_MAX)?),
            "user_data" => once(&mut self.user_data, reader.bytes_or_null(FIELD_BYTES_MAX)?),
            "nonce" => once(&mut self.nonce, reader.bytes_or_null(FIELD_BYTES_MAX)?),
            _ => None,
        }
    }
}

fn once<T>(field: &mut Option<T>, value: T) -> Option<()> {
    field.replace(value).is_none().then_some(())
}

/// Registers of 48 bytes, each index at most once.
fn read_pcrs(reader: &mut Reader<'_>) -> Option<Vec<(u8, Register)>> {
    let count = reader.map()?;
    let mut pcrs: Vec<(u8, Register)> = Vec::new();
    while reader.has_item(count, pcrs.len()) {
        let index = reader.unsigned().filter(|index| *index < PCRS_MAX)? as u8;
        let value: [u8; 48] = reader.bytes(48)?.try_into().ok()?;
        if pcrs.iter().any(|(other, _)| *other == index) {
            return None;
        }
        pcrs.push((index, Register(value)));
    }
    (0..3).all(|index| pcrs.iter().any(|(at, _)| *at == index)).then_some(pcrs)
}

fn read_bundle(reader: &mut Reader<'_>) -> Option<Vec<Vec<u8>>> {
    let count = reader.list(BUNDLE_MAX)?;
    (0..count).map(|_| reader.bytes(CERTIFICATE_BYTES_MAX).map(<[u8]>::to_vec)).collect()
}

/// SHA-256 of the signed part of an envelope.
pub(super) fn signed_part_digest(envelope: &Envelope<'_>) -> Digest {
    cbor::digest(&envelope.signed_part())
}
