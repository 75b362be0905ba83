//! Signatures and digests of fetch records (`spec/fetch.md`).
//!
//! The signer is the instance's own account, so that a contract can check a record too. Not here: whether the account is a
//! live instance's, and which block counts; those are `freehold-verify`'s and the contract's.

use freehold_primitives::{Account, Canonical as _, Digest, FetchRecord, write_length};

use crate::{
    hash::{hash, keccak256},
    keys::{AccountKey, KeyError, recover_account},
};

const FETCH_DOMAIN: &[u8] = b"freehold fetch\n";
const HEADERS_DOMAIN: &str = "freehold fetch headers";
const ROOTS_DOMAIN: &str = "freehold fetch roots";
const CERTIFICATES_DOMAIN: &str = "freehold fetch certificates";

/// What the account signs: keccak-256 of `"freehold fetch\n"` and the record's document.
pub fn fetch_digest(record: &FetchRecord) -> Digest {
    keccak256(&[FETCH_DOMAIN, &record.to_canonical()])
}

/// Signs a record.
pub fn sign_fetch(key: &AccountKey, record: &FetchRecord) -> [u8; 65] {
    key.sign(&fetch_digest(record))
}

/// Account that signed a record.
///
/// # Errors
/// [`KeyError::Malformed`], [`KeyError::Invalid`].
pub fn recover_fetch(record: &FetchRecord, signature: &[u8]) -> Result<Account, KeyError> {
    recover_account(&fetch_digest(record), signature)
}

/// Names the headers of a request, names in lower case, in their order; zero for none.
pub fn fetch_headers_digest(headers: &[(String, String)]) -> Digest {
    let texts: Vec<&[u8]> = headers.iter().flat_map(|(name, value)| [name.as_bytes(), value.as_bytes()]).collect();
    digest_of(HEADERS_DOMAIN, &texts)
}

/// Names a set of root certificates (DER), in whatever order they are given; zero for none.
pub fn fetch_roots_digest(roots: &[impl AsRef<[u8]>]) -> Digest {
    let mut sorted: Vec<&[u8]> = roots.iter().map(AsRef::as_ref).collect();
    sorted.sort_unstable();
    sorted.dedup();
    digest_of(ROOTS_DOMAIN, &sorted)
}

/// Names a chain of certificates (DER) as a server showed it, its own first.
pub fn fetch_certificates_digest(chain: &[impl AsRef<[u8]>]) -> Digest {
    let chain: Vec<&[u8]> = chain.iter().map(AsRef::as_ref).collect();
    digest_of(CERTIFICATES_DOMAIN, &chain)
}

fn digest_of(domain: &str, items: &[&[u8]]) -> Digest {
    if items.is_empty() {
        return Digest([0; 32]);
    }
    let mut out = Vec::new();
    for item in items {
        write_length(&mut out, item.len());
        out.extend_from_slice(item);
    }
    hash(domain, &[&out])
}

#[cfg(test)]
mod tests;
