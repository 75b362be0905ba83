//! Measuring what is about to run: what its evidence will show follows from these very files.
//!
//! In a TEE of hardware, processor, firmware and kernel measure, and what stands here is what they are expected to find. Under
//! the emulator the host itself measures, and nobody should believe it: the emulator's root says so in every answer.

use std::{
    fs::File,
    io::{self, Read as _},
    path::{Path, PathBuf},
};

use freehold_bundle::Bundle;
use freehold_emulator::{AppImage, SnpGuest, TdReport, VmBoot};
use freehold_image::{BootEvents, Image, KernelHashes, MeasureFault, VmShape};
use freehold_primitives::{Canonical as _, Digest, Measurement};
use freehold_rpc::EventLogEntry;
use ring::digest::{Context, SHA256};
use thiserror::Error;

use crate::{
    config::{App, AppProgram, GuestProgram, HardwareTee},
    vm::VmTee,
};

/// Event type of an application's event in a runtime log.
const EVENT_TYPE: u32 = 0x0800_0001;
/// Name of the event that measures the app.
const EVENT_NAME: &str = "freehold-app";
/// Register that it extends.
const EVENT_REGISTER: u32 = 3;

/// Why a file cannot be measured.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum MeasureError {
    /// It cannot be read.
    #[error("{path} cannot be read to be measured: {source}", path = .path.display())]
    Read {
        /// Which file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A VM image boots nothing that can be measured.
    #[error(transparent)]
    Image(#[from] MeasureFault),
    /// A firmware is not the one that a provider's VMs boot with.
    #[error(
        "{path} is another firmware than the provider's: its SHA-256 is {found}, the provider's {wanted}. Ask the provider where it is from",
        path = .path.display()
    )]
    OtherFirmware {
        /// Which file.
        path: PathBuf,
        /// What it is.
        found: Digest,
        /// What it should be.
        wanted: Digest,
    },
    /// A provider's VMs are of a kind that this release cannot measure.
    #[error("the provider's VMs are of a kind that this release cannot measure: take a newer one, or another offer")]
    UnknownTee,
}

/// What a launch shows.
#[derive(Debug, Clone)]
pub struct Launch {
    /// SHA-256 of the guest's executable, or of the VM image's document.
    pub guest: Digest,
    /// The app as it was measured.
    pub app: AppImage,
    /// What evidence shows of it.
    pub shown: Shown,
    /// Events that extended its runtime registers.
    pub event_log: Vec<EventLogEntry>,
}

/// What evidence shows of a launch: the emulator's or that of hardware, never both.
#[derive(Debug, Clone)]
pub enum Shown {
    /// The emulator says what the host measured.
    Emulated(Box<EmulatedShown>),
    /// Hardware measures; what it is expected to find.
    Hardware(HardwareTee, Box<Measurement>),
}

/// What emulated machines show of a launch.
#[derive(Debug, Clone)]
pub struct EmulatedShown {
    /// The TD's registers.
    pub report: TdReport,
    /// The same as an SEV-SNP guest shows it.
    pub snp: SnpGuest,
}

impl Launch {
    /// What an emulated machine shows; `None` where hardware measures.
    pub const fn emulated(&self) -> Option<&EmulatedShown> {
        match &self.shown {
            Shown::Emulated(shown) => Some(shown),
            Shown::Hardware(..) => None,
        }
    }
}

/// Measures guest and app.
///
/// # Errors
/// [`MeasureError::Read`].
pub fn measure(guest: &GuestProgram, app: &App) -> Result<Launch, MeasureError> {
    Ok(match app {
        App::Vm(app) => app.launch().clone(),
        App::Process(app) => {
            let digest = file_digest(&guest.executable)?;
            launch(digest, program_image(guest, digest, app)?)
        }
        App::Containers(app) => {
            launch(file_digest(&guest.executable)?, bundle_image(app.bundle.digest(), bundle_model(&app.bundle)))
        }
    })
}

fn program_image(guest: &GuestProgram, guest_digest: Digest, app: &AppProgram) -> Result<AppImage, MeasureError> {
    Ok(match &app.bundle {
        Some(bundle) => bundle_image(bundle.digest, bundle.model),
        None => {
            let same = app.executable == guest.executable;
            let executable = if same { guest_digest } else { file_digest(&app.executable)? };
            let model = app.model.as_deref().map(file_digest).transpose()?;
            AppImage { executable, arguments: app.arguments.clone(), model }
        }
    })
}

