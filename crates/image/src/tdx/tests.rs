//! MRTD and RTMRs against published values, and against a quote of real hardware.

use super::*;

fn register(text: &str) -> Register {
    Register(hex::decode(text).unwrap().try_into().unwrap())
}

/// Temporary memory and TD HOB as OVMF until 2025-02 asks for them.
fn sections() -> Vec<TdxSection> {
    let section = |address, bytes: u64, kind| TdxSection {
        data: 0..0,
        address,
        pages: bytes / PAGE,
        kind,
        extended: false,
        added_later: false,
    };
    vec![
        section(0x81_0000, 0x1_0000, 3),
        section(0x80_b000, 0x2000, 3),
        section(0x80_9000, 0x2000, 2),
        section(0x80_0000, 0x6000, 3),
    ]
}

/// Values that OVMF measured, as the tests of Oasis' command line keep them (oasisprotocol/cli, Apache-2.0,
/// `build/measurement/tdx_qemu_test.go`).
#[test]
fn the_td_hob_is_the_one_that_ovmf_measures() {
    for (memory_mib, expected) in [
        (512, "00934f9ff0a0f65e41109afb9a7c5a0719f567f32514aeaef4c23c8535793f7064a2c69738a2000500ffae6ba349a153"),
        (2048, "0b8772e5b0b41b83e6044a68397e02f49fb47066b4fbe4917ea2c45c64f323fdacbb37948f821ebaf8bc9c938ba8a749"),
        (2064, "149c7f16b4a8fd0f45c908eec2cb8bb55b557a0bb7265f5e90055649599511a5d7219b59f8b1c2eca42eb861de19b160"),
        (2815, "51d4fd91da99cc87d6826bd6177fe8c74790b01b6a315d7ca2639d9d1df9e7835a2251b8e69ecef132b6b0302040f25e"),
        (2816, "8eb1a02074362aa0761541cdb4dc3f1788dfeb4538803b241477848e26de294dbe917ab56c5628732679b3abc168c2de"),
        (4096, "5b684faf8d02a733945f821d9cdd170802e72103977acf66949c9382500283adc90cbec57f8e7653f8bee1cab83689de"),
        (16384, "cd2312a0d87ef3c4a928df87088969a80b33d7bf3fc584bdde637b09ed808a8d821a56b78a13a6eb506db7578444abbe"),
    ] {
        let shape = VmShape::new(1, memory_mib).unwrap();
        assert_eq!(hob::measured(&sections(), shape).unwrap(), register(expected), "{memory_mib} MiB");
    }
}

#[test]
fn memory_below_the_firmwares_own_is_refused() {
    let mut wild = sections();
    wild[0].address = 0x9000_0000;
    let shape = VmShape::new(1, 512).unwrap();
    assert_eq!(hob::measured(&wild, shape), Err(MeasureFault::Section));
    let overlapping = [sections(), sections()].concat();
    assert_eq!(hob::measured(&overlapping, shape), Err(MeasureFault::Section));
    assert_eq!(hob::measured(&[], shape), Err(MeasureFault::Section));
}

/// Of the same origin.
#[test]
fn command_lines_are_measured_as_the_stub_does() {
    for (line, expected) in [
        (
            "console=ttyS0 oasis.stage2.roothash=0c3e6c3235d0f04e68b3bac64e6da3766063d13d689cc3dda006e68bd6d61ce1 \
             oasis.stage2.hash_offset=20230144",
            "cafcc332a983b2e8e8b50aec8398e82a61c36cc4b6fa3a40e18c294611306c06f70facf7ca8a348acd16c787c3751574",
        ),
        ("foo bar", "ae062a0d46d7899081d8068d40d5035c134c77f789c7f894c4b5d92297731bbe53b41b7868edb686ba85757a9e12c5bf"),
        ("", "1dd6f7b457ad880d840d41c961283bab688e94e4b59359ea45686581e90feccea3c624b1226113f824f315eb60ae0a7c"),
    ] {
        let line = CommandLine::new(line).unwrap();
        assert_eq!(sha384(&line.utf16("")), register(expected));
    }
    for refused in ["two\nlines", "ümlaut", " before", "after ", &"x".repeat(2048)] {
        assert_eq!(CommandLine::new(refused), Err(MeasureFault::CommandLine), "{refused:?}");
    }
}

