//! Machines laid out in a folder: what each lacks is said, with what to do.
#![allow(clippy::unwrap_used)]

use super::*;

struct Machine(tempfile::TempDir);

impl Machine {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn with(self, path: &str, text: &str) -> Self {
        let path = self.0.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
        self
    }

    fn checked(&self, objects: &str, firmware: Option<PathBuf>) -> Vec<Check> {
        let qemu = QemuSays { version: "QEMU emulator version 10.1.0".to_owned(), objects: objects.to_owned() };
        Preflight { root: self.0.path().to_owned(), boot: None, firmware, qemu }.run()
    }
}

fn missing(checks: &[Check], way: VmWay) -> Vec<&'static str> {
    let lacks = |check: &&Check| check.needed_by.contains(&way) && check.state == CheckState::Missing;
    checks.iter().filter(lacks).map(|check| check.name).collect()
}

#[test]
fn a_machine_without_anything_lacks_everything_and_is_told_what_to_do() {
    let machine = Machine::new();
    let checks = machine.checked("", None);
    assert_eq!(missing(&checks, VmWay::Snp), ["kvm", "snp processor", "snp module", "snp in qemu", "firmware"]);
    assert_eq!(
        missing(&checks, VmWay::Tdx),
        ["kvm", "tdx processor", "tdx module", "tdx in qemu", "vsock", "firmware"]
    );
    // Whether a guest boots is not known where none was booted.
    assert!(is_ready(&checks, VmWay::Tcg) && !is_ready(&checks, VmWay::Kvm));
    assert!(checks.iter().all(|check| !check.remedy.is_empty() && !check.found.is_empty()));
    let none = Preflight { root: machine.0.path().to_owned(), boot: None, firmware: None, qemu: QemuSays::default() };
    assert!(!is_ready(&none.run(), VmWay::Tcg));
}

#[test]
fn a_machine_that_has_it_all_is_ready_for_its_own_tee_alone() {
    let epyc = Machine::new()
        .with("proc/cpuinfo", "flags : sme sev sev_es sev_snp")
        .with("sys/module/kvm_amd/parameters/sev_snp", "Y\n")
        .with("dev/sev", "")
        .with("dev/kvm", "");
    let firmware = epyc.0.path().join("OVMF.fd");
    fs::write(&firmware, crate::vm::tests_firmware(0)).unwrap();
    let checks =
        epyc.checked("List of user creatable objects:\n  sev-snp-guest\n  tdx-guest\n", Some(firmware.clone()));
    assert_eq!(missing(&checks, VmWay::Snp), Vec::<&str>::new());
    assert_eq!(missing(&checks, VmWay::Tdx), ["tdx processor", "tdx module", "vsock"]);
    assert!(is_ready(&checks, VmWay::Snp) && !is_ready(&checks, VmWay::Tdx));
    // An older QEMU names the object of another TEE, or as part of a longer name.
    let checks = epyc.checked("  sev-guest\n  x-sev-snp-guest-test\n", Some(firmware));
    assert_eq!(missing(&checks, VmWay::Snp), ["snp in qemu"]);
    // What is no firmware is told as what it is.
    let other = epyc.0.path().join("other.fd");
    fs::write(&other, [0; 4096]).unwrap();
    assert_eq!(missing(&epyc.checked("sev-snp-guest", Some(other)), VmWay::Snp), ["firmware"]);
}

#[test]
fn a_module_that_is_off_is_missing() {
    let xeon = Machine::new()
        .with("proc/cpuinfo", "flags : tdx_host_platform")
        .with("sys/module/kvm_intel/parameters/tdx", "N\n")
        .with("dev/vhost-vsock", "")
        .with("run/tdx-qgs/qgs.socket", "");
    let checks = xeon.checked("tdx-guest", None);
    assert_eq!(missing(&checks, VmWay::Tdx), ["kvm", "tdx module", "firmware"]);
    let quotes = checks.iter().find(|check| check.name == "quote service").unwrap();
    assert_eq!(quotes.state, CheckState::Good);
}
