//! The header of a state disk (`spec/vm-image.md` §10): the disk's own key, sealed under the app's root key. It says nothing else,
//! and is believed only where it opens.

use freehold_crypto::{DEOXYS_NONCE_BYTES, Deoxys, hkdf_sha256};
use zeroize::Zeroizing;

use crate::roots::{Root, Roots};

/// Bytes of a disk's key.
pub(super) const KEY_BYTES: usize = 96;
/// How a header begins: words and version.
const MAGIC: &[u8; 16] = b"freehold state\n\x01";
/// Bytes of a disk's id, and of the seal's tag.
const ID_BYTES: usize = 16;
const TAG_BYTES: usize = 16;
/// What is sealed: sequence, size, key.
const BODY_BYTES: usize = 8 + 8 + KEY_BYTES;
/// Bytes of a header.
pub(super) const HEADER_BYTES: usize = MAGIC.len() + ID_BYTES + DEOXYS_NONCE_BYTES + BODY_BYTES + TAG_BYTES;
/// Bound to the ciphertext, with the id.
const DOMAIN: &[u8] = b"freehold state disk v1";

/// A header that was opened, or is to be written. No `Debug`: it holds the disk's key.
#[derive(Clone)]
pub(super) struct Header {
    /// Tells disks apart; random.
    pub(super) id: [u8; ID_BYTES],
    /// Rises with each writing.
    pub(super) sequence: u64,
    /// Size of the file system, in MiB.
    pub(super) mib: u64,
    pub(super) key: Zeroizing<[u8; KEY_BYTES]>,
}

/// What stands where a header may.
pub(super) enum Place {
    /// Zeros.
    Empty,
    /// Something that opens under no root key that is held.
    Sealed,
    /// A header.
    Open(Header),
}

fn sealer(root: &Root, id: &[u8; ID_BYTES]) -> Deoxys {
    let mut key = Zeroizing::new([0; 32]);
    hkdf_sha256(id, &root.secret[..], &[DOMAIN], &mut *key);
    Deoxys::new(&key)
}

fn bound(id: &[u8; ID_BYTES]) -> Vec<u8> {
    [DOMAIN, id].concat()
}

impl Header {
    /// Reads a place under any root key that is held.
    pub(super) fn read(bytes: &[u8; HEADER_BYTES], roots: &Roots) -> Place {
        if bytes.iter().all(|byte| *byte == 0) {
            return Place::Empty;
        }
        let opened = bytes.strip_prefix(MAGIC).and_then(|rest| {
            let (id, rest) = rest.split_first_chunk::<ID_BYTES>()?;
            let (nonce, sealed) = rest.split_first_chunk::<DEOXYS_NONCE_BYTES>()?;
            let open = |root| sealer(root, id).open(nonce, sealed, &bound(id)).ok();
            let body = roots.all().find_map(open)?;
            let (sequence, rest) = body.split_first_chunk()?;
            let (mib, key) = rest.split_first_chunk()?;
            let (sequence, mib) = (u64::from_be_bytes(*sequence), u64::from_be_bytes(*mib));
            Some(Self { id: *id, sequence, mib, key: Zeroizing::new(key.try_into().ok()?) })
        });
        opened.map_or(Place::Sealed, Place::Open)
    }

    /// The header's bytes under a root key.
    pub(super) fn seal(&self, root: &Root, nonce: &[u8; DEOXYS_NONCE_BYTES]) -> [u8; HEADER_BYTES] {
        let mut body = Zeroizing::new([0; BODY_BYTES]);
        body[..8].copy_from_slice(&self.sequence.to_be_bytes());
        body[8..16].copy_from_slice(&self.mib.to_be_bytes());
        body[16..].copy_from_slice(&self.key[..]);
        let sealed = sealer(root, &self.id).seal(nonce, &body[..], &bound(&self.id));
        let parts = [&MAGIC[..], &self.id, nonce, &sealed].concat();
        parts.try_into().expect("a sealed body is as long as the body and a tag")
    }
}
