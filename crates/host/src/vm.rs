//! An app in a VM of its own: the image that boots, how QEMU runs it, and what evidence shows of it.
//!
//! The image is read whole and checked against its document here, and its files are what QEMU is given. A host that swaps them
//! afterwards boots something else, which measures as something else.

use std::{
    fs::OpenOptions,
    io,
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
    process::Stdio,
};

use freehold_bundle::{AcmeDirectory, Bundle, Ingress, Kind, StorageKind};
use freehold_image::{
    Accel, AppAuthority, AppIngress, AppStorage, CommandLine, Image, ImageError, QEMU, StateLayout, StorageRule,
    VmShape,
};
use tokio::process::Command;

use crate::{
    config::Reach,
    egress,
    error::HostError,
    measure::{Launch, measure_image},
};

/// An app that runs in a VM.
#[derive(Debug, Clone)]
pub struct VmApp {
    image: PathBuf,
    line: CommandLine,
    accel: Accel,
    shape: VmShape,
    launch: Launch,
    ingress: Ingress,
    reach: Reach,
    state: PathBuf,
}

/// A VM's place and shape.
#[derive(Debug, Clone)]
pub struct VmRun {
    /// Folder of the image.
    pub image: PathBuf,
    /// The state disk; it is made, empty, where there is none.
    pub state: PathBuf,
    /// How QEMU runs it.
    pub accel: Accel,
    /// CPUs and memory.
    pub shape: VmShape,
}

impl VmApp {
    /// The app of a bundle in an image, which was built of it.
    ///
    /// # Errors
    /// [`HostError::Image`]: the image is changed or cannot be read; [`HostError::Measure`]; [`HostError::CannotRun`]: it is of
    /// another bundle, or of containers; [`HostError::System`]: the state disk cannot be made.
    pub fn new(bundle: &Bundle, run: VmRun) -> Result<Self, HostError> {
        let VmRun { image: folder, state, accel, shape } = run;
        let cannot = |what: &str, hint| HostError::CannotRun { what: what.to_owned(), hint };
        if bundle.manifest().kind != Kind::Process {
            return Err(cannot("it is made of containers", "a VM of this release runs `kind: raw` alone"));
        }
        if matches!(accel, Accel::Tdx { .. } | Accel::Snp { .. }) {
            // Evidence, collateral and policy of this host are the emulator's.
            return Err(cannot(
                "its VM would have a TEE",
                "this host gives emulated evidence alone: run it with kvm or tcg",
            ));
        }
        let image = Image::open(&folder)?;
        if image.app != bundle.digest() {
            return Err(cannot("the image is of another bundle", "build it anew"));
        }
        if image.models.is_none() != bundle.manifest().additions.models.is_empty() {
            return Err(cannot("the image has other models than its manifest names", "build it anew"));
        }
        let launch = measure_image(&image, shape, bundle)?;
        let layout = StateLayout::new(vm_storage(bundle).state_mib()).map_err(ImageError::from)?;
        let made = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&state);
        let failed = HostError::system("the state disk cannot be made", state.clone());
        match made.and_then(|file| file.set_len(layout.disk_bytes())) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(failed(error)),
            _ => {}
        }
        let reach = egress::reach(&bundle.manifest().additions.egress);
        let ingress = bundle.manifest().additions.ingress.clone();
        Ok(Self { image: folder, line: image.line, accel, shape, launch, ingress, reach, state })
    }

    /// What evidence shows of it.
    pub(crate) const fn launch(&self) -> &Launch {
        &self.launch
    }

    /// How it is reached over TLS; the image says it to the agent.
    pub(crate) const fn ingress(&self) -> &Ingress {
        &self.ingress
    }

    /// Folder of the image.
    pub(crate) fn image(&self) -> &Path {
        &self.image
    }

    /// Whom it may reach.
    pub(crate) const fn reach(&self) -> &Reach {
        &self.reach
    }

    /// Its state disk.
    pub(crate) fn state(&self) -> &Path {
        &self.state
    }

    /// The image's command line.
    pub(crate) const fn line(&self) -> &CommandLine {
        &self.line
    }

    /// How it runs.
    pub(crate) const fn accel(&self) -> &Accel {
        &self.accel
    }

    /// CPUs and memory.
    pub(crate) const fn shape(&self) -> VmShape {
        self.shape
    }
}

/// Where the app of a bundle keeps files in a VM.
pub fn vm_storage(bundle: &Bundle) -> AppStorage {
    let (kind, mib) = bundle.manifest().resources.storage;
    let kind = match kind {
        StorageKind::None => StorageRule::None,
        StorageKind::Ram => StorageRule::Ram,
        StorageKind::DiskEphemeral => StorageRule::DiskEphemeral,
        StorageKind::DiskPersistent => StorageRule::DiskPersistent,
    };
    AppStorage { kind, mib }
}

/// How the app of a bundle is reached over TLS, as an image says it to the agent.
pub fn vm_ingress(bundle: &Bundle) -> AppIngress {
    let Ingress { domains, acme } = bundle.manifest().additions.ingress.clone();
    let authority = |acme: AcmeDirectory| AppAuthority {
        directory: acme.url,
        roots: acme.roots,
        challenge: acme.challenge.as_str().to_owned(),
    };
    AppIngress { domains, acme: acme.map(authority) }
}

/// Whether VMs can be started here.
pub(crate) async fn check_qemu() -> Result<(), HostError> {
    let mut ask = Command::new(QEMU);
    ask.arg("--version").stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    ask.status().await.map(drop).map_err(|source| HostError::NoQemu { program: QEMU, source })
}
