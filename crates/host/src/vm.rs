//! An app in a VM of its own: the image that boots, how QEMU runs it, and what evidence shows of it.
//!
//! The image is read whole and checked against its document here, and its files are what QEMU is given. A host that swaps them
//! afterwards boots something else, which measures as something else.

use std::{
    path::{Path, PathBuf},
    process::Stdio,
};

use freehold_bundle::{Bundle, Egress, Ingress, Kind};
use freehold_image::{Accel, CommandLine, Image, QEMU, VmShape};
use tokio::process::Command;

use crate::{
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
}

impl VmApp {
    /// The app of a bundle in the image in `folder`, which was built of it.
    ///
    /// # Errors
    /// [`HostError::Image`]: the image is changed or cannot be read; [`HostError::Measure`]; [`HostError::CannotRun`]: it is of
    /// another bundle, or of containers.
    pub fn new(bundle: &Bundle, folder: &Path, accel: Accel, shape: VmShape) -> Result<Self, HostError> {
        let cannot = |what: &str, hint| HostError::CannotRun { what: what.to_owned(), hint };
        if bundle.manifest().kind != Kind::Process {
            return Err(cannot("it is made of containers", "a VM of this release runs `kind: raw` alone"));
        }
        if bundle.manifest().additions.egress != Egress::Deny {
            return Err(cannot("it reaches out", "a VM of this release has no network: write `egress: deny`"));
        }
        if matches!(accel, Accel::Tdx { .. } | Accel::Snp { .. }) {
            // Evidence, collateral and policy of this host are the emulator's.
            return Err(cannot(
                "its VM would have a TEE",
                "this host gives emulated evidence alone: run it with kvm or tcg",
            ));
        }
        let image = Image::open(folder)?;
        if image.app != bundle.digest() {
            return Err(cannot("the image is of another bundle", "build it anew"));
        }
        let launch = measure_image(&image, shape, bundle)?;
        let ingress = bundle.manifest().additions.ingress.clone();
        Ok(Self { image: folder.to_owned(), line: image.line, accel, shape, launch, ingress })
    }

    /// What evidence shows of it.
    pub(crate) const fn launch(&self) -> &Launch {
        &self.launch
    }

    /// How it is reached over TLS. There is no authority: one would be reached through `egress`, which is refused above.
    pub(crate) const fn ingress(&self) -> &Ingress {
        &self.ingress
    }

    /// Folder of the image.
    pub(crate) fn image(&self) -> &Path {
        &self.image
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

/// Whether VMs can be started here.
pub(crate) async fn check_qemu() -> Result<(), HostError> {
    let mut ask = Command::new(QEMU);
    ask.arg("--version").stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    ask.status().await.map(drop).map_err(|source| HostError::NoQemu { program: QEMU, source })
}