/// A TD with 2 CPUs and 2 GiB under QEMU 8.2.2 (Dstack-TEE/dstack, Apache-2.0, commit 312dc605:
/// `dstack/verifier/fixtures/tdx-lite-getquote.json`): RTMR0 and RTMR1 of its quote, from the digests of what cannot be
/// computed here (ACPI tables, boot entry, kernel) and of what can (everything else).
#[test]
fn the_registers_of_a_real_td_are_found_again() {
    let machine = TdxMachine {
        shape: VmShape::new(2, 2048).unwrap(),
        order: PageOrder::AddThenMeasure,
        separator: Separator::InRtmr1,
        acpi: None,
        boot_entry: OVMF_BOOT_ENTRY,
    };
    let acpi = AcpiTables {
        loader: register(
            "095d04cf26fe03aef6e3561fa24c1aa1cea93f4aeaf563b1f9f7616184c53454875925759434769cec2490acb563a337",
        ),
        rsdp: register(
            "8d9a4d4777a1bc77ecd9d8d37a4628129a80052a510320159a20a923bd07a0e90d8d1f2e1ebf088992b25f0d0fa672ef",
        ),
        tables: register(
            "3070721e169bc41884724cb0e6b3082e1baf249083d8b389181ba50b9afa951057876c380b8870e8c2facf2eff67a2b6",
        ),
    };
    assert_eq!(
        OVMF_BOOT_ENTRY,
        register("23ada07f5261f12f34a0bd8e46760962d6b4d576a416f1fea1c64bc656b1d28eacf7047ae6e967c58fd2a98bfa74c298")
    );
    // SHA-384 of OVMF's empty variable store; Debian's build has the same.
    let volume =
        register("344bc51c980ba621aaa00da3ed7436f7d6e549197dfe699515dfa2c6583d95e6412af21c097d473155875ffd561d6790");
    let memory = hob::measured(&sections(), machine.shape).unwrap();
    assert_eq!(
        extended(&configuration(memory, volume, &machine, &acpi)),
        register("f8438db36b96f85d8752ff7f24a89ec05c79ec9eda2ba732c897fb970ca429365b7471b1c054cb84f17b1c2b23ba6640"),
    );
    let kernel =
        register("ac7e632dcf5cd2a1fe5c1f41f4d9b8219570e64ed3c61038fdbf25404e6f542ffd57f276bc5076307efaf882e6d64177");
    assert_eq!(
        extended(&boot(kernel, machine.separator)),
        register("2023546e7f3b9d1228e274f70c44d481162540f8452544520a796a52f06879709b81a824a26792a7822327504b0d2aee"),
    );
}

