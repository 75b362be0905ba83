//! An app in a VM of its own: the image that boots, how QEMU runs it, and what evidence shows of it.
//!
//! The image is read whole and checked against its document here, and its files are what QEMU is given. A host that swaps them
//! afterwards boots something else, which measures as something else.

mod tee;

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

#[cfg(test)]
pub(crate) use tee::tests_firmware;
pub use tee::{QUOTE_PORT, VmTee, VmTeeKind};

use crate::{
    config::Reach,
    container::container_ingress,
    egress,
    error::HostError,
    measure::{Launch, measure_image, measure_in_tee},
};

/// What runs a VM.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum VmAccel {
    /// Software, or KVM: its evidence is emulated.
    Emulated(BareAccel),
    /// KVM, in a TEE of hardware.
    Tee(VmTee),
}

/// What runs a VM without a TEE.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BareAccel {
    /// Software.
    Tcg,
    /// KVM.
    Kvm,
}

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
    executor: Kind,
}

/// A VM's place and shape.
#[derive(Debug, Clone)]
pub struct VmRun {
    /// Folder of the image.
    pub image: PathBuf,
    /// The state disk; it is made, empty, where there is none.
    pub state: PathBuf,
    /// What runs it.
    pub accel: VmAccel,
    /// CPUs and memory.
    pub shape: VmShape,
}

impl VmApp {
    /// The app of a bundle in an image, which was built of it.
    ///
    /// # Errors
    /// [`HostError::Image`]: the image is changed or cannot be read; [`HostError::Measure`]; [`HostError::CannotRun`]: it is of
    /// another bundle; [`HostError::System`]: the state disk cannot be made.
    pub fn new(bundle: &Bundle, run: VmRun) -> Result<Self, HostError> {
        let VmRun { image: folder, state, accel, shape } = run;
        let image = Image::open(&folder)?;
        if image.app != bundle.digest() {
            return Err(HostError::cannot("the image is of another bundle", "build it anew"));
        }
        if image.models.is_none() != bundle.manifest().additions.models.is_empty() {
            return Err(HostError::cannot("the image has other models than its manifest names", "build it anew"));
        }
        let (accel, launch) = match accel {
            VmAccel::Emulated(BareAccel::Tcg) => (Accel::Tcg, measure_image(&image, shape, bundle)?),
            VmAccel::Emulated(BareAccel::Kvm) => (Accel::Kvm, measure_image(&image, shape, bundle)?),
            VmAccel::Tee(tee) => (tee.accel(image.app), measure_in_tee(&image, shape, bundle, &tee)?),
        };
        let layout = StateLayout::new(vm_storage(bundle).state_mib()).map_err(ImageError::from)?;
        let made = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&state);
        let failed = HostError::system("the state disk cannot be made", state.clone());
        match made.and_then(|file| file.set_len(layout.disk_bytes())) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(failed(error)),
            _ => {}
        }
        let reach = egress::reach(&bundle.manifest().additions.egress);
        let (ingress, executor) = (container_ingress(bundle)?, bundle.manifest().kind);
        Ok(Self { executor, image: folder, line: image.line, accel, shape, launch, ingress, reach, state })
    }

    /// What evidence shows of it.
    pub(crate) const fn launch(&self) -> &Launch {
        &self.launch
    }

    /// How it is reached over TLS; the image says it to the agent.
    pub(crate) const fn ingress(&self) -> &Ingress {
        &self.ingress
    }

    /// What runs in it.
    pub(crate) const fn executor(&self) -> Kind {
        self.executor
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

/// How the app of a bundle is reached over TLS, as an image says it to the agent: under the very domains that its host routes.
///
/// # Errors
/// [`HostError::CannotRun`]: annotations of a compose file ask for something else.
pub fn vm_ingress(bundle: &Bundle) -> Result<AppIngress, HostError> {
    let Ingress { domains, acme } = container_ingress(bundle)?;
    let authority = |acme: AcmeDirectory| AppAuthority {
        directory: acme.url,
        roots: acme.roots,
        challenge: acme.challenge.as_str().to_owned(),
    };
    Ok(AppIngress { domains, acme: acme.map(authority) })
}

/// Whether VMs can be started here.
pub(crate) async fn check_qemu() -> Result<(), HostError> {
    let mut ask = Command::new(QEMU);
    ask.arg("--version").stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    ask.status().await.map(drop).map_err(|source| HostError::NoQemu { program: QEMU, source })
}
