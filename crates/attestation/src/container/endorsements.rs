//! Collateral as vendors' services and tools give it, file by file, sorted by what it is.
//!
//! Which parts fit a piece of evidence is decided by names and dates; whether they are right, the verifiers decide.

use freehold_primitives::{Blob, Canonical as _, UnixSeconds, VERSION};
use x509_cert::{Certificate, crl::CertificateList, der::Decode as _, name::Name};

use super::{
    CONTAINER_BYTES_MAX, Format,
    intel::{self, Signed},
    text,
};
use crate::{
    CollateralDocument,
    dcap::{repeats_no_name, unix_seconds, write_pem},
    nitro::NitroCollateralDocument,
    nvidia::NvidiaCollateral,
    refusal::Refusal,
    snp::SnpCollateralDocument,
};

/// Most parts of one kind.
const PARTS_MAX: usize = 256;
const TCB_SIGNER: &str = "TCB Signing";

/// Parts of collateral. Nothing of it is verified.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Endorsements {
    /// Whole DCAP documents.
    pub(super) whole: Vec<CollateralDocument>,
    /// Canonical documents of the other kinds.
    pub(super) documents: Vec<Vec<u8>>,
    pub(super) tcb_infos: Vec<Signed>,
    pub(super) identities: Vec<Signed>,
    /// Certificates, DER.
    pub(super) certificates: Vec<Vec<u8>>,
    /// Revocation lists, DER.
    pub(super) lists: Vec<Vec<u8>>,
    /// Files of several certificates, PEM, as they stand.
    pub(super) chains: Vec<Vec<u8>>,
}

/// What a signed answer of Intel's says about itself.
struct About {
    id: String,
    fmspc: Option<String>,
    issued_at: UnixSeconds,
    expires_at: UnixSeconds,
}

impl Endorsements {
    /// Sorts one file in: JSON, PEM, DER, hex or base64 of DER, or a canonical document.
    ///
    /// # Errors
    /// [`Refusal::ContainerTooLong`], [`Refusal::ContainerJson`], [`Refusal::ContainerText`],
    /// [`Refusal::ContainerFormat`] for files that are no collateral.
    pub fn add(&mut self, file: &[u8]) -> Result<(), Refusal> {
        if file.len() > CONTAINER_BYTES_MAX {
            return Err(Refusal::ContainerTooLong);
        }
        let parts =
            [self.certificates.len(), self.lists.len(), self.documents.len(), self.whole.len(), self.chains.len()];
        let signed = [self.tcb_infos.len(), self.identities.len()];
        if parts.into_iter().chain(signed).any(|length| length >= PARTS_MAX) {
            return Err(Refusal::ContainerTooLong);
        }
        let text = core::str::from_utf8(file).ok().map(str::trim);
        match text {
            Some(text) if text.starts_with('{') => {
                if !repeats_no_name(text) {
                    return Err(Refusal::ContainerJson);
                }
                intel::read_json(text, self)
            }
            Some(text) if text.contains("-----BEGIN ") => self.add_pem(file),
            Some(text) => self.add_binary(&text::decode(text.as_bytes()).ok_or(Refusal::ContainerFormat)?),
            None => self.add_binary(file),
        }
    }

    fn add_pem(&mut self, file: &[u8]) -> Result<(), Refusal> {
        let blocks = pem::parse_many(file).map_err(|_| Refusal::ContainerText)?;
        if blocks.len() > PARTS_MAX {
            return Err(Refusal::ContainerTooLong);
        }
        if blocks.len() > 1 {
            self.chains.push(file.to_vec());
        }
        blocks.into_iter().try_for_each(|block| self.add_binary(block.contents()))
    }

    fn add_binary(&mut self, bytes: &[u8]) -> Result<(), Refusal> {
        if bytes.first() == Some(&VERSION) {
            return self.add_document(bytes);
        }
        if CertificateList::<x509_cert::certificate::Rfc5280>::from_der(bytes).is_ok() {
            self.lists.push(bytes.to_vec());
        } else if Certificate::from_der(bytes).is_ok() {
            if !self.certificates.iter().any(|known| known == bytes) {
                self.certificates.push(bytes.to_vec());
            }
        } else {
            return Err(Refusal::ContainerFormat);
        }
        Ok(())
    }

    fn add_document(&mut self, bytes: &[u8]) -> Result<(), Refusal> {
        if let Ok(document) = CollateralDocument::from_canonical(bytes) {
            self.whole.push(document);
            return Ok(());
        }
        let known = SnpCollateralDocument::from_canonical(bytes).is_ok()
            || NvidiaCollateral::from_canonical(bytes).is_ok()
            || NitroCollateralDocument::from_canonical(bytes).is_ok();
        if known {
            self.documents.push(bytes.to_vec());
            Ok(())
        } else {
            Err(Refusal::ContainerFormat)
        }
    }

    /// Adds what another set holds.
    pub fn extend(&mut self, other: &Self) {
        self.whole.extend(other.whole.iter().cloned());
        self.documents.extend(other.documents.iter().cloned());
        self.tcb_infos.extend(other.tcb_infos.iter().cloned());
        self.identities.extend(other.identities.iter().cloned());
        self.certificates.extend(other.certificates.iter().cloned());
        self.lists.extend(other.lists.iter().cloned());
        self.chains.extend(other.chains.iter().cloned());
    }

    /// The certificate of this subject.
    pub(super) fn certificate_of(&self, subject: &Name) -> Option<&Vec<u8>> {
        let is_it = |der: &[u8]| Certificate::from_der(der).is_ok_and(|one| one.tbs_certificate().subject() == subject);
        self.certificates.iter().find(|der| is_it(der))
    }

