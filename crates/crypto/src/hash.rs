//! Digests of our formats (`spec/encoding.md` §3): SHA-256 with a one-line domain, keccak only where Ethereum says so.
//!
//! Every digest of a document is made by a function here, so that no room chooses a domain of its own. The keyset and
//! the statement of a quote are hashed without a domain, because ACI fixes their bytes.

use freehold_primitives::{
    Canonical, Digest, Genesis, Keyset, Measurement, PayloadHead, Register, SubjectBody, report_statement,
};
use sha2::{Digest as _, Sha256, Sha384, Sha512, Sha512_256};
use tiny_keccak::{Hasher as _, Keccak};

/// H(domain, parts): SHA-256 over the domain, one line feed, and the parts in order.
///
/// Parts are not delimited; a caller with more than one part of variable length delimits them itself.
///
/// # Panics
/// When the domain is not one line of printable ASCII: domains are constants of the code.
pub fn hash(domain: &str, parts: &[&[u8]]) -> Digest {
    assert!(domain.bytes().all(|b| (0x20..0x7f).contains(&b)), "a domain is one line of printable ASCII");
    let mut hasher = Sha256::new();
    hasher.update(domain.as_bytes());
    hasher.update(b"\n");
    for part in parts {
        hasher.update(part);
    }
    Digest(hasher.finalize().into())
}

/// SHA-256 (FIPS 180-4 §6.2).
pub fn sha256(bytes: &[u8]) -> Digest {
    Digest(Sha256::digest(bytes).into())
}

/// SHA-384 (FIPS 180-4 §6.5): the hash of TDX measurement registers.
pub fn sha384(bytes: &[u8]) -> Register {
    Register(Sha384::digest(bytes).into())
}

/// SHA-512 (FIPS 180-4 §6.4).
pub fn sha512(bytes: &[u8]) -> [u8; 64] {
    Sha512::digest(bytes).into()
}

/// SHA-512/256 (FIPS 180-4 §6.7) over the concatenation of `parts`: the hash of Oasis's identifiers.
pub fn sha512_256(parts: &[&[u8]]) -> Digest {
    let mut hasher = Sha512_256::new();
    for part in parts {
        hasher.update(part);
    }
    Digest(hasher.finalize().into())
}

/// Keccak-256 over the concatenation of `parts`: Ethereum's hash.
pub fn keccak256(parts: &[&[u8]]) -> Digest {
    let mut hasher = Keccak::v256();
    for part in parts {
        hasher.update(part);
    }
    let mut out = [0; 32];
    hasher.finalize(&mut out);
    Digest(out)
}

/// Digest of a payload: of its head, which carries the digest of the body.
pub fn payload_digest(head: &PayloadHead) -> Digest {
    hash("freehold payload", &[&head.to_canonical()])
}

/// Digest of a payload's body, over the body's canonical bytes.
pub fn body_digest(body: &[u8]) -> Digest {
    hash("freehold payload body", &[body])
}

/// Digest of a genesis: the name of a chain.
pub fn genesis_hash(genesis: &Genesis) -> Digest {
    hash("freehold genesis", &[&genesis.to_canonical()])
}

/// Digest under which bytes are kept content-addressed: entries, evidence, collateral documents.
pub fn content_digest(bytes: &[u8]) -> Digest {
    hash("freehold content", &[bytes])
}

/// Digest of all registers of a measurement, by which policies and contracts name a release (`spec/policy.md` §5).
pub fn measurement_digest(measurement: &Measurement) -> Digest {
    hash("freehold measurement", &[&measurement.to_canonical()])
}

/// Id of an instance: SHA-256 of its subject body's document, the digest in the keyset's `subject`.
pub fn subject_digest(subject: &SubjectBody) -> Digest {
    sha256(&subject.to_canonical())
}

/// Keyset digest: SHA-256 of the RFC 8785 form (`spec/keyset.md` §2).
pub fn keyset_digest(keyset: &Keyset) -> Digest {
    sha256(keyset.to_jcs().as_bytes())
}

/// `report_data` of a quote: SHA-256 of ACI's statement, then 32 zero bytes (`spec/keyset.md` §3).
pub fn report_data(keyset_digest: &Digest, nonce: Option<&Digest>) -> [u8; 64] {
    let mut out = [0; 64];
    out[..32].copy_from_slice(sha256(report_statement(keyset_digest, nonce).as_bytes()).as_bytes());
    out
}
