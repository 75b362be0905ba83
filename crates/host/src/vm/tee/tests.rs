//! What a VM in a TEE is expected to show, over a firmware made for the test and the pinned kernel; and what a provider tells of it.
#![allow(clippy::unwrap_used)]

use freehold_image::{BootEvents, CommandLine, KernelFiles, VerityRoot, mrtd};
use freehold_primitives::{SnpMeasurement, TdxMeasurement};

use super::*;

/// Bytes of the firmware.
const SIZE: usize = 0x1_0000;

/// A GUID as a firmware's table has it.
fn guid(text: &str) -> [u8; 16] {
    let mut bytes: [u8; 16] = hex::decode(text.replace('-', "")).unwrap().try_into().unwrap();
    bytes[..4].reverse();
    bytes[4..6].reverse();
    bytes[6..8].reverse();
    bytes
}

fn words(words: &[u32]) -> Vec<u8> {
    words.iter().flat_map(|word| word.to_le_bytes()).collect()
}

/// A firmware for both TEEs: one measured section, a configuration volume, a TD HOB; a page for kernel hashes.
pub(crate) fn firmware_bytes(fill: u8) -> Vec<u8> {
    let mut bytes = vec![fill; SIZE];
    let section = |data: u32, length: u32, address: u32, size: u32, kind: u32, flags: u32| {
        words(&[data, length, address, 0, size, 0, kind, flags])
    };
    let top = 0xffff_0000;
    let mut tdx = b"TDVF".to_vec();
    tdx.extend(words(&[16 + 4 * 32, 1, 4]));
    tdx.extend(section(0x4000, 0x4000, top + 0x4000, 0x4000, 0, 1));
    tdx.extend(section(0x1000, 0x1000, top + 0x1000, 0x1000, 1, 0));
    tdx.extend(section(0, 0, 0x80_9000, 0x2000, 2, 0));
    tdx.extend(section(0, 0, 0x81_0000, 0x1_0000, 3, 0));
    let mut sev = b"ASEV".to_vec();
    sev.extend(words(&[16 + 3 * 12, 1, 3]));
    sev.extend(words(&[0x80_d000, 0x1000, 2, 0x80_e000, 0x1000, 3, 0x80_f000, 0x1000, 0x10]));
    let (tdx_at, sev_at) = (0x8000, 0x9000);
    bytes[tdx_at..tdx_at + tdx.len()].copy_from_slice(&tdx);
    bytes[sev_at..sev_at + sev.len()].copy_from_slice(&sev);
    let from_end = |at: usize| words(&[u32::try_from(SIZE - at).unwrap()]);
    let entries = [
        ("00f771de-1a7e-4fcb-890e-68c77e2fb44e", words(&[0xffff_f000])),
        ("7255371f-3a3b-4b04-927b-1da6efa8d454", words(&[0x80_f000, 0x1000])),
        ("dc886566-984a-4798-a75e-5585a7bf67cc", from_end(sev_at)),
        ("e47a6535-984a-4798-865e-4685a7bf8ec2", from_end(tdx_at)),
    ];
    let mut table = Vec::new();
    for (name, data) in entries {
        table.extend(&data);
        table.extend(u16::try_from(data.len() + 18).unwrap().to_le_bytes());
        table.extend(guid(name));
    }
    table.extend(u16::try_from(table.len() + 18).unwrap().to_le_bytes());
    table.extend(guid("96b582de-1fb2-45f7-baea-a366c55a082d"));
    let end = SIZE - 32;
    bytes[end - table.len()..end].copy_from_slice(&table);
    bytes
}

/// An image of the pinned kernel; `None`, said loudly, where that is not there.
fn image() -> Option<Image> {
    let Some(package) = std::env::var_os("FREEHOLD_KERNEL_PACKAGE") else {
        eprintln!("SKIPPED: no kernel is measured; FREEHOLD_KERNEL_PACKAGE must name the package");
        return None;
    };
    let kernel = KernelFiles::read(Path::new(&package)).unwrap().kernel;
    let (root, app) = (VerityRoot { hash: Digest([7; 32]), data_blocks: 2 }, Digest([9; 32]));
    let line = CommandLine::of_image(&root, &app, None).unwrap();
    Some(Image { kernel, initrd: b"initrd".to_vec(), disk: Vec::new(), line, root, app, models: None })
}

fn shape() -> VmShape {
    VmShape::new(2, 2048).unwrap()
}

fn tdx(firmware: PathBuf, acpi: Option<AcpiTables>) -> VmTee {
    VmTee { firmware, kind: VmTeeKind::Tdx { quote_port: Some(QUOTE_PORT), separator: Separator::InRtmr1, acpi } }
}

