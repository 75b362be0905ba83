//! Subjects of denials: how they are read, compared and taken from an instance.
#![allow(clippy::unwrap_used)]

use super::{Denial, DenySubject, NamedSubject, TcbLevel, generation, tcb_family};
use crate::{AppId, Canonical as _, PlatformFamily, SnpTcb, TrustDomain, codec::Blob, entries::DenyEntry};

const SAPPHIRE_RAPIDS: PlatformFamily = PlatformFamily([0x00, 0x80, 0x6f, 0x05, 0, 0]);

#[test]
fn generations_span_families_and_keep_makers_apart() {
    let intel = |family: [u8; 6]| generation(TrustDomain::Intel, TrustDomain::Intel, &PlatformFamily(family));
    // Steppings, platforms and custom parts of one processor; the first digit is not of the signature.
    assert_eq!(intel(SAPPHIRE_RAPIDS.0), [2, 2, 0x00, 0x80, 0x6f]);
    assert_eq!(intel([0x90, 0x80, 0x6f, 0x17, 1, 2]), intel(SAPPHIRE_RAPIDS.0));
    assert_ne!(intel([0xb0, 0xc0, 0x6f, 0, 0, 0]), intel(SAPPHIRE_RAPIDS.0));
    // Milan under a chip's key and under a cloud's is one generation, and not NVIDIA's of the same number.
    let milan = |key: u8| generation(TrustDomain::Amd, TrustDomain::Amd, &PlatformFamily([1, key, 0, 0, 0, 0]));
    assert_eq!(milan(0), milan(1));
    let hopper = generation(TrustDomain::Nvidia, TrustDomain::Nvidia, &PlatformFamily([1, 0, 0, 0, 0, 0]));
    assert_ne!(milan(0)[1..], hopper[1..]);
    let emulated = generation(TrustDomain::Emulated, TrustDomain::Amd, &PlatformFamily([1, 0, 0, 0, 0, 0]));
    assert_ne!(milan(0), emulated);
}

#[test]
fn subjects_are_read_in_one_form_only() {
    for (kind, lengths) in [
        (DenySubject::Platform, &[32][..]),
        (DenySubject::Family, &[6]),
        (DenySubject::Measurement, &[32, 48]),
        (DenySubject::Instance, &[32]),
        (DenySubject::Generation, &[5]),
        (DenySubject::TcbLevel, &[16]),
    ] {
        for length in 0..64_usize {
            // Intel's domain and maker where the kind has them.
            let read = NamedSubject::read(kind, &vec![TrustDomain::Intel as u8; length]);
            assert_eq!(read.is_some(), lengths.contains(&length), "{kind} of {length} bytes");
        }
        assert_eq!(DenySubject::from_word(kind.as_str()), Some(kind));
        assert_eq!(DenySubject::from_tag(kind as u8), Some(kind));
    }
    for (bytes, reads) in [
        ([1, 1, 0, 0, 0], false),
        ([1, 3, 0, 0, 1], true),
        ([2, 3, 0, 0, 1], false),
        ([0, 3, 0, 0, 1], false),
        ([3, 6, 0, 0, 1], false),
        ([5, 5, 0, 0, 1], true),
    ] {
        assert_eq!(NamedSubject::read(DenySubject::Generation, &bytes).is_some(), reads, "{bytes:?}");
    }
    let family = tcb_family(TrustDomain::Amd, TrustDomain::Amd, &PlatformFamily([2, 0, 0, 0, 0, 0]));
    let named = NamedSubject::read(DenySubject::TcbLevel, &[&family[..], &[0, 1, 2, 3, 4]].concat()).unwrap();
    assert_eq!((named.key(), named.tcb_family()), (&family[..], Some(PlatformFamily([2, 0, 0, 0, 0, 0]))));
    assert_eq!(named.level().unwrap().to_subject(), [0, 1, 2, 3, 4]);
    // AWS and NVIDIA state no level, and Intel's is of another length.
    for domain in [TrustDomain::Aws, TrustDomain::Nvidia, TrustDomain::Intel] {
        let family = tcb_family(domain, domain, &PlatformFamily([0; 6]));
        assert!(NamedSubject::read(DenySubject::TcbLevel, &[&family[..], &[0; 5]].concat()).is_none());
    }
}

#[test]
fn a_level_covers_itself_and_what_is_lower() {
    let snp = |snp, microcode| TcbLevel::Snp(SnpTcb { snp, microcode, ..SnpTcb::default() });
    assert!(TcbLevel::Dated(5).is_at_most(&TcbLevel::Dated(5)));
    assert!(!TcbLevel::Dated(6).is_at_most(&TcbLevel::Dated(5)));
    assert!(snp(3, 4).is_at_most(&snp(3, 4)));
    assert!(!snp(4, 3).is_at_most(&snp(3, 4)), "each part counts by itself");
    assert!(snp(4, 3).is_at_most(&snp(255, 4)), "255 stands for any");
    assert!(!TcbLevel::Dated(1).is_at_most(&snp(255, 255)), "vendors are not compared");
    assert_eq!(snp(4, 3).lowest(snp(3, 4)), snp(3, 3));
    assert_eq!(TcbLevel::Dated(7).lowest(TcbLevel::Dated(3)), TcbLevel::Dated(3));
}

#[test]
fn an_entry_stands_while_one_denial_does() {
    let denial = |date, lifted_at| Denial { level: Some(TcbLevel::Dated(date)), reason: 1, since: 4, lifted_at };
    let mut entry = DenyEntry {
        app_id: AppId::CHAIN,
        subject_kind: DenySubject::TcbLevel,
        subject: Blob(tcb_family(TrustDomain::Intel, TrustDomain::Intel, &SAPPHIRE_RAPIDS).to_vec()),
        denials: vec![denial(10, Some(9)), denial(5, None)],
    };
    assert!(entry.stands(Some(&TcbLevel::Dated(5))) && !entry.stands(Some(&TcbLevel::Dated(6))));
    assert!(!entry.stands(None));
    assert_eq!(DenyEntry::from_canonical(&entry.to_canonical()).unwrap(), entry);
    entry.denials[1].lifted_at = Some(11);
    assert!(!entry.stands(Some(&TcbLevel::Dated(5))));
}
