//! What a machine has for the VMs of apps, and what to do where something is missing: asked of the machine itself, by opening,
//! starting and booting, and not by what it should have.
//!
//! Looking changes nothing. Not here: what only a quote shows, patches and keys of the platform (`freehold attest verify`).

#[cfg(test)]
mod tests;

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::Duration,
};

use freehold_image::{
    Accel, CommandLine, Firmware, KernelFiles, KernelHashes, PageOrder, Program, QEMU, SnpCpu, SnpLaunch, Tree,
    VmShape, cpio, mrtd, self_test, with_libraries,
};
use freehold_primitives::Digest;

use crate::{config::HardwareTee, error::HostError};

/// How long a guest may take to boot under KVM, and under software emulation.
const KVM_WAIT: Duration = Duration::from_secs(10);
const TCG_WAIT: Duration = Duration::from_secs(60);
/// Where Intel's quote service listens, and where its package puts it.
const QUOTE_SERVICE: [&str; 3] = ["var/run/tdx-qgs/qgs.socket", "run/tdx-qgs/qgs.socket", "opt/intel/tdx-qgs/qgs"];

/// How a VM can be run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum VmWay {
    /// Software emulation.
    Tcg,
    /// KVM without a TEE.
    Kvm,
    /// Intel TDX.
    Tdx,
    /// AMD SEV-SNP.
    Snp,
}

impl VmWay {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Tcg, Self::Kvm, Self::Tdx, Self::Snp];

    /// The word for `--accel`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Tcg => "tcg",
            Self::Kvm => "kvm",
            Self::Tdx => "tdx",
            Self::Snp => "snp",
        }
    }
}

/// What came of a look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CheckState {
    /// It is there and works.
    Good,
    /// It is not there, or does not work.
    Missing,
    /// It cannot be told from here.
    Unknown,
}

impl CheckState {
    /// The word.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Good => "good",
            Self::Missing => "missing",
            Self::Unknown => "unknown",
        }
    }
}

/// One look.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Check {
    /// What was looked for.
    pub name: &'static str,
    /// What needs it.
    pub needed_by: &'static [VmWay],
    /// What came of it.
    pub state: CheckState,
    /// What is there.
    pub found: String,
    /// What to do where it is missing.
    pub remedy: &'static str,
}

/// What is looked at.
#[derive(Debug, Clone)]
pub struct Preflight {
    /// Root of the machine's files, `/` but for tests.
    pub root: PathBuf,
    /// A folder with kernel and initrd of ours, by which guests are booted; without it none is.
    pub boot: Option<PathBuf>,
    /// Firmware of VMs in a TEE.
    pub firmware: Option<PathBuf>,
    /// What QEMU says of itself.
    pub qemu: QemuSays,
}

/// What QEMU says of itself; empty where there is none.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct QemuSays {
    /// First line of `--version`.
    pub version: String,
    /// Answer to `-object help`.
    pub objects: String,
}

impl QemuSays {
    /// Asks it.
    pub fn ask() -> Self {
        let said = |words: &[&str]| {
            let output = Command::new(QEMU).args(words).stdin(Stdio::null()).output();
            output.map(|output| String::from_utf8_lossy(&output.stdout).into_owned()).unwrap_or_default()
        };
        let version = said(&["--version"]).lines().next().unwrap_or_default().to_owned();
        Self { version, objects: said(&["-machine", "none", "-object", "help"]) }
    }

    fn has(&self, object: &str) -> bool {
        self.objects.lines().any(|line| line.trim() == object)
    }
}

impl Preflight {
    /// Looks at everything.
    pub fn run(&self) -> Vec<Check> {
        let mut checks = vec![self.qemu(), self.tcg(), self.kvm()];
        checks.extend([self.snp_processor(), self.snp_module(), self.object(HardwareTee::Snp)]);
        checks.extend([
            self.tdx_processor(),
            self.tdx_module(),
            self.object(HardwareTee::Tdx),
            self.vsock(),
            self.quotes(),
        ]);
        checks.push(self.firmware());
        checks
    }

    fn text(&self, path: &str) -> Option<String> {
        fs::read_to_string(self.root.join(path)).ok().map(|text| text.trim().to_owned())
    }

    fn qemu(&self) -> Check {
        let is_there = !self.qemu.version.is_empty();
        let found = if is_there { self.qemu.version.clone() } else { "QEMU does not start".to_owned() };
        check("qemu", &VmWay::ALL, is_there, (found, "install the package `qemu-system-x86`"))
    }