fn snp(firmware: PathBuf) -> VmTee {
    let platform = SnpPlatformOptions::default();
    VmTee { firmware, kind: VmTeeKind::Snp { cpu: SnpCpu::EpycV4, features: 1, platform } }
}

#[test]
fn what_a_vm_shows_follows_from_image_firmware_and_shape() {
    let Some(image) = image() else { return };
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("OVMF.fd");
    std::fs::write(&path, firmware_bytes(0)).unwrap();
    let event = Register([3; 48]);
    let of_td = |tee: &VmTee| match tee.measurement(&image, shape(), &event).unwrap() {
        Measurement::Tdx(registers) => registers,
        other => panic!("{other:?}"),
    };
    let bytes = firmware_bytes(0);
    let boot = BootEvents::of(&image.kernel, &image.initrd, &image.line, shape()).unwrap();
    let expected = TdxMeasurement {
        mrtd: mrtd(&Firmware::parse(&bytes).unwrap(), PageOrder::PageByPage).unwrap(),
        rtmr0: None,
        rtmr1: Some(extended(&boot.rtmr1)),
        rtmr2: Some(extended(&boot.rtmr2)),
        rtmr3: Some(extended(&[event])),
    };
    assert_eq!(of_td(&tdx(path.clone(), None)), expected);
    let tables = AcpiTables { loader: Register([1; 48]), rsdp: Register([2; 48]), tables: Register([4; 48]) };
    let whole = of_td(&tdx(path.clone(), Some(tables)));
    assert!(whole.rtmr0.is_some() && whole.mrtd == expected.mrtd);
    // HOST_DATA is the bundle's digest, which QEMU is given.
    let guest = snp(path.clone());
    let Measurement::Snp(SnpMeasurement { host_data, measurement }) =
        guest.measurement(&image, shape(), &event).unwrap()
    else {
        panic!("SEV-SNP")
    };
    assert_eq!(host_data, Some(image.app));
    assert!(matches!(guest.accel(image.app), Accel::Snp { host_data, .. } if host_data == image.app));
    // Another firmware is another measurement, under both.
    std::fs::write(&path, firmware_bytes(1)).unwrap();
    assert_ne!(of_td(&tdx(path.clone(), None)).mrtd, expected.mrtd);
    let Measurement::Snp(other) = snp(path).measurement(&image, shape(), &event).unwrap() else { panic!("SEV-SNP") };
    assert_ne!(other.measurement, measurement);
}

#[test]
fn a_renter_computes_what_the_providers_vm_shows_and_refuses_another_firmware() {
    let Some(image) = image() else { return };
    let dir = tempfile::tempdir().unwrap();
    let (own, copy) = (dir.path().join("own"), dir.path().join("copy"));
    std::fs::write(&own, firmware_bytes(0)).unwrap();
    std::fs::write(&copy, firmware_bytes(0)).unwrap();
    let event = Register([3; 48]);
    let tables = AcpiTables { loader: Register([1; 48]), rsdp: Register([2; 48]), tables: Register([4; 48]) };
    for tee in [tdx(own.clone(), Some(tables)), tdx(own.clone(), None), snp(own.clone())] {
        let text = serde_json::to_string(&tee.told().unwrap()).unwrap();
        let renters = VmTee::of_provider(&serde_json::from_str(&text).unwrap(), &copy).unwrap();
        assert_eq!(
            renters.measurement(&image, shape(), &event).unwrap(),
            tee.measurement(&image, shape(), &event).unwrap(),
            "{text}"
        );
    }
    let told = snp(own).told().unwrap();
    std::fs::write(&copy, firmware_bytes(1)).unwrap();
    let refused = VmTee::of_provider(&told, &copy).unwrap_err();
    assert!(matches!(refused, MeasureError::OtherFirmware { .. }), "{refused}");
    let ProviderTee::Snp { firmware, features, .. } = told else { panic!("SEV-SNP") };
    let unknown = ProviderTee::Snp { firmware, cpu: "EPYC-v9".to_owned(), features };
    assert!(matches!(VmTee::of_provider(&unknown, &copy), Err(MeasureError::UnknownTee)));
}

#[test]
fn what_is_no_firmware_of_the_tee_is_refused() {
    let Some(image) = image() else { return };
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("firmware");
    std::fs::write(&path, vec![0; SIZE]).unwrap();
    for tee in [tdx(path.clone(), None), snp(path)] {
        let refused = tee.measurement(&image, shape(), &Register::ZERO).unwrap_err();
        assert!(matches!(refused, MeasureError::Image(MeasureFault::FirmwareTable)), "{refused}");
    }
    let missing = tdx(dir.path().join("none"), None).measurement(&image, shape(), &Register::ZERO).unwrap_err();
    assert!(matches!(missing, MeasureError::Read { .. }), "{missing}");
}
