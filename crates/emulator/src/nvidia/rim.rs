//! RIM files of emulated drivers and firmware, written and signed as NVIDIA's are (`spec/gpu.md` §5), under a root of their own.

use base64::{Engine as _, prelude::BASE64_STANDARD};
use freehold_primitives::{GPU_MEASUREMENTS, GpuArchitecture};
use rcgen::Certificate;
use sha2::{Digest as _, Sha384};

use super::{keys::Key384, model, params, sign};

/// Which of the two files.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Part {
    Driver,
    Firmware,
}

impl Part {
    /// Indexes that it names, as on Hopper.
    pub(crate) fn indexes(self) -> Vec<u8> {
        match self {
            Self::Driver => [7].into_iter().chain(21..=40).collect(),
            Self::Firmware => (0..=6).chain(8..=12).collect(),
        }
    }
}

/// The value of a measurement.
pub(crate) fn value(architecture: GpuArchitecture, part: Part, version: &str, index: u8) -> [u8; 48] {
    let text = format!("freehold emulated gpu measurement\n{} {part:?} {version} {index}", model(architecture));
    Sha384::digest(text).into()
}

/// The root of emulated RIM files.
pub(crate) fn root(key: &Key384) -> Certificate {
    params("EMULATED CoRIM signing Root CA", Some(None))
        .self_signed(&key.pair)
        .expect("fixed parameters make a certificate")
}

const NAMESPACES: &str = "xmlns=\"http://standards.iso.org/iso/19770/-2/2015/schema.xsd\" \
     xmlns:ns0=\"http://standards.iso.org/iso/19770/-2/2015/schema.xsd\" \
     xmlns:ns2=\"http://www.w3.org/2001/04/xmlenc#sha384\"";
const SIGNED_INFO: &str = "<ds:CanonicalizationMethod Algorithm=\"http://www.w3.org/2006/12/xml-c14n11\">\
     </ds:CanonicalizationMethod><ds:SignatureMethod Algorithm=\"http://www.w3.org/2001/04/xmldsig-more#ecdsa-sha384\">\
     </ds:SignatureMethod><ds:Reference URI=\"\"><ds:Transforms>\
     <ds:Transform Algorithm=\"http://www.w3.org/2000/09/xmldsig#enveloped-signature\"></ds:Transform>\
     <ds:Transform Algorithm=\"http://www.w3.org/2006/12/xml-c14n11\"></ds:Transform></ds:Transforms>\
     <ds:DigestMethod Algorithm=\"http://www.w3.org/2001/04/xmldsig-more#sha384\"></ds:DigestMethod>";
const XMLDSIG: &str = "xmlns:ds=\"http://www.w3.org/2000/09/xmldsig#\"";

/// A signed file. It is written in canonical form, so that its bytes are what is hashed.
pub(crate) fn file(seed: &[u8; 32], architecture: GpuArchitecture, part: Part, version: &str) -> String {
    let root_key = Key384::derive(seed, "gpu rim root");
    let root = root(&root_key);
    let ca_key = Key384::derive(seed, "gpu rim ca");
    let ca = sign(params("EMULATED Reference Value CA", Some(Some(0))), &ca_key, (&root, &root_key));
    let key = Key384::derive(seed, "gpu rim signer");
    let leaf = sign(params("EMULATED RIM Signer", None), &key, (&ca, &ca_key));

    let body = body(architecture, part, version);
    let digest = BASE64_STANDARD.encode(Sha384::digest(format!("{body}</SoftwareIdentity>")));
    let info = format!("{SIGNED_INFO}<ds:DigestValue>{digest}</ds:DigestValue></ds:Reference></ds:SignedInfo>");
    // Signed alone, the element shows every namespace in scope, sorted by prefix.
    let value = key.sign(
        format!("<ds:SignedInfo {}>{info}", NAMESPACES.replace(" xmlns:ns0", &format!(" {XMLDSIG} xmlns:ns0")))
            .as_bytes(),
    );
    let certificates: String = [leaf, ca, root]
        .iter()
        .map(|one| format!("<ds:X509Certificate>{}</ds:X509Certificate>", BASE64_STANDARD.encode(one.der())))
        .collect();
    format!(
        "{body}<ds:Signature {XMLDSIG}><ds:SignedInfo>{info}<ds:SignatureValue>{}</ds:SignatureValue>\
         <ds:KeyInfo><ds:X509Data>{certificates}</ds:X509Data></ds:KeyInfo></ds:Signature></SoftwareIdentity>",
        BASE64_STANDARD.encode(value)
    )
}

/// Everything above the signature, the root element left open.
fn body(architecture: GpuArchitecture, part: Part, version: &str) -> String {
    let name = model(architecture);
    let indexes = part.indexes();
    let mut resources = String::new();
    for index in 0..u8::try_from(GPU_MEASUREMENTS).expect("a report has 64 measurements") {
        let (active, hash) = if indexes.contains(&index) {
            ("True", hex::encode(value(architecture, part, version, index)))
        } else {
            ("False", "0".repeat(96))
        };
        resources += &format!(
            "<ns0:Resource active=\"{active}\" alternatives=\"1\" index=\"{index}\" name=\"Measurement_{index}\" \
             size=\"48\" type=\"Measurement\" ns2:Hash0=\"{hash}\"></ns0:Resource>\n"
        );
    }
    format!(
        "<SoftwareIdentity {NAMESPACES} name=\"{name}\" tagId=\"emulated\" version=\"1.0\">\n\
         <ns0:Entity name=\"EMULATED - NOT NVIDIA\" role=\"softwareCreator tagCreator\"></ns0:Entity>\n\
         <ns0:Meta PayloadType=\"direct\" colloquialVersion=\"{version}\" edition=\"GPU\" product=\"{name}\"></ns0:Meta>\n\
         <ns0:Payload>\n{resources}</ns0:Payload>\n"
    )
}