    /// The newest revocation list of this issuer that was issued by `now`, else the oldest there is.
    pub(super) fn list_of(&self, issuer: &Name, now_unix_s: UnixSeconds) -> Option<&Vec<u8>> {
        let issued = |der: &Vec<u8>| {
            let list = CertificateList::<x509_cert::certificate::Rfc5280>::from_der(der).ok()?;
            let at = list.tbs_cert_list.this_update.to_unix_duration().as_secs();
            (list.tbs_cert_list.issuer == *issuer).then_some(at)
        };
        let dated: Vec<(UnixSeconds, &Vec<u8>)> =
            self.lists.iter().filter_map(|der| issued(der).map(|at| (at, der))).collect();
        let past = dated.iter().filter(|(at, _)| *at <= now_unix_s).max_by_key(|(at, _)| *at);
        past.or_else(|| dated.iter().min_by_key(|(at, _)| *at)).map(|(_, der)| *der)
    }

    /// The DCAP document for a quote: a whole one for its platform family, else one of the parts. What is missing stays
    /// empty, and the verifier says so. `chain` is the quote's: PCK, CA, root.
    pub(super) fn dcap(&self, format: Format, fmspc: &[u8; 6], chain: &[Vec<u8>], now_unix_s: UnixSeconds) -> Vec<u8> {
        let fmspc = hex::encode_upper(fmspc);
        let (info_id, identity_id) = if format == Format::Sgx { ("SGX", "QE") } else { ("TDX", "TD_QE") };
        let fits = |document: &&CollateralDocument| {
            about(&document.tcb_info).is_some_and(|about| about.id == info_id && about.is_for(&fmspc))
        };
        let whole = self.whole.iter().find(fits);
        let has_parts = !self.tcb_infos.is_empty() || !self.identities.is_empty();
        if let Some(document) = whole.or_else(|| self.whole.first().filter(|_| !has_parts)) {
            return document.to_canonical();
        }
        let info = pick(&self.tcb_infos, now_unix_s, |about| about.id == info_id && about.is_for(&fmspc));
        let identity = pick(&self.identities, now_unix_s, |about| about.id == identity_id);
        let signer = self.tcb_signer(now_unix_s).zip(chain.get(2));
        let signer_chain = signer.map(|(signer, root)| pem_of([signer, root])).unwrap_or_default();
        let list = |at: usize| {
            let name = chain.get(at).and_then(|der| Certificate::from_der(der).ok());
            name.and_then(|one| self.list_of(one.tbs_certificate().subject(), now_unix_s)).cloned().unwrap_or_default()
        };
        let text = |signed: Option<&Signed>| signed.map(|signed| signed.text.clone()).unwrap_or_default();
        let signature = |signed: Option<&Signed>| signed.map_or([0; 64], |signed| signed.signature);
        CollateralDocument {
            pck_crl_issuer_chain: chain
                .get(1)
                .zip(chain.get(2))
                .map(|(ca, root)| pem_of([ca, root]))
                .unwrap_or_default(),
            root_ca_crl: Blob(list(2)),
            pck_crl: Blob(list(1)),
            tcb_info_issuer_chain: signer_chain.clone(),
            tcb_info: text(info),
            tcb_info_signature: signature(info),
            qe_identity_issuer_chain: signer_chain,
            qe_identity: text(identity),
            qe_identity_signature: signature(identity),
        }
        .to_canonical()
    }

    /// A TCB signer's certificate, preferably one in date.
    fn tcb_signer(&self, now_unix_s: UnixSeconds) -> Option<&Vec<u8>> {
        let validity = |der: &Vec<u8>| {
            let certificate = Certificate::from_der(der).ok()?;
            let tbs = certificate.tbs_certificate();
            let name = tbs.subject().common_name().ok()??;
            let validity = tbs.validity();
            let seconds = |time: &x509_cert::time::Time| time.to_unix_duration().as_secs();
            let in_date = seconds(&validity.not_before) <= now_unix_s && now_unix_s < seconds(&validity.not_after);
            name.value().contains(TCB_SIGNER).then_some(in_date)
        };
        let mut signers = self.certificates.iter().filter_map(|der| validity(der).map(|in_date| (in_date, der)));
        let first = signers.next()?;
        if first.0 { Some(first.1) } else { signers.find(|(in_date, _)| *in_date).or(Some(first)).map(|(_, der)| der) }
    }
}

impl About {
    fn is_for(&self, fmspc: &str) -> bool {
        self.fmspc.as_ref().is_some_and(|own| own.eq_ignore_ascii_case(fmspc))
    }
}

fn about(text: &str) -> Option<About> {
    let json: serde_json::Value = serde_json::from_str(text).ok()?;
    let field = |name: &str| json.get(name).and_then(|value| value.as_str()).map(str::to_owned);
    Some(About {
        id: field("id")?,
        fmspc: field("fmspc"),
        issued_at: unix_seconds(&field("issueDate")?)?,
        expires_at: unix_seconds(&field("nextUpdate")?)?,
    })
}

/// The newest that is wanted: of those in date, else of all.
fn pick(signed: &[Signed], now_unix_s: UnixSeconds, wanted: impl Fn(&About) -> bool) -> Option<&Signed> {
    let read = |one: &'_ Signed| about(&one.text).filter(|about| wanted(about));
    let ranked = signed.iter().filter_map(|one| {
        let about = read(one)?;
        let in_date = about.issued_at <= now_unix_s && now_unix_s < about.expires_at;
        Some(((in_date, about.issued_at), one))
    });
    ranked.max_by_key(|(rank, _)| *rank).map(|(_, one)| one)
}

fn pem_of(ders: [&Vec<u8>; 2]) -> String {
    ders.map(|der| write_pem(der.clone())).concat()
}
