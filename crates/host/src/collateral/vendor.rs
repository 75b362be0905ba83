//! Documents from what vendors' services answer: Intel's PCS and its caches (PCCS) for kinds 1 and 2, AMD's KDS for kind
//! 3, files or addresses of the operator's for kinds 4 and 5.
//!
//! Nothing is verified here: a document is put together as `spec/collateral.md` writes it, and then judged whole.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::PathBuf,
    str::FromStr,
};

use freehold_attestation::{
    CollateralDocument, Refusal, nitro::NitroCollateralDocument, nvidia::NvidiaCollateral, snp::SnpCollateralDocument,
};
use freehold_primitives::{
    Blob, Canonical as _, PlatformFamily, SnpProduct, SnpSigningKey, TrustDomain, VERSION, entries::CollateralKind,
};
use pem::{EncodeConfig, LineEnding, Pem};
use percent_encoding::percent_decode_str;
use serde::Deserialize;
use serde_json::value::RawValue;
use thiserror::Error;

use super::http::{ANSWER_BYTES_MAX, Answer, FetchError, VendorClient, VendorUrl};

/// Intel's Provisioning Certification Service.
pub const INTEL_PCS: &str = "https://api.trustedservices.intel.com";
/// Where Intel publishes its root's revocation list; caches serve it under their own path.
const INTEL_ROOT_LIST: &str = "https://certificates.trustedservices.intel.com/IntelSGXRootCA.der";
/// AMD's Key Distribution Service.
pub const AMD_KDS: &str = "https://kdsintf.amd.com";
/// Most certificates or lists in one file.
const BLOCKS_MAX: usize = 8;

/// Why there is no document.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum SourceError {
    /// A service gave no usable answer.
    #[error(transparent)]
    Fetch(#[from] FetchError),
    /// A file cannot be read.
    #[error("{} cannot be read: {source}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// A file or answer of the operator's is no collateral of its kind.
    #[error("{0} is neither a canonical document of its kind nor PEM of certificates and revocation lists")]
    Form(String),
    /// The document does not verify.
    #[error("the document is refused with code {code}: {0}", code = .0.code())]
    Refused(#[from] Refusal),
    /// It speaks of another platform family than was asked for.
    #[error("the answer is about the platform family {found}, not {asked}")]
    OtherFamily {
        /// Family that was asked for.
        asked: PlatformFamily,
        /// Family that the answer is about.
        found: PlatformFamily,
    },
}

/// Which of Intel's TCB infos: every TCB recovery is published early, and is the standard months later.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Promotion {
    /// What counts by default.
    Standard,
    /// What will count.
    Early,
}

impl Promotion {
    /// The word in a question.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Standard => "standard",
            Self::Early => "early",
        }
    }
}

/// The CA that issued a platform's PCK certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum PckCa {
    /// For machines of one package.
    Processor,
    /// For machines of several packages, and every TDX machine.
    Platform,
}

impl PckCa {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Processor => "processor",
            Self::Platform => "platform",
        }
    }

    /// The CA that certificates in PEM somewhere in these bytes name; every PCK certificate names its issuer.
    pub(crate) fn named_in(bytes: &[u8]) -> Option<Self> {
        let from = bytes.windows(11).position(|window| window == b"-----BEGIN ")?;
        let blocks = pem::parse_many(&bytes[from..]).ok()?;
        let names = |name: &[u8]| blocks.iter().any(|block| block.contents().windows(name.len()).any(|at| at == name));
        if names(b"PCK Platform CA") {
            Some(Self::Platform)
        } else {
            names(b"PCK Processor CA").then_some(Self::Processor)
        }
    }
}

/// What to keep fresh.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Subject {
    /// TDX of a platform family.
    Tdx(PlatformFamily),
    /// SGX of a platform family.
    Sgx(PlatformFamily, PckCa),
    /// A product of AMD's and a kind of key.
    Snp(SnpProduct, SnpSigningKey),
    /// AWS Nitro, from a file or an address.
    Nitro(Place),
    /// GPUs, from a file or an address.
    Nvidia(Place),
}

/// A file or an address of the operator's.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Place {
    /// A file.
    File(PathBuf),
    /// An address.
    Url(VendorUrl),
}

impl FromStr for Place {
    type Err = FetchError;

    fn from_str(text: &str) -> Result<Self, FetchError> {
        if text.contains("://") { text.parse().map(Self::Url) } else { Ok(Self::File(text.into())) }
    }
}

