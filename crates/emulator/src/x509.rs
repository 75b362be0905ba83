//! Certificates and revocation lists as AMD and AWS write them: RSA-4096 with PSS and SHA-384, or ECDSA P-384.
//!
//! Everything is a function of its arguments: signatures are RFC 6979 or PSS with a salt that is a hash.

use freehold_primitives::UnixSeconds;
use p384::ecdsa::{Signature, SigningKey, signature::Signer as _};
use sha2::{Digest as _, Sha384};

use crate::{
    der::{bit_string, moment, oid, sequence, tlv, unsigned},
    rsa_key::RsaKey,
};

/// The first and last second of certificates whose dates do not matter: 2020-01-01 and 2070-01-01.
pub(crate) const LONG: (UnixSeconds, UnixSeconds) = (1_577_836_800, 3_155_760_000);

/// A key that signs certificates.
pub(crate) enum Key {
    Rsa(Box<RsaKey>),
    P384(P384Key),
}

/// A P-384 key of a label.
pub(crate) struct P384Key(SigningKey);

impl P384Key {
    pub(crate) fn derive(seed: &[u8; 32], label: &str) -> Self {
        let key = (0..=u8::MAX).find_map(|counter| {
            let hash = Sha384::new().chain_update(b"freehold emulator p384\n").chain_update(seed).chain_update(label);
            SigningKey::from_slice(&hash.chain_update([counter]).finalize()).ok()
        });
        Self(key.expect("a hash is no scalar once in 2^192, and 256 are tried"))
    }

    /// Signs bytes; `r ‖ s`, big-endian, with `s` in its lower half.
    pub(crate) fn sign(&self, bytes: &[u8]) -> [u8; 96] {
        let signature: Signature = self.0.sign(bytes);
        let mut out = [0; 96];
        out.copy_from_slice(&signature.normalize_s().to_bytes());
        out
    }

    /// SubjectPublicKeyInfo.
    pub(crate) fn public(&self) -> Vec<u8> {
        let point = self.0.verifying_key().to_sec1_point(false);
        let algorithm = sequence(&[oid(&[1, 2, 840, 10045, 2, 1]), oid(&[1, 3, 132, 0, 34])]);
        sequence(&[algorithm, bit_string(point.as_bytes())])
    }
}

impl Key {
    /// SubjectPublicKeyInfo.
    pub(crate) fn public(&self) -> Vec<u8> {
        match self {
            Self::Rsa(key) => key.public(),
            Self::P384(key) => key.public(),
        }
    }

    /// AlgorithmIdentifier of its signatures.
    fn algorithm(&self) -> Vec<u8> {
        match self {
            Self::Rsa(_) => {
                let sha384 = || sequence(&[oid(&[2, 16, 840, 1, 101, 3, 4, 2, 2]), tlv(5, &[])]);
                let mask = sequence(&[oid(&[1, 2, 840, 113_549, 1, 1, 8]), sha384()]);
                let salt = unsigned(&[48]);
                let parameters = sequence(&[tlv(0xa0, &sha384()), tlv(0xa1, &mask), tlv(0xa2, &salt)]);
                sequence(&[oid(&[1, 2, 840, 113_549, 1, 1, 10]), parameters])
            }
            Self::P384(_) => sequence(&[oid(&[1, 2, 840, 10045, 4, 3, 3])]),
        }
    }

    fn sign(&self, bytes: &[u8]) -> Vec<u8> {
        match self {
            Self::Rsa(key) => key.sign(bytes),
            Self::P384(key) => {
                let signature = key.sign(bytes);
                sequence(&[unsigned(&signature[..48]), unsigned(&signature[48..])])
            }
        }
    }

    /// Signs the outer layer around a signed part.
    fn seal(&self, tbs: Vec<u8>) -> Vec<u8> {
        let signature = bit_string(&self.sign(&tbs));
        sequence(&[tbs, self.algorithm(), signature])
    }
}

/// A distinguished name: organisation and common name.
pub(crate) fn name(organization: &str, common_name: &str) -> Vec<u8> {
    let part = |arc: u32, text: &str| {
        let attribute = sequence(&[oid(&[2, 5, 4, arc]), tlv(0x0c, text.as_bytes())]);
        tlv(0x31, &attribute)
    };
    sequence(&[part(10, organization), part(3, common_name)])
}

/// An extension.
pub(crate) fn extension(arcs: &[u32], value: &[u8]) -> Vec<u8> {
    sequence(&[oid(arcs), tlv(4, value)])
}

fn critical(arcs: &[u32], value: &[u8]) -> Vec<u8> {
    sequence(&[oid(arcs), tlv(1, &[0xff]), tlv(4, value)])
}

/// Extensions of an issuer with at most `below` issuers under it; an issuer of lists too.
pub(crate) fn issuer_extensions(below: Option<u8>) -> Vec<Vec<u8>> {
    let mut constraints = vec![tlv(1, &[0xff])];
    constraints.extend(below.map(|below| unsigned(&[below])));
    vec![
        critical(&[2, 5, 29, 19], &sequence(&constraints)),
        // keyCertSign and cRLSign.
        critical(&[2, 5, 29, 15], &[0x03, 0x02, 0x01, 0x06]),
    ]
}

/// What a certificate says, apart from its issuer.
pub(crate) struct Subject<'a> {
    pub(crate) serial: &'a [u8],
    pub(crate) name: &'a [u8],
    pub(crate) public: Vec<u8>,
    pub(crate) valid: (UnixSeconds, UnixSeconds),
    pub(crate) extensions: Vec<Vec<u8>>,
}

/// A certificate, DER.
pub(crate) fn certificate(subject: &Subject<'_>, issuer_name: &[u8], issuer: &Key) -> Vec<u8> {
    let (from, until) = subject.valid;
    issuer.seal(sequence(&[
        tlv(0xa0, &unsigned(&[2])),
        unsigned(subject.serial),
        issuer.algorithm(),
        issuer_name.to_vec(),
        sequence(&[moment(from), moment(until)]),
        subject.name.to_vec(),
        subject.public.clone(),
        tlv(0xa3, &sequence(&subject.extensions)),
    ]))
}

/// A revocation list of one day, valid for 30.
pub(crate) struct List<'a> {
    pub(crate) issued_at: UnixSeconds,
    pub(crate) expires_at: UnixSeconds,
    pub(crate) revoked: Option<&'a [u8]>,
}

/// A revocation list, DER. Its number is the day of its issue.
pub(crate) fn revocation_list(list: &List<'_>, issuer_name: &[u8], issuer: &Key) -> Vec<u8> {
    let number = unsigned(&(list.issued_at / crate::collateral::DAY_S).to_be_bytes());
    let mut parts =
        vec![unsigned(&[1]), issuer.algorithm(), issuer_name.to_vec(), moment(list.issued_at), moment(list.expires_at)];
    parts.extend(list.revoked.map(|serial| sequence(&[sequence(&[unsigned(serial), moment(list.issued_at)])])));
    parts.push(tlv(0xa0, &sequence(&[extension(&[2, 5, 29, 20], &number)])));
    issuer.seal(sequence(&parts))
}
