//! What Intel's services and the tools around them write: collateral in one JSON file, signed answers, and Oasis' bundle
//! of a quote with some of them (CBOR).

use freehold_primitives::Blob;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::{Container, Endorsements, binary::quote_format};
use crate::{CollateralDocument, refusal::Refusal};

/// Text that Intel signed, and the signature.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Signed {
    pub(super) text: String,
    pub(super) signature: [u8; 64],
}

/// All parts in one file, as `dcap-qvl` writes them: chains in PEM, lists and signatures in hex.
#[derive(Deserialize)]
struct Whole {
    pck_crl_issuer_chain: String,
    root_ca_crl: String,
    pck_crl: String,
    tcb_info_issuer_chain: String,
    tcb_info: String,
    tcb_info_signature: String,
    qe_identity_issuer_chain: String,
    qe_identity: String,
    qe_identity_signature: String,
}

/// An answer of the TCB info or QE identity service.
#[derive(Deserialize)]
struct Answer<'a> {
    #[serde(borrow, rename = "tcbInfo")]
    tcb_info: Option<&'a RawValue>,
    #[serde(borrow, rename = "enclaveIdentity")]
    identity: Option<&'a RawValue>,
    signature: String,
}

fn signature(text: &str) -> Result<[u8; 64], Refusal> {
    hex::decode(text).ok().and_then(|bytes| bytes.try_into().ok()).ok_or(Refusal::ContainerText)
}

/// Reads a JSON file of collateral into `endorsements`. The text is known to repeat no name.
pub(super) fn read_json(text: &str, endorsements: &mut Endorsements) -> Result<(), Refusal> {
    if let Ok(whole) = serde_json::from_str::<Whole>(text) {
        let bytes = |text: &str| hex::decode(text).map(Blob).map_err(|_| Refusal::ContainerText);
        endorsements.whole.push(CollateralDocument {
            root_ca_crl: bytes(&whole.root_ca_crl)?,
            pck_crl: bytes(&whole.pck_crl)?,
            tcb_info_signature: signature(&whole.tcb_info_signature)?,
            qe_identity_signature: signature(&whole.qe_identity_signature)?,
            pck_crl_issuer_chain: whole.pck_crl_issuer_chain,
            tcb_info_issuer_chain: whole.tcb_info_issuer_chain,
            tcb_info: whole.tcb_info,
            qe_identity_issuer_chain: whole.qe_identity_issuer_chain,
            qe_identity: whole.qe_identity,
        });
        return Ok(());
    }
    let answer: Answer<'_> = serde_json::from_str(text).map_err(|_| Refusal::ContainerFormat)?;
    let signature = signature(&answer.signature)?;
    let signed = |raw: &RawValue| Signed { text: raw.get().to_owned(), signature };
    match (answer.tcb_info, answer.identity) {
        (Some(info), None) => endorsements.tcb_infos.push(signed(info)),
        (None, Some(identity)) => endorsements.identities.push(signed(identity)),
        _ => return Err(Refusal::ContainerFormat),
    }
    Ok(())
}

/// A value of the subset of CBOR that bundles use: byte strings, text and maps of text names, lengths definite.
enum Cbor<'a> {
    Bytes(&'a [u8]),
    Text(&'a str),
    Map(Vec<(&'a str, Self)>),
}

impl<'a> Cbor<'a> {
    const DEPTH_MAX: u32 = 4;
    const ENTRIES_MAX: usize = 16;

    fn read(rest: &mut &'a [u8], depth: u32) -> Option<Self> {
        let (major, length) = Self::head(rest)?;
        match major {
            2 => Self::take(rest, length).map(Self::Bytes),
            3 => core::str::from_utf8(Self::take(rest, length)?).ok().map(Self::Text),
            5 if depth < Self::DEPTH_MAX && length <= Self::ENTRIES_MAX => {
                let mut entries: Vec<(&str, Self)> = Vec::new();
                for _ in 0..length {
                    let Self::Text(name) = Self::read(rest, depth + 1)? else { return None };
                    if entries.iter().any(|(known, _)| *known == name) {
                        return None;
                    }
                    entries.push((name, Self::read(rest, depth + 1)?));
                }
                Some(Self::Map(entries))
            }
            _ => None,
        }
    }

    fn head(rest: &mut &'a [u8]) -> Option<(u8, usize)> {
        let first = *Self::take(rest, 1)?.first()?;
        let length = match first & 0x1f {
            small @ 0..=23 => usize::from(small),
            24 => usize::from(Self::take(rest, 1)?[0]),
            25 => Self::take(rest, 2)?.iter().fold(0, |value, byte| value << 8 | usize::from(*byte)),
            26 => Self::take(rest, 4)?.iter().fold(0, |value, byte| value << 8 | usize::from(*byte)),
            _ => return None,
        };
        Some((first >> 5, length))
    }

    fn take(rest: &mut &'a [u8], length: usize) -> Option<&'a [u8]> {
        let (taken, behind) = rest.split_at_checked(length)?;
        *rest = behind;
        Some(taken)
    }

    fn get(&self, name: &str) -> Option<&Self> {
        let Self::Map(entries) = self else { return None };
        entries.iter().find(|(known, _)| *known == name).map(|(_, value)| value)
    }

    fn bytes(&self) -> Option<&'a [u8]> {
        match self {
            Self::Bytes(bytes) => Some(bytes),
            Self::Text(text) => Some(text.as_bytes()),
            Self::Map(_) => None,
        }
    }

    /// Text under `name`, and the hex signature beside it.
    fn signed(&self, name: &str) -> Option<Signed> {
        let text = core::str::from_utf8(self.get(name)?.bytes()?).ok()?.to_owned();
        let signature = core::str::from_utf8(self.get("signature")?.bytes()?).ok()?;
        Some(Signed { text, signature: hex::decode(signature).ok()?.try_into().ok()? })
    }
}

/// Oasis' bundle: a quote, and TCB info, QE identity and their signer's chain. It has no revocation lists.
pub(super) fn read_cbor(bytes: &[u8]) -> Result<Container, Refusal> {
    let mut rest = bytes;
    let bundle = Cbor::read(&mut rest, 0).filter(|_| rest.is_empty()).ok_or(Refusal::ContainerFormat)?;
    let quote = bundle.get("quote").and_then(Cbor::bytes).ok_or(Refusal::ContainerPart)?;
    let format = quote_format(quote).ok_or(Refusal::ContainerPart)?;
    let mut endorsements = Endorsements::default();
    if let Some(tcb) = bundle.get("tcb") {
        endorsements.tcb_infos.extend(tcb.get("tcb_info").and_then(|info| info.signed("tcb_info")));
        endorsements.identities.extend(tcb.get("qe_id").and_then(|identity| identity.signed("enclave_identity")));
        if let Some(chain) = tcb.get("certs").and_then(Cbor::bytes) {
            endorsements.add(chain)?;
        }
    }
    Ok(Container::Quote { format, quote: quote.to_vec(), log: None, endorsements: Box::new(endorsements) })
}