/// What a launch of a bundle shows, from the guest's file and the bundle alone.
///
/// # Errors
/// [`MeasureError::Read`].
pub fn measure_bundle(guest: &Path, bundle: &Bundle) -> Result<Launch, MeasureError> {
    Ok(launch(file_digest(guest)?, bundle_image(bundle.digest(), bundle_model(bundle))))
}

/// What a VM shows that boots an image of a bundle: the very files that are booted, hashed as hardware hashes them.
///
/// # Errors
/// [`MeasureError::Image`].
pub fn measure_image(image: &Image, shape: VmShape, bundle: &Bundle) -> Result<Launch, MeasureError> {
    let events = BootEvents::of(&image.kernel, &image.initrd, &image.line, shape)?;
    let hashes = KernelHashes::of(&image.kernel, &image.initrd, &image.line);
    let boot = VmBoot {
        rtmr1: events.rtmr1,
        rtmr2: events.rtmr2,
        kernel: hashes.kernel,
        initrd: hashes.initrd,
        command_line: hashes.command_line,
    };
    let app = bundle_image(bundle.digest(), bundle_model(bundle));
    let shown = EmulatedShown { report: TdReport::boot(&boot, &app), snp: SnpGuest::boot(&boot, &app) };
    Ok(Launch { guest: image.digest(), event_log: event_log(&app), app, shown: Shown::Emulated(Box::new(shown)) })
}

/// What a VM in a TEE of hardware is expected to show that boots an image of a bundle with this firmware.
///
/// # Errors
/// [`MeasureError::Image`], [`MeasureError::Read`].
pub fn measure_in_tee(image: &Image, shape: VmShape, bundle: &Bundle, tee: &VmTee) -> Result<Launch, MeasureError> {
    let app = bundle_image(bundle.digest(), bundle_model(bundle));
    let shown = Shown::Hardware(tee.hardware(), Box::new(tee.measurement(image, shape, &app.digest())?));
    Ok(Launch { guest: image.digest(), event_log: event_log(&app), app, shown })
}

/// A bundle as an image: its digest stands for program and arguments, which it fixes (`spec/bundle.md` §5).
fn bundle_image(digest: Digest, model: Option<Digest>) -> AppImage {
    AppImage { executable: digest, arguments: Vec::new(), model }
}

/// The model that an image can name: that of an app with exactly one.
pub(crate) fn bundle_model(bundle: &Bundle) -> Option<Digest> {
    match bundle.manifest().additions.models.as_slice() {
        [model] => Some(model.sha256),
        _ => None,
    }
}

fn launch(guest: Digest, app: AppImage) -> Launch {
    let shown = EmulatedShown { report: TdReport::launch(&guest, &app), snp: SnpGuest::launch(&guest, &app) };
    Launch { guest, event_log: event_log(&app), app, shown: Shown::Emulated(Box::new(shown)) }
}

/// The event of an app.
fn event_log(image: &AppImage) -> Vec<EventLogEntry> {
    vec![EventLogEntry {
        imr: EVENT_REGISTER,
        event_type: EVENT_TYPE,
        digest: image.digest().to_string(),
        event: EVENT_NAME.to_owned(),
        event_payload: hex::encode(image.to_canonical()),
    }]
}

/// SHA-256 of a file.
pub(crate) fn file_digest(path: &Path) -> Result<Digest, MeasureError> {
    let failed = |source| MeasureError::Read { path: path.to_owned(), source };
    let mut file = File::open(path).map_err(failed)?;
    // Programs have a hundred million bytes: on a processor without instructions for it this is three times faster than `sha2`.
    let mut hasher = Context::new(&SHA256);
    let mut piece = vec![0; 1024 * 1024];
    loop {
        let count = file.read(&mut piece).map_err(failed)?;
        if count == 0 {
            let digest = hasher.finish();
            return Ok(Digest(digest.as_ref().try_into().expect("SHA-256 has 32 bytes")));
        }
        hasher.update(&piece[..count]);
    }
}