    fn tcg(&self) -> Check {
        let remedy =
            "name the pinned kernel package, and have `freehold-init` beside `freehold`; then look at QEMU's own words";
        self.booted("software boot", &[VmWay::Tcg], (&Accel::Tcg, TCG_WAIT), remedy)
    }

    /// A device that opens is no proof that guests run, so one is booted.
    fn kvm(&self) -> Check {
        const NEEDED: &[VmWay] = &[VmWay::Kvm, VmWay::Tdx, VmWay::Snp];
        let device = self.root.join("dev/kvm");
        if let Err(error) = fs::OpenOptions::new().read(true).write(true).open(&device) {
            let remedy = "switch virtualisation on in the firmware's setup, load `kvm_intel` or `kvm_amd`, and be in the group `kvm`; in \
                          a VM its own host must allow nested guests";
            return check("kvm", NEEDED, false, (format!("/dev/kvm: {error}"), remedy));
        }
        let remedy =
            "guests do not boot under this /dev/kvm, as in many clouds' VMs: use software, or a machine of metal";
        self.booted("kvm", NEEDED, (&Accel::Kvm, KVM_WAIT), remedy)
    }

    fn booted(
        &self,
        name: &'static str,
        needed_by: &'static [VmWay],
        (accel, wait): (&Accel, Duration),
        remedy: &'static str,
    ) -> Check {
        let Some(boot) = &self.boot else {
            return Check {
                state: CheckState::Unknown,
                ..check(name, needed_by, false, ("no guest was booted".to_owned(), remedy))
            };
        };
        let runs = self_test(accel, boot, wait);
        let found = if runs { "a guest boots" } else { "no guest boots in its time" };
        check(name, needed_by, runs, (found.to_owned(), remedy))
    }

    fn has_flag(&self, flag: &str) -> bool {
        self.text("proc/cpuinfo").is_some_and(|text| text.split_whitespace().any(|word| word == flag))
    }

    fn snp_processor(&self) -> Check {
        let has = self.has_flag("sev_snp");
        let found = if has { "the processor says `sev_snp`" } else { "the processor does not say `sev_snp`" };
        let remedy = "take an EPYC of the generations Milan, Genoa or Turin, and switch SME, SEV-ES and SNP on in the firmware's setup";
        check("snp processor", &[VmWay::Snp], has, (found.to_owned(), remedy))
    }

    fn snp_module(&self) -> Check {
        let module = self.text("sys/module/kvm_amd/parameters/sev_snp");
        let has_device = self.root.join("dev/sev").exists();
        let is_on = matches!(module.as_deref(), Some("Y" | "1")) && has_device;
        let found = format!(
            "kvm_amd.sev_snp is {}, /dev/sev is {}",
            module.as_deref().unwrap_or("not there"),
            if has_device { "there" } else { "not there" }
        );
        let remedy = "boot a kernel of 6.11 or newer with `kvm_amd.sev_snp=1`, IOMMU on, and the processor's SEV firmware loaded";
        check("snp module", &[VmWay::Snp], is_on, (found, remedy))
    }

    fn tdx_processor(&self) -> Check {
        let has = self.has_flag("tdx_host_platform");
        let found = if has {
            "the processor says `tdx_host_platform`"
        } else {
            "the processor does not say `tdx_host_platform`"
        };
        let remedy =
            "take a Xeon of the 5th generation or newer, and switch TME-MT, TDX and SGX on in the firmware's setup";
        check("tdx processor", &[VmWay::Tdx], has, (found.to_owned(), remedy))
    }

    fn tdx_module(&self) -> Check {
        let module = self.text("sys/module/kvm_intel/parameters/tdx");
        let found = format!("kvm_intel.tdx is {}", module.as_deref().unwrap_or("not there"));
        let is_on = matches!(module.as_deref(), Some("Y" | "1"));
        let remedy =
            "boot a kernel of 6.16 or newer with `kvm_intel.tdx=1`; `dmesg | grep -i tdx` says why it stays off";
        check("tdx module", &[VmWay::Tdx], is_on, (found, remedy))
    }

    fn object(&self, tee: HardwareTee) -> Check {
        let (name, object, needed_by, remedy): (_, _, &'static [VmWay], _) = match tee {
            HardwareTee::Tdx => ("tdx in qemu", "tdx-guest", &[VmWay::Tdx], "install QEMU 10.1 or newer"),
            HardwareTee::Snp => ("snp in qemu", "sev-snp-guest", &[VmWay::Snp], "install QEMU 9.1 or newer"),
        };
        let has = self.qemu.has(object);
        let found = format!("QEMU {} `{object}`", if has { "knows" } else { "does not know" });
        check(name, needed_by, has, (found, remedy))
    }

