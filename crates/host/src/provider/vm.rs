//! Rented apps in VMs: the image of a bundle, a VM of the offer's size, and what a renter must know to compute what it will show.

use std::{
    fs,
    path::Path,
    sync::{Arc, OnceLock},
};

use freehold_bundle::Bundle;
use freehold_image::{Accel, Image, VmShape, usable_accel};
use freehold_primitives::Digest;
use freehold_rpc::ProviderVm;

use super::policy::Wish;
use crate::{
    config::App,
    error::HostError,
    measure::MeasureError,
    vm::{BareAccel, VmAccel, VmApp, VmRun, VmTee},
};

/// Name of the image in a rental's folder, and of the state disk.
const IMAGE_FOLDER: &str = "image";
const STATE_DISK: &str = "state.disk";

/// Makes the image of a bundle, of the kernel, PID 1 and agent that this machine has; a disk of model files is written into the
/// folder.
pub type ImageMaker = Arc<dyn Fn(&Bundle, &Path) -> Result<Image, HostError> + Send + Sync>;

/// The VMs of a provider's machine.
#[derive(Clone)]
pub struct VmBackend {
    /// Makes images.
    pub image: ImageMaker,
    /// SHA-256 of PID 1, agent and their libraries.
    pub programs: Digest,
    /// SHA-256 of what runs containers, where it is here.
    pub containers: Option<Digest>,
    /// What runs them; `None` takes KVM where a guest boots under it, else software.
    pub accel: Option<VmAccel>,
    /// What was found where nothing is said; kept, since finding it boots a guest.
    found: Arc<OnceLock<BareAccel>>,
}

impl VmBackend {
    /// VMs that boot such images.
    pub fn new(image: ImageMaker, programs: Digest, containers: Option<Digest>, accel: Option<VmAccel>) -> Self {
        Self { image, programs, containers, accel, found: Arc::default() }
    }

    /// The TEE of hardware that they run in.
    pub const fn tee(&self) -> Option<&VmTee> {
        match &self.accel {
            Some(VmAccel::Tee(tee)) => Some(tee),
            Some(VmAccel::Emulated(_)) | None => None,
        }
    }

    /// What renters are told.
    ///
    /// # Errors
    /// [`MeasureError::Read`].
    pub(crate) fn told(&self) -> Result<ProviderVm, MeasureError> {
        let Self { programs, containers, .. } = *self;
        Ok(ProviderVm { programs, containers, tee: self.tee().map(VmTee::told).transpose()? })
    }

    /// A bundle as a VM of the size that was rented, below a rental's folder.
    ///
    /// # Errors
    /// Those of [`VmApp::new`] and of the maker; [`HostError::CannotRun`] for a size that no VM has.
    pub(crate) fn app(&self, bundle: &Bundle, folder: &Path, wish: &Wish) -> Result<App, HostError> {
        let sizes = (u16::try_from(wish.cpus), u32::try_from(wish.memory_mib));
        let shape = if let (Ok(cpus), Ok(memory_mib)) = sizes { VmShape::new(cpus, memory_mib).ok() } else { None };
        let shape = shape.ok_or_else(|| HostError::CannotRun {
            what: format!("the offer promises {} CPUs and {} MiB", wish.cpus, wish.memory_mib),
            hint: "a VM has 1 to 512 CPUs and 128 MiB to 1 TiB: the provider has to make another offer",
        })?;
        let image = folder.join(IMAGE_FOLDER);
        if image.exists() {
            fs::remove_dir_all(&image).map_err(HostError::system("the old image cannot be removed", &image))?;
        }
        fs::create_dir_all(&image).map_err(HostError::system("the image's folder cannot be made", &image))?;
        (self.image)(bundle, &image)?.write(&image)?;
        let accel = self.accel.clone().unwrap_or_else(|| VmAccel::Emulated(self.found(&image)));
        let run = VmRun { image, state: folder.join(STATE_DISK), accel, shape };
        Ok(App::Vm(Box::new(VmApp::new(bundle, run)?)))
    }

    fn found(&self, image: &Path) -> BareAccel {
        let look = || if usable_accel(image) == Accel::Kvm { BareAccel::Kvm } else { BareAccel::Tcg };
        *self.found.get_or_init(look)
    }
}
