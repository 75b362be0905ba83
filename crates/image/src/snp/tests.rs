//! Launch digests against published values, and against one of real hardware.

use super::*;

/// Ends of two firmware builds (`tests/vectors/README.md`).
const AMD_SEV: &[u8] = include_bytes!("../../tests/vectors/ovmf-amdsev-suffix.bin");
const GENERIC: &[u8] = include_bytes!("../../tests/vectors/ovmf-x64-suffix.bin");

fn launch(cpus: u16, features: u64, line: Option<&str>) -> SnpLaunch {
    let hashes = line.map(|line| KernelHashes::of(&[], &[], &CommandLine::new(line).unwrap()));
    SnpLaunch { shape: VmShape::new(cpus, 512).unwrap(), cpu: SnpCpu::EpycV4, features, hashes }
}

fn digest(firmware: &[u8], launch: SnpLaunch) -> Result<String, MeasureFault> {
    let firmware = Firmware::parse(firmware)?;
    Ok(hex::encode(launch.measurement(&firmware, Digest::ZERO)?.measurement.0))
}

/// The values that virtee's crate `sev` and IBM's `sev-snp-measure` agree on.
#[test]
fn launch_digests_are_the_published_ones() {
    let line = Some("console=ttyS0 loglevel=7");
    for (firmware, launch, expected) in [
        (
            AMD_SEV,
            launch(1, 0x21, line),
            "803f691094946e42068aaa3a8f9e26a5c89f36f7b73ecfb28c653360fe4b3aba7e534442e7e1e17895dfe778d0228977",
        ),
        (
            AMD_SEV,
            launch(1, 0x1, line),
            "6d287813eb5222d770f75005c664e34c204f385ce832cc2ce7d0d6f354454362f390ef83a92046c042e706363b4b08fa",
        ),
        (
            AMD_SEV,
            launch(4, 0x1, Some("")),
            "5061fffb019493a903613d56d54b94912a1a2f9e4502385f5c194616753720a92441310ba6c4933de877c36e23046ad5",
        ),
        (
            AMD_SEV,
            launch(4, 0x21, Some("")),
            "4953b1fb416fa874980e8442b3706d345926d5f38879134e00813c5d7abcbe78eafe7b422907be0b4698e2414a631942",
        ),
        (
            AMD_SEV,
            launch(1, 0x21, None),
            "e1e1ca029dd7973ab9513295be68198472dcd4fc834bd9af9b63f6e8a1674dbf281a9278a4a2ebe0eed9f22adbcd0e2b",
        ),
        (
            GENERIC,
            launch(1, 0x1, None),
            "da0296de8193586a5512078dcd719eccecbd87e2b825ad4148c44f665dc87df21e5b49e21523a9ad993afdb6a30b4005",
        ),
        (
            GENERIC,
            launch(1, 0x21, None),
            "28797ae0afaba4005a81e629acebfb59e6687949d6be44007cd5506823b0dd66f146aaae26ff291eed7b493d8a64c385",
        ),
    ] {
        assert_eq!(digest(firmware, launch).unwrap(), expected);
    }
}

/// A report of an AMD EPYC Milan, with what it was launched from (Dstack-TEE/dstack, Apache-2.0, commit 312dc605:
/// `dstack/verifier/fixtures/sev-snp-attestation.json`). The firmware is known by the digest of its pages.
#[test]
fn the_launch_digest_of_a_real_guest_is_found_again() {
    let hash = |text: &str| Digest(hex::decode(text).unwrap().try_into().unwrap());
    let line = "console=ttyS0 init=/init panic=1 net.ifnames=0 biosdevname=0 mce=off oops=panic pci=noearly pci=nommconf \
                random.trust_cpu=y random.trust_bootloader=n tsc=reliable no-kvmclock \
                dstack.rootfs_hash=ca5adaef0ac3a36108035925763b48a5818f634e700fbaab561d419fd30d7121 \
                dstack.rootfs_size=490713088";
    let command_line = KernelHashes::of(&[], &[], &CommandLine::new(line).unwrap()).command_line;
    let hashes = KernelHashes {
        kernel: hash("dd9ea274ce9a07090b22e8284b0c841b65c021c2d15ca57d0f16731089dd226c"),
        initrd: hash("5f844c4a2ca5a3d0711b3db38293b21ba929bb8e0b3c5bc1a779a57f69221c19"),
        command_line,
    };
    let sections = [
        (0x80_0000, 0x9000, SECTION_MEMORY),
        (0x80_a000, 0x3000, SECTION_MEMORY),
        (0x80_d000, 0x1000, SECTION_SECRETS),
        (0x80_e000, 0x1000, SECTION_CPUID),
        (0x80_f000, 0x1000, SECTION_SVSM),
        (0x81_1000, 0xf000, SECTION_MEMORY),
        (0x81_0000, 0x1000, SECTION_HASHES),
    ]
    .map(|(address, bytes, kind)| SevSection { address, pages: bytes / PAGE, kind });
    let place = Place { sections: sections.to_vec(), hashes_address: Some(0x81_0c00), reset_address: 0x80_b004 };
    let firmware = "ffb57e393469a497c0e3b07bd1c97d8611e555f464d14491837665893ac642b263a71f9507ff100a847897fe0c3f8c6f";
    let context = Context(hex::decode(firmware).unwrap().try_into().unwrap());
    let launch =
        SnpLaunch { shape: VmShape::new(2, 2048).unwrap(), cpu: SnpCpu::EpycV4, features: 1, hashes: Some(hashes) };
    let measured = "7f51e17f72a04d5422cb2c00998166536019a217376f3aa45a630e59c805a599847ff250dbffcd07e1ba639771d6f05d";
    assert_eq!(hex::encode(launch.finish(context, &place).unwrap().0), measured);
    // Another command line, CPU or number of CPUs is another digest.
    let mut other = hashes;
    other.command_line.0[0] ^= 1;
    for launch in [
        SnpLaunch { hashes: Some(other), ..launch },
        SnpLaunch { cpu: SnpCpu::Genoa, ..launch },
        SnpLaunch { shape: VmShape::new(3, 2048).unwrap(), ..launch },
        SnpLaunch { features: 0x21, ..launch },
    ] {
        assert_ne!(hex::encode(launch.finish(context, &place).unwrap().0), measured);
    }
}

#[test]
fn a_firmware_without_room_for_hashes_is_refused() {
    assert_eq!(digest(GENERIC, launch(1, 1, Some(""))), Err(MeasureFault::NoKernelHashes));
}

#[test]
fn malformed_firmware_is_refused_and_never_panics() {
    assert_eq!(digest(&[], launch(1, 1, None)), Err(MeasureFault::FirmwareTable));
    assert_eq!(digest(&[0; 4096], launch(1, 1, None)), Err(MeasureFault::FirmwareTable));
    // Every byte of the table and of the sections, one after the other, set to the ends of its range.
    for at in 3000..4064 {
        for value in [0, 0xff] {
            let mut firmware = AMD_SEV.to_vec();
            firmware[at] = value;
            let _ = digest(&firmware, launch(2, 1, Some("")));
        }
    }
    // A prefix is cut away: what the table points at is no longer there.
    for kept in 33..1200 {
        let _ = digest(&AMD_SEV[4096 - kept..], launch(1, 1, Some("")));
    }
}
