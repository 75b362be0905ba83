//! The enveloped XML signature of a RIM file (XML Signature 1.1), with the one set of algorithms that NVIDIA uses. The
//! structure is matched child by child; anything more, less or other is refused.

use base64::{Engine as _, prelude::BASE64_STANDARD};
use freehold_primitives::UnixSeconds;
use p384::ecdsa::{Signature, signature::Verifier as _};
use sha2::{Digest as _, Sha384};

use super::xml::{self, Element};
use crate::{
    nvidia::certificate::{self, Certificate},
    refusal::Refusal,
};

const XMLDSIG: &str = "http://www.w3.org/2000/09/xmldsig#";
const CANONICAL_XML_11: &str = "http://www.w3.org/2006/12/xml-c14n11";
const ENVELOPED: &str = "http://www.w3.org/2000/09/xmldsig#enveloped-signature";
const ECDSA_SHA384: &str = "http://www.w3.org/2001/04/xmldsig-more#ecdsa-sha384";
const SHA384: &str = "http://www.w3.org/2001/04/xmldsig-more#sha384";
/// Most certificates in a file.
const CERTIFICATES_MAX: usize = 8;

/// Verifies the signature inside `tag` and its signer's chain up to `root`; returns when the chain's validity ends.
pub(crate) fn verify(tag: &Element, root: &[u8], now_unix_s: UnixSeconds) -> Result<UnixSeconds, Refusal> {
    let parts = Parts::of(tag).ok_or(Refusal::RimFormat)?;
    let content = tag.canonical(&Vec::new(), Some(parts.signature));
    if Sha384::digest(content).as_slice() != parts.digest {
        return Err(Refusal::RimDigest);
    }
    let chain = parts.certificates.iter().map(|der| Certificate::read(der)).collect::<Result<Vec<_>, _>>()?;
    let (Some(leaf), Some(last)) = (chain.first(), chain.last()) else { return Err(Refusal::RimFormat) };
    if last.der() != root {
        return Err(Refusal::UnknownRoot);
    }
    let expires_at = certificate::check_path(&chain, &[], 1, now_unix_s)?;
    let mut scope = tag.declared().clone();
    xml::extend(&mut scope, parts.signature.declared());
    let signed = parts.signed_info.canonical(&scope, None);
    leaf.key().verify(signed.as_bytes(), &parts.value).map_err(|_| Refusal::RimSignature)?;
    Ok(expires_at)
}

/// The parts of a signature of the expected structure.
struct Parts<'a> {
    signature: &'a Element,
    signed_info: &'a Element,
    /// SHA-384 of the canonical document without the signature.
    digest: Vec<u8>,
    value: Signature,
    certificates: Vec<Vec<u8>>,
}

impl<'a> Parts<'a> {
    fn of(tag: &'a Element) -> Option<Self> {
        let signatures: Vec<&Element> =
            tag.elements()?.into_iter().filter(|child| child.is(XMLDSIG, "Signature")).collect();
        let [signature] = *signatures.as_slice() else { return None };
        let [signed_info, value, key_info] = children(signature, ["SignedInfo", "SignatureValue", "KeyInfo"])?;
        let [method, signing, reference] =
            children(signed_info, ["CanonicalizationMethod", "SignatureMethod", "Reference"])?;
        let [transforms, digesting, digest] = children(reference, ["Transforms", "DigestMethod", "DigestValue"])?;
        let [enveloped, canonical] = children(transforms, ["Transform", "Transform"])?;
        let algorithms = [
            (method, CANONICAL_XML_11),
            (signing, ECDSA_SHA384),
            (enveloped, ENVELOPED),
            (canonical, CANONICAL_XML_11),
            (digesting, SHA384),
        ];
        for (element, algorithm) in algorithms {
            if !element.children.is_empty() || only_attribute(element)? != ("Algorithm", algorithm) {
                return None;
            }
        }
        // An empty reference is the whole document that the signature stands in (XML Signature 1.1 §4.4.3.2).
        if only_attribute(reference)? != ("URI", "") {
            return None;
        }
        let [data] = children(key_info, ["X509Data"])?;
        let certificates = data.elements()?;
        if certificates.len() > CERTIFICATES_MAX || !certificates.iter().all(|one| one.is(XMLDSIG, "X509Certificate")) {
            return None;
        }
        Some(Self {
            signature,
            signed_info,
            digest: base64_of(digest)?,
            value: Signature::from_slice(&base64_of(value)?).ok()?,
            certificates: certificates.into_iter().map(base64_of).collect::<Option<_>>()?,
        })
    }
}

/// Exactly these child elements of XML Signature's namespace, in this order.
fn children<'a, const N: usize>(element: &'a Element, names: [&str; N]) -> Option<[&'a Element; N]> {
    let elements: [&Element; N] = element.elements()?.try_into().ok()?;
    elements.iter().zip(names).all(|(element, name)| element.is(XMLDSIG, name)).then_some(elements)
}

/// Local name and value of the single attribute, which has no namespace.
fn only_attribute(element: &Element) -> Option<(&str, &str)> {
    let mut attributes = element.attributes();
    let (namespace, name, value) = attributes.next()?;
    (namespace.is_empty() && attributes.next().is_none()).then_some((name, value))
}

/// The content of an element in base64, broken into lines or not.
fn base64_of(element: &Element) -> Option<Vec<u8>> {
    let text: String = element.text()?.split([' ', '\n', '\t']).collect();
    BASE64_STANDARD.decode(text).ok()
}
