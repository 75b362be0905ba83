//! Sizes and parameters, word for word; what the kernel makes of them: `crates/init/tests/boot.rs`.

use super::*;

#[test]
fn sizes_and_parameters() {
    let layout = StateLayout::new(64).unwrap();
    assert_eq!((layout.mib(), layout.sectors()), (64, 131_072));
    assert_eq!(layout.disk_bytes(), (1 + 64 + 1 + 16) << 20);
    let kept = "/dev/vdb 2048 48 J 2 block_size:4096 journal_sectors:8192";
    assert_eq!(layout.integrity("/dev/vdb", TagJournal::Kept), kept);
    assert_eq!(layout.integrity("/dev/vdb", TagJournal::Left), kept.replace('J', "D"));
    let crypt = layout.crypt("/dev/dm-1", &[0xab; STATE_KEY_BYTES]);
    let (cipher, rest) = crypt.split_once(' ').unwrap();
    assert_eq!(cipher, "capi:authenc(hmac(sha256),xts(aes))-random");
    assert_eq!(rest, format!("{} 0 /dev/dm-1 0 2 integrity:48:aead sector_size:4096", "ab".repeat(96)));
}

#[test]
fn sizes_that_are_none() {
    for mib in [0, STATE_AGENT_MIB - 1, MIB_MAX + 1, u64::MAX] {
        assert_eq!(StateLayout::new(mib).unwrap_err(), MeasureFault::StateSize);
    }
}