impl std::fmt::Display for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::File(path) => write!(f, "{}", path.display()),
            Self::Url(url) => write!(f, "{url}"),
        }
    }
}

impl Subject {
    /// Kind of its documents.
    pub const fn kind(&self) -> CollateralKind {
        match self {
            Self::Tdx(_) => CollateralKind::Dcap,
            Self::Sgx(..) => CollateralKind::SgxDcap,
            Self::Snp(..) => CollateralKind::Snp,
            Self::Nitro(_) => CollateralKind::Nitro,
            Self::Nvidia(_) => CollateralKind::Nvidia,
        }
    }

    /// The platform family, where the subject names one.
    pub const fn family(&self) -> Option<PlatformFamily> {
        match self {
            Self::Tdx(family) | Self::Sgx(family, _) => Some(*family),
            Self::Snp(product, key) => Some(PlatformFamily([*product as u8, *key as u8, 0, 0, 0, 0])),
            Self::Nitro(_) | Self::Nvidia(_) => None,
        }
    }

    /// Whether the vendor publishes early what will count later.
    pub(crate) const fn has_promotions(&self) -> bool {
        matches!(self, Self::Tdx(_) | Self::Sgx(..))
    }
}

impl std::fmt::Display for Subject {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Tdx(family) => write!(f, "TDX {family}"),
            Self::Sgx(family, _) => write!(f, "SGX {family}"),
            Self::Snp(product, key) => write!(f, "SEV-SNP {product:?} {key:?}"),
            Self::Nitro(place) => write!(f, "Nitro {place}"),
            Self::Nvidia(place) => write!(f, "NVIDIA {place}"),
        }
    }
}

/// Where documents come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VendorSources {
    /// Intel's service, or a cache of it (PCCS), without `/sgx/…`.
    pub intel: VendorUrl,
    /// AMD's service.
    pub amd: VendorUrl,
}

impl Default for VendorSources {
    fn default() -> Self {
        let url = |text: &str| text.parse().expect("the constant is an address");
        Self { intel: url(INTEL_PCS), amd: url(AMD_KDS) }
    }
}

impl VendorSources {
    fn is_intels_own(&self) -> bool {
        self.intel.to_string().trim_end_matches('/') == INTEL_PCS
    }

    /// The subject that collateral of a kind and key is about which judges evidence, where a service can be asked for it.
    pub(crate) fn subject_of(&self, (kind, key): &(CollateralKind, Vec<u8>), evidence: &[u8]) -> Option<Subject> {
        let (&domain, family) = key.split_first()?;
        if domain == TrustDomain::Emulated as u8 && !self.may_know_emulated(*kind) {
            return None;
        }
        let family: [u8; 6] = family.try_into().ok()?;
        match kind {
            CollateralKind::Dcap => Some(Subject::Tdx(PlatformFamily(family))),
            CollateralKind::SgxDcap => {
                Some(Subject::Sgx(PlatformFamily(family), PckCa::named_in(evidence).unwrap_or(PckCa::Platform)))
            }
            CollateralKind::Snp => {
                let products = [SnpProduct::Milan, SnpProduct::Genoa, SnpProduct::Turin];
                let product = products.into_iter().find(|product| *product as u8 == family[0])?;
                let keys = [SnpSigningKey::Vcek, SnpSigningKey::Vlek];
                Some(Subject::Snp(product, keys.into_iter().find(|key| *key as u8 == family[1])?))
            }
            CollateralKind::Nitro | CollateralKind::Nvidia => None,
        }
    }

    /// Whether the services here may know emulated platforms: never the vendor's own.
    pub(crate) fn may_know_emulated(&self, kind: CollateralKind) -> bool {
        match kind {
            CollateralKind::Dcap | CollateralKind::SgxDcap => !self.is_intels_own(),
            CollateralKind::Snp => self.amd.to_string().trim_end_matches('/') != AMD_KDS,
            CollateralKind::Nitro | CollateralKind::Nvidia => false,
        }
    }
}

/// One round of questions: nothing is asked twice, and a service that is silent or busy is left alone until the next.
pub(crate) struct Round<'a> {
    client: &'a VendorClient,
    sources: &'a VendorSources,
    answers: BTreeMap<VendorUrl, Answer>,
    /// Services to leave alone.
    silent: BTreeSet<VendorUrl>,
}

/// A signed text of Intel's, and the chain of its signer.
struct Signed {
    text: String,
    signature: [u8; 64],
    chain: String,
}