/// A firmware of 64 KiB with a measured section of four pages, a configuration volume of two, and memory.
fn firmware() -> Vec<u8> {
    let mut bytes: Vec<u8> = (0..0x1_0000_u32).map(|at| (at.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    let descriptor = 0xf000;
    bytes[descriptor..descriptor + 4].copy_from_slice(b"TDVF");
    for (at, value) in [(4, 16 + 32 * 6), (8, 1), (12, 6_u32)] {
        bytes[descriptor + at..descriptor + at + 4].copy_from_slice(&value.to_le_bytes());
    }
    let rows: [(u32, u32, u64, u64, u32, u32); 6] = [
        (0xc000, 0x4000, 0xffff_c000, 0x4000, 0, 1),
        (0x0000, 0x2000, 0xffff_0000, 0x2000, 1, 0),
        (0, 0, 0x81_0000, 0x1_0000, 3, 0),
        (0, 0, 0x80_b000, 0x2000, 3, 0),
        (0, 0, 0x80_9000, 0x2000, 2, 0),
        (0, 0, 0x80_0000, 0x6000, 3, 0),
    ];
    for (index, (data, length, address, size, kind, attributes)) in rows.into_iter().enumerate() {
        let mut row = [data.to_le_bytes(), length.to_le_bytes()].concat();
        row.extend(address.to_le_bytes());
        row.extend(size.to_le_bytes());
        row.extend(kind.to_le_bytes());
        row.extend(attributes.to_le_bytes());
        let at = descriptor + 16 + 32 * index;
        bytes[at..at + 32].copy_from_slice(&row);
    }
    // The table of GUIDs: one entry, and the foot.
    let mut table = (0x1_0000_u32 - 0xf000).to_le_bytes().to_vec();
    table.extend(22_u16.to_le_bytes());
    table.extend(guid(0xe47a_6535, 0x984a, 0x4798, 0x865e_4685_a7bf_8ec2));
    table.extend(40_u16.to_le_bytes());
    table.extend(guid(0x96b5_82de, 0x1fb2, 0x45f7, 0xbaea_a366_c55a_082d));
    let end = bytes.len() - 32;
    bytes[end - table.len()..end].copy_from_slice(&table);
    bytes
}

/// The value for pages that are first added was computed over the same bytes by another implementation (quex-tech,
/// `tdx-measurement-verify` 1.1.1), that for page by page by a second reading of Intel's text alone.
#[test]
fn mrtd_is_what_another_implementation_computes() {
    let bytes = firmware();
    let firmware = Firmware::parse(&bytes).unwrap();
    assert_eq!(
        mrtd(&firmware, PageOrder::AddThenMeasure).unwrap(),
        register("2db6dde390aa4bdc3cf685e304f51c8184379ac13b74ac2ab81dfc7c8ff18459c3abe8e649f09d339e941de5ab9d5363"),
    );
    assert_eq!(
        mrtd(&firmware, PageOrder::PageByPage).unwrap(),
        register("4ef5bc7bb8c9072a88560aa53fbcc6970d801cf8b552a4ccad3a3941aff32296482d1b7eb6e0a8794b913c52d6894c61"),
    );
}

#[test]
fn malformed_firmware_is_refused_and_never_panics() {
    let good = firmware();
    let shape = VmShape::new(1, 512).unwrap();
    for at in (0xf000..0xf0d0).chain(0xffb0..0xffe0) {
        for value in [0, 0x7f, 0xff] {
            let mut bytes = good.clone();
            bytes[at] = value;
            if let Ok(firmware) = Firmware::parse(&bytes) {
                let _ = mrtd(&firmware, PageOrder::PageByPage);
                let _ = firmware.tdx_sections().and_then(|sections| hob::measured(&sections, shape));
            }
        }
    }
    let mut short = good;
    short[0xf000 + 16 + 4] = 1; // less data than is measured
    assert_eq!(mrtd(&Firmware::parse(&short).unwrap(), PageOrder::PageByPage), Err(MeasureFault::Section));
}

#[test]
fn a_kernel_that_is_none_is_refused() {
    let shape = VmShape::new(1, 512).unwrap();
    for kernel in [&[][..], &[0; 4096], &[0xff; 8192]] {
        assert_eq!(kernel::measured(kernel, 0, shape), Err(MeasureFault::Kernel));
    }
    let mut kernel = vec![0; 8192];
    kernel[0x202..0x206].copy_from_slice(b"HdrS");
    kernel[0x206..0x208].copy_from_slice(&0x20f_u16.to_le_bytes());
    kernel[0x211] = 1;
    assert_eq!(kernel::measured(&kernel, 600 << 20, shape), Err(MeasureFault::Initrd));
    assert_eq!(kernel::measured(&kernel, 1 << 20, shape), Err(MeasureFault::Kernel));
}

/// The digest inside the signature that Debian put under its kernel is the oracle: SHA-256 in place of SHA-384, and
/// nothing else differs.
#[test]
fn the_authenticode_digest_is_the_one_that_debian_signed() {
    let Some(package) = std::env::var_os("FREEHOLD_KERNEL_PACKAGE") else {
        eprintln!("SKIPPED: FREEHOLD_KERNEL_PACKAGE does not name {}", crate::KERNEL_PACKAGE);
        return;
    };
    let kernel = crate::KernelFiles::read(package.as_ref()).unwrap().kernel;
    let digest = kernel::authenticode::<sha2::Sha256>(&kernel).unwrap();
    let signed = kernel.len() - 4096;
    assert!(kernel[signed..].windows(32).any(|piece| piece == digest.as_slice()), "{}", hex::encode(digest));
    // With QEMU's changes it is another.
    let shape = VmShape::new(1, 2048).unwrap();
    let one = kernel::measured(&kernel, 0, shape).unwrap();
    assert_ne!(kernel::measured(&kernel, 4096, shape).unwrap(), one);
}
