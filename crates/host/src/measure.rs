//! Measuring what is about to run: the emulated TD's registers follow from these very files.
//!
//! On hardware, firmware and kernel measure; here the host does, and nobody should believe it: the emulator's root says
//! so in every answer.

use std::{
    fs::File,
    io::{self, Read as _},
    path::{Path, PathBuf},
};

use freehold_bundle::Bundle;
use freehold_emulator::{AppImage, SnpGuest, TdReport, VmBoot};
use freehold_image::{BootEvents, Image, KernelHashes, MeasureFault, VmShape};
use freehold_primitives::{Canonical as _, Digest};
use freehold_rpc::EventLogEntry;
use sha2::{Digest as _, Sha256};
use thiserror::Error;

use crate::config::{App, AppProgram, GuestProgram};

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
}

/// What a launch shows.
#[derive(Debug, Clone)]
pub struct Launch {
    /// SHA-256 of the guest's executable, or of the VM image's document.
    pub guest: Digest,
    /// The app as it was measured.
    pub app: AppImage,
    /// The TD's registers.
    pub report: TdReport,
    /// The same as an SEV-SNP guest shows it.
    pub snp: SnpGuest,
    /// Events that extended its runtime registers.
    pub event_log: Vec<EventLogEntry>,
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
    let (report, snp) = (TdReport::boot(&boot, &app), SnpGuest::boot(&boot, &app));
    Ok(Launch { guest: image.digest(), event_log: event_log(&app), app, report, snp })
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
    let (report, snp) = (TdReport::launch(&guest, &app), SnpGuest::launch(&guest, &app));
    Launch { guest, event_log: event_log(&app), app, report, snp }
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
    let mut hasher = Sha256::new();
    let mut piece = vec![0; 1024 * 1024];
    loop {
        let count = file.read(&mut piece).map_err(failed)?;
        if count == 0 {
            return Ok(Digest(hasher.finalize().into()));
        }
        hasher.update(&piece[..count]);
    }
}