impl<'a> Round<'a> {
    pub(crate) const fn new(client: &'a VendorClient, sources: &'a VendorSources) -> Self {
        Self { client, sources, answers: BTreeMap::new(), silent: BTreeSet::new() }
    }

    /// The vendor's document about a subject.
    pub(crate) async fn document(&mut self, subject: &Subject, promotion: Promotion) -> Result<Vec<u8>, SourceError> {
        match subject {
            Subject::Tdx(family) => self.intel("tdx", *family, (PckCa::Platform, promotion)).await,
            Subject::Sgx(family, ca) => self.intel("sgx", *family, (*ca, promotion)).await,
            Subject::Snp(product, key) => self.amd(*product, *key).await,
            Subject::Nitro(place) | Subject::Nvidia(place) => self.given(subject.kind(), place).await,
        }
    }

    async fn get(&mut self, url: &VendorUrl) -> Result<Answer, FetchError> {
        if let Some(known) = self.answers.get(url) {
            return Ok(known.clone());
        }
        if self.silent.contains(&url.origin()) {
            return Err(FetchError::Skipped { url: url.clone() });
        }
        let answer = self.client.get(url).await.inspect_err(|error| {
            if matches!(error, FetchError::Timeout { .. } | FetchError::Unreachable { .. } | FetchError::Busy { .. }) {
                self.silent.insert(url.origin());
            }
        })?;
        self.answers.insert(url.clone(), answer.clone());
        Ok(answer)
    }

    /// Paths and headers: Intel's PCS API, version 4; a PCCS serves the same.
    async fn intel(
        &mut self,
        tee: &str,
        family: PlatformFamily,
        (ca, promotion): (PckCa, Promotion),
    ) -> Result<Vec<u8>, SourceError> {
        let base = self.sources.intel.clone();
        let (fmspc, update, ca) = (hex::encode_upper(family.0), promotion.as_str(), ca.as_str());
        let tcb = base.below(&format!("/{tee}/certification/v4/tcb?fmspc={fmspc}&update={update}"));
        let tcb = signed(&self.get(&tcb).await?, "TCB-Info-Issuer-Chain")?;
        let identity = base.below(&format!("/{tee}/certification/v4/qe/identity?update={update}"));
        let identity = signed(&self.get(&identity).await?, "SGX-Enclave-Identity-Issuer-Chain")?;
        let list = base.below(&format!("/sgx/certification/v4/pckcrl?ca={ca}&encoding=der"));
        let list = self.get(&list).await?;
        let root_list = if self.sources.is_intels_own() {
            INTEL_ROOT_LIST.parse()?
        } else {
            base.below("/sgx/certification/v4/rootcacrl")
        };
        let root_list = self.get(&root_list).await?;
        let document = CollateralDocument {
            pck_crl_issuer_chain: chain(&list, "SGX-PCK-CRL-Issuer-Chain")?,
            root_ca_crl: Blob(der(&root_list)?),
            pck_crl: Blob(der(&list)?),
            tcb_info_issuer_chain: tcb.chain,
            tcb_info: tcb.text,
            tcb_info_signature: tcb.signature,
            qe_identity_issuer_chain: identity.chain,
            qe_identity: identity.text,
            qe_identity_signature: identity.signature,
        };
        Ok(document.to_canonical())
    }

    /// Paths: AMD 57230, VCEK certificate and KDS interface specification.
    async fn amd(&mut self, product: SnpProduct, key: SnpSigningKey) -> Result<Vec<u8>, SourceError> {
        let kind = match key {
            SnpSigningKey::Vcek => "vcek",
            SnpSigningKey::Vlek => "vlek",
        };
        let base = self.sources.amd.below(&format!("/{kind}/v1/{product:?}"));
        let answer = self.get(&base.below("/cert_chain")).await?;
        let blocks = pem::parse_many(&answer.body).unwrap_or_default();
        let intermediate = blocks.into_iter().next().filter(|block| block.tag() == "CERTIFICATE");
        let intermediate = intermediate.ok_or_else(|| answer.malformed("certificate chain"))?;
        let list = self.get(&base.below("/crl")).await?;
        let document = SnpCollateralDocument {
            product,
            signing_key: key,
            intermediate: Blob(intermediate.into_contents()),
            revocation_list: Some(Blob(der(&list)?)),
        };
        Ok(document.to_canonical())
    }

