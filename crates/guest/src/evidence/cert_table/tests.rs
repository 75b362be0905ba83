//! Certificate tables, well-formed and not.
#![allow(clippy::unwrap_used)]

use super::*;

/// One DER sequence of `length` bytes.
fn der(length: u16, fill: u8) -> Vec<u8> {
    let mut bytes = vec![0x30, 0x82];
    bytes.extend((length - 4).to_be_bytes());
    bytes.resize(usize::from(length), fill);
    bytes
}

fn table(entries: &[([u8; 16], &[u8])]) -> Vec<u8> {
    let mut head = Vec::new();
    let mut offset = (entries.len() + 1) * ENTRY_BYTES;
    for (guid, bytes) in entries {
        head.extend(guid);
        head.extend(u32::try_from(offset).unwrap().to_le_bytes());
        head.extend(u32::try_from(bytes.len()).unwrap().to_le_bytes());
        offset += bytes.len();
    }
    head.extend([0; ENTRY_BYTES]);
    entries.iter().fold(head, |table, (_, bytes)| [table, bytes.to_vec()].concat())
}

#[test]
fn certificates_are_found_by_their_names() {
    let (vcek, vlek, ask, ark) = (der(600, 1), der(700, 2), der(800, 3), der(900, 4));
    let all = table(&[(ARK, &ark), (VCEK, &vcek), ([9; 16], b"unknown"), (ASK, &ask)]);
    let read = CertTable::read(&all).unwrap();
    assert_eq!(read.vcek(), Some(vcek.as_slice()));
    assert_eq!((read.ask(), read.ark(), read.vlek()), (Some(ask.as_slice()), Some(ark.as_slice()), None));
    assert_eq!(read.endorsement(), read.vcek());
    // The host's page is padded; a cloud has its own key; a GUID may be in the other order.
    let padded = [table(&[(mirrored(VLEK), &vlek)]), vec![0; 4096]].concat();
    assert_eq!(CertTable::read(&padded).unwrap().endorsement(), Some(vlek.as_slice()));
    assert_eq!(VCEK[..4], [0x63, 0xda, 0x75, 0x8d]);
    assert_eq!(mirrored(VCEK)[..8], [0x8d, 0x75, 0xda, 0x63, 0x64, 0xe6, 0x64, 0x45]);
}

#[test]
fn a_host_may_give_nothing() {
    for empty in [Vec::new(), vec![0; 24], vec![0; 4096], vec![0; 5]] {
        assert_eq!(CertTable::read(&empty).unwrap(), CertTable::default());
    }
}

#[test]
fn table_malformed() {
    let vcek = der(600, 1);
    let good = table(&[(VCEK, &vcek)]);
    let with = |at: usize, bytes: &[u8]| {
        let mut bad = good.clone();
        bad[at..at + bytes.len()].copy_from_slice(bytes);
        CertTable::read(&bad).unwrap_err()
    };
    assert_eq!(with(24, &[1]), CertTableError::Range, "the end is an entry now, and points at the head");
    assert_eq!(CertTable::read(&good[..30]), Err(CertTableError::Endless));
    assert_eq!(CertTable::read(&[1; ENTRY_BYTES * 20]), Err(CertTableError::Endless));
    assert_eq!(with(16, &47u32.to_le_bytes()), CertTableError::Range, "into the head");
    assert_eq!(with(16, &u32::MAX.to_le_bytes()), CertTableError::Range);
    assert_eq!(with(20, &0u32.to_le_bytes()), CertTableError::Range);
    assert_eq!(with(20, &601u32.to_le_bytes()), CertTableError::Range);
    assert_eq!(with(20, &599u32.to_le_bytes()), CertTableError::NotDer);
    assert_eq!(with(48, &[0x31]), CertTableError::NotDer);
    assert_eq!(CertTable::read(&table(&[(VCEK, &der(4097, 1))])), Err(CertTableError::NotDer));
    assert_eq!(CertTable::read(&table(&[(VCEK, &vcek), (mirrored(VCEK), &vcek)])), Err(CertTableError::Repeated));
    let mut shared = table(&[(VCEK, &vcek), (ASK, &vcek)]);
    let first = shared[16..20].to_vec();
    shared[40..44].copy_from_slice(&first);
    assert_eq!(CertTable::read(&shared), Err(CertTableError::Overlap));
}
