//! The arguments, word for word. TDX and SNP were not run on hardware: these are what QEMU's own documents ask for.

use super::*;

fn text(accel: &Accel) -> String {
    let line = CommandLine::new("console=ttyS0 freehold.root=00").unwrap();
    let shape = VmShape::new(2, 2048).unwrap();
    let launch = QemuLaunch { accel, shape, image: Path::new("/images/a,b"), line: &line, ports: &[], state: None };
    let words: Vec<String> = launch.arguments().iter().map(|word| word.to_string_lossy().into_owned()).collect();
    words.join("\n")
}

/// What every machine has, around what differs.
fn expected(machine: &[&str], shared: &str) -> String {
    let disk = format!("virtio-blk-pci,drive=disk,{shared}");
    let start = ["-nodefaults", "-no-user-config", "-display", "none", "-no-reboot", "-serial", "stdio"];
    let middle = [
        "-m",
        "2048M",
        "-smp",
        "2",
        "-kernel",
        "/images/a,b/kernel",
        "-initrd",
        "/images/a,b/initrd",
        "-append",
        "console=ttyS0 freehold.root=00",
        "-drive",
        "if=none,id=disk,format=raw,readonly=on,file=/images/a,,b/disk",
        "-device",
        &disk,
    ];
    [&start[..], machine, &middle].concat().join("\n")
}

const PLAIN: &str = "disable-legacy=on";
const SHARED: &str = "disable-legacy=on,iommu_platform=on";

#[test]
fn software_and_kvm() {
    let tcg = ["-machine", "q35", "-accel", "tcg,thread=multi", "-cpu", "max,cx16=off"];
    assert_eq!(text(&Accel::Tcg), expected(&tcg, PLAIN));
    let kvm = ["-machine", "q35", "-accel", "kvm", "-cpu", "host"];
    assert_eq!(text(&Accel::Kvm), expected(&kvm, PLAIN));
}

#[test]
fn tdx_not_run_on_hardware() {
    let tdx = Accel::Tdx { firmware: "/usr/share/ovmf/OVMF.fd".into(), quote_port: Some(4050) };
    let object =
        r#"{"qom-type":"tdx-guest","id":"tee","quote-generation-socket":{"type":"vsock","cid":"2","port":"4050"}}"#;
    let machine = [
        "-object",
        object,
        "-machine",
        "q35,kernel-irqchip=split,hpet=off,confidential-guest-support=tee",
        "-accel",
        "kvm",
        "-cpu",
        "host,pmu=off",
        "-bios",
        "/usr/share/ovmf/OVMF.fd",
    ];
    assert_eq!(text(&tdx), expected(&machine, SHARED));
}

#[test]
fn snp_not_run_on_hardware() {
    let snp = Accel::Snp {
        firmware: "/firmware/OVMF.amdsev.fd".into(),
        cpu: SnpCpu::Genoa,
        platform: SnpPlatformOptions::default(),
        host_data: Digest([0xff; 32]),
    };
    let machine = [
        "-object",
        "sev-snp-guest,id=tee,cbitpos=51,reduced-phys-bits=1,policy=0x30000,kernel-hashes=on,\
         host-data=//////////////////////////////////////////8=",
        "-object",
        "memory-backend-memfd,id=ram,size=2048M,share=on,prealloc=off",
        "-machine",
        "q35,memory-backend=ram,vmport=off,confidential-guest-support=tee",
        "-accel",
        "kvm",
        "-cpu",
        "EPYC-Genoa",
        "-bios",
        "/firmware/OVMF.amdsev.fd",
    ];
    assert_eq!(text(&snp), expected(&machine, SHARED));
}

#[test]
fn a_port_is_a_socket_of_the_hosts_and_a_name_in_the_vm() {
    let line = CommandLine::new("console=ttyS0").unwrap();
    let ports = [HostPort { name: "freehold.link", socket: "/run/a,b/link".into() }];
    let words = |accel: &Accel| {
        let shape = VmShape::new(1, 512).unwrap();
        let launch = QemuLaunch { accel, shape, image: Path::new("/i"), line: &line, ports: &ports, state: None };
        let words: Vec<String> = launch.arguments().iter().map(|word| word.to_string_lossy().into_owned()).collect();
        words[words.len() - 6..].join("\n")
    };
    let expected = |shared: &str| {
        format!(
            "-device\nvirtio-serial-pci,{shared}\n-chardev\nsocket,id=freehold.link,path=/run/a,,b/link\n-device\n\
             virtserialport,chardev=freehold.link,name=freehold.link"
        )
    };
    assert_eq!(words(&Accel::Tcg), expected(PLAIN));
    let tdx = Accel::Tdx { firmware: "/f".into(), quote_port: None };
    assert_eq!(words(&tdx), expected(SHARED));
}

#[test]
fn a_state_disk_is_the_second_one_and_the_vm_writes_to_it() {
    let line = CommandLine::new("console=ttyS0").unwrap();
    let shape = VmShape::new(1, 512).unwrap();
    let state = Some(Path::new("/data/a,b/state.disk"));
    let launch = QemuLaunch { accel: &Accel::Tcg, shape, image: Path::new("/i"), line: &line, ports: &[], state };
    let words: Vec<String> = launch.arguments().iter().map(|word| word.to_string_lossy().into_owned()).collect();
    let first = words.iter().position(|word| word.contains("drive=disk")).unwrap();
    assert_eq!(
        words[first + 1..].join("\n"),
        "-drive\nif=none,id=state,format=raw,cache=writeback,file=/data/a,,b/state.disk\n-device\n\
         virtio-blk-pci,drive=state,disable-legacy=on"
    );
}