    /// A canonical document, or PEM: certificates in the document's order, and revocation lists in theirs.
    async fn given(&mut self, kind: CollateralKind, place: &Place) -> Result<Vec<u8>, SourceError> {
        let bytes = match place {
            Place::Url(url) => self.get(url).await?.body.to_vec(),
            Place::File(path) => read_file(path).await?,
        };
        if bytes.first() == Some(&VERSION) {
            return Ok(bytes);
        }
        let form = || SourceError::Form(place.to_string());
        let blocks = pem::parse_many(&bytes).map_err(|_| form())?;
        let of = |tag: &str| -> Vec<Blob> {
            blocks.iter().filter(|block| block.tag() == tag).map(|block| Blob(block.contents().to_vec())).collect()
        };
        let (certificates, revocation_lists) = (of("CERTIFICATE"), of("X509 CRL"));
        let known = certificates.len() + revocation_lists.len() == blocks.len();
        if !known || certificates.is_empty() || blocks.len() > BLOCKS_MAX {
            return Err(form());
        }
        match kind {
            CollateralKind::Nitro => Ok(NitroCollateralDocument { certificates, revocation_lists }.to_canonical()),
            CollateralKind::Nvidia => Ok(NvidiaCollateral { certificates, revocation_lists }.to_canonical()),
            CollateralKind::Dcap | CollateralKind::SgxDcap | CollateralKind::Snp => Err(form()),
        }
    }
}

async fn read_file(path: &std::path::Path) -> Result<Vec<u8>, SourceError> {
    use tokio::io::AsyncReadExt as _;
    let failed = |source| SourceError::File { path: path.to_owned(), source };
    let file = tokio::fs::File::open(path).await.map_err(failed)?;
    let mut bytes = Vec::new();
    let bound = u64::try_from(ANSWER_BYTES_MAX).unwrap_or(u64::MAX);
    file.take(bound + 1).read_to_end(&mut bytes).await.map_err(failed)?;
    if bytes.len() > ANSWER_BYTES_MAX { Err(SourceError::Form(path.display().to_string())) } else { Ok(bytes) }
}

/// Reads `{"tcbInfo"|"enclaveIdentity": …, "signature": hex}`; the exact text that was signed is kept.
fn signed(answer: &Answer, chain_header: &'static str) -> Result<Signed, FetchError> {
    #[derive(Deserialize)]
    struct Body<'a> {
        #[serde(borrow, alias = "tcbInfo", alias = "enclaveIdentity")]
        text: &'a RawValue,
        signature: &'a str,
    }
    let body: Body<'_> = serde_json::from_slice(&answer.body).map_err(|_| answer.malformed("signed text"))?;
    let mut signature = [0; 64];
    hex::decode_to_slice(body.signature, &mut signature).map_err(|_| answer.malformed("signature"))?;
    Ok(Signed { text: body.text.get().to_owned(), signature, chain: chain(answer, chain_header)? })
}

/// An issuer chain from a header (percent-encoded PEM), in the canonical form of `spec/evidence.md` §2.
fn chain(answer: &Answer, header: &'static str) -> Result<String, FetchError> {
    let malformed = || answer.malformed(header);
    let value = answer.headers.get(header).and_then(|value| value.to_str().ok()).ok_or_else(malformed)?;
    let text = percent_decode_str(value).decode_utf8().map_err(|_| malformed())?;
    let blocks = pem::parse_many(text.as_bytes()).map_err(|_| malformed())?;
    if blocks.is_empty() || blocks.len() > BLOCKS_MAX {
        return Err(malformed());
    }
    let canonical = EncodeConfig::new().set_line_ending(LineEnding::LF);
    let encode = |block: Pem| pem::encode_config(&Pem::new("CERTIFICATE", block.into_contents()), canonical);
    Ok(blocks.into_iter().map(encode).collect())
}

/// A revocation list: DER as it stands, PEM, or hex of DER as caches of Intel's service write it.
fn der(answer: &Answer) -> Result<Vec<u8>, FetchError> {
    const DER_SEQUENCE: u8 = 0x30;
    let malformed = || answer.malformed("revocation list");
    let body = answer.body.trim_ascii();
    if body.starts_with(b"-----BEGIN ") {
        return pem::parse(body).map(Pem::into_contents).map_err(|_| malformed());
    }
    // Hex opens with the digit 3, 0x33; DER with 0x30 and a length of two bytes, 0x82 or less, which is no digit.
    if let Ok(bytes) = hex::decode(body)
        && !bytes.is_empty()
    {
        return Ok(bytes);
    }
    if answer.body.first() == Some(&DER_SEQUENCE) { Ok(answer.body.to_vec()) } else { Err(malformed()) }
}