    fn vsock(&self) -> Check {
        let has = self.root.join("dev/vhost-vsock").exists();
        let found = if has { "/dev/vhost-vsock is there" } else { "/dev/vhost-vsock is not there" };
        check("vsock", &[VmWay::Tdx], has, (found.to_owned(), "load it: `modprobe vhost_vsock`"))
    }

    /// A socket or program of the service; whether it answers, only a quote shows.
    fn quotes(&self) -> Check {
        let found = QUOTE_SERVICE.iter().find(|path| self.root.join(path).exists());
        let remedy = "install and start Intel's `tdx-qgs` on vsock (port 4050 in /etc/qgs.conf), with a PCCS to ask";
        let said = found.map_or("no quote service is seen".to_owned(), |path| format!("/{path} is there"));
        let state = if found.is_some() { CheckState::Good } else { CheckState::Unknown };
        Check { state, ..check("quote service", &[VmWay::Tdx], false, (said, remedy)) }
    }

    /// What the firmware was built for.
    fn firmware(&self) -> Check {
        const NEEDED: &[VmWay] = &[VmWay::Tdx, VmWay::Snp];
        let remedy = "name one with --firmware: an OVMF built for TDX, or OVMF's AmdSev build for SEV-SNP";
        let Some(path) = &self.firmware else {
            return check("firmware", NEEDED, false, ("none is named".to_owned(), remedy));
        };
        let built_for = match fs::read(path) {
            Ok(bytes) => built_for(&bytes),
            Err(error) => return check("firmware", NEEDED, false, (format!("{}: {error}", path.display()), remedy)),
        };
        let words: Vec<&str> = built_for.iter().map(|way| way.as_str()).collect();
        let found = if words.is_empty() {
            "no firmware of a TEE".to_owned()
        } else {
            format!("built for {}", words.join(" and "))
        };
        // What it was not built for lacks one.
        let lacking: &[VmWay] = match built_for.as_slice() {
            [VmWay::Tdx, VmWay::Snp] => return check("firmware", NEEDED, true, (found, remedy)),
            [VmWay::Tdx] => &[VmWay::Snp],
            [VmWay::Snp] => &[VmWay::Tdx],
            _ => NEEDED,
        };
        check("firmware", lacking, false, (found, remedy))
    }
}

/// The TEEs whose measurement a firmware's sections give.
fn built_for(bytes: &[u8]) -> Vec<VmWay> {
    let Ok(firmware) = Firmware::parse(bytes) else { return Vec::new() };
    let mut ways = Vec::new();
    if mrtd(&firmware, PageOrder::PageByPage).is_ok() {
        ways.push(VmWay::Tdx);
    }
    let Ok(line) = CommandLine::new("x") else { return ways };
    let hashes = Some(KernelHashes::of(&[], &[], &line));
    let launch = SnpLaunch { shape: VmShape::DEFAULT, cpu: SnpCpu::EpycV4, features: 1, hashes };
    if launch.measurement(&firmware, Digest::ZERO).is_ok() {
        ways.push(VmWay::Snp);
    }
    ways
}

fn check(
    name: &'static str,
    needed_by: &'static [VmWay],
    is_good: bool,
    (found, remedy): (String, &'static str),
) -> Check {
    let state = if is_good { CheckState::Good } else { CheckState::Missing };
    Check { name, needed_by, state, found, remedy }
}

/// Whether nothing is missing that a way needs; what cannot be told does not count against it.
pub fn is_ready(checks: &[Check], way: VmWay) -> bool {
    checks.iter().filter(|check| check.needed_by.contains(&way)).all(|check| check.state != CheckState::Missing)
}

/// Makes the folder by which guests are booted: the pinned kernel, and our PID 1, which says that it runs and powers off.
///
/// # Errors
/// [`HostError::Image`], [`HostError::System`].
pub fn boot_folder(kernel: &Path, init: &Path, folder: &Path) -> Result<(), HostError> {
    let kernel = KernelFiles::read(kernel)?.kernel;
    let mut tree = Tree::new();
    for mount in ["proc", "sys", "dev"] {
        tree.folder(mount)?;
    }
    with_libraries(&mut tree, &[Program { file: init.to_owned(), place: "init".to_owned() }])?;
    let initrd = cpio(&tree)?;
    for (name, bytes) in [("kernel", kernel.as_slice()), ("initrd", &initrd), ("disk", &[0; 4096])] {
        let path = folder.join(name);
        fs::write(&path, bytes).map_err(HostError::system("a file to boot cannot be written", &path))?;
    }
    Ok(())
}
