//! The VM, booted in software: from the image's bytes to the app's end, and a flipped byte that is refused.
//!
//! Needs `qemu-system-x86_64`, `dpkg-deb` and the pinned kernel package, which `FREEHOLD_KERNEL_PACKAGE` names.

#![allow(clippy::unwrap_used, clippy::print_stderr)]

use std::{path::Path, process::Command, time::Duration};

use freehold_image::{
    Accel, AppStart, Image, ImageParts, KERNEL_PACKAGE, KernelFiles, Program, QemuLaunch, Ran, RestartRule, RunError,
    Tree, VmShape, run_vm, self_test, usable_accel,
};
use freehold_primitives::{Digest, Register};

/// Longest run of one VM.
const LIMIT: Duration = Duration::from_secs(50);

/// The kernel's files, or a loud skip.
fn kernel() -> Option<KernelFiles> {
    let has = |tool: &str| Command::new(tool).arg("--version").output().is_ok();
    match std::env::var_os("FREEHOLD_KERNEL_PACKAGE") {
        Some(package) if has("qemu-system-x86_64") && has("dpkg-deb") => {
            Some(KernelFiles::read(package.as_ref()).unwrap())
        }
        _ => {
            eprintln!(
                "SKIPPED: no VM is booted: it needs qemu-system-x86_64, dpkg-deb, and FREEHOLD_KERNEL_PACKAGE naming {KERNEL_PACKAGE}"
            );
            None
        }
    }
}

fn parts(kernel: KernelFiles) -> ImageParts {
    let init = Path::new(env!("CARGO_BIN_EXE_freehold-init"));
    let probe = init.with_file_name("examples").join("probe");
    let mut files = Tree::new();
    files.file("data", (0..1_000_000).map(|at| (at % 251) as u8).collect(), false).unwrap();
    ImageParts {
        kernel,
        programs: vec![Program { file: init.to_owned(), place: "init".to_owned() }],
        system: vec![Program { file: probe, place: "bin/probe".to_owned() }],
        files,
        start: AppStart {
            app: Digest([0xab; 32]),
            event: Register([0xcd; 48]),
            command: vec!["/bin/probe".to_owned()],
            environment: Vec::new(),
            memory_mib: None,
            open_files: Some(64),
            processes: None,
            file_mib: Some(1),
            restart: RestartRule::Never,
        },
    }
}

fn boot(image: &Image, folder: &Path) -> Result<Ran, RunError> {
    image.write(folder).unwrap();
    let launch = QemuLaunch {
        accel: &Accel::Tcg,
        shape: VmShape::new(1, 512).unwrap(),
        image: folder,
        line: &image.line,
        ports: &[],
    };
    run_vm(&launch, LIMIT)
}

#[test]
fn the_app_runs_in_the_vm_and_a_flipped_byte_is_refused() {
    let Some(kernel) = kernel() else { return };
    let parts = parts(kernel);
    let image = Image::build(parts.clone()).unwrap();
    // The same parts are the same bytes, and what is on disk is what was built.
    assert_eq!(Image::build(parts).unwrap(), image);
    let folder = tempfile::tempdir().unwrap();
    let ran = boot(&image, folder.path()).unwrap();
    eprintln!(
        "booted, ran and powered off in {:?}: initrd {} bytes, disk {} bytes",
        ran.took,
        image.initrd.len(),
        image.disk.len()
    );
    assert!(ran.console.contains("freehold: app ended with 7"), "{}", ran.console);
    assert_eq!(Image::open(folder.path()).unwrap(), image);
    // A byte of the file that the app reads, flipped by the host: the machine stops before the app sees it.
    let mut flipped = image.clone();
    let at = flipped.disk.windows(4).position(|piece| piece == [100, 101, 102, 103]).unwrap();
    flipped.disk[at] ^= 1;
    let console = match boot(&flipped, folder.path()) {
        Ok(ran) => ran.console,
        Err(RunError::TimedOut(_, console)) => console,
        Err(error) => panic!("{error}"),
    };
    assert!(!console.contains("app ended"), "{console}");
    assert!(console.contains("verity") && console.contains("panic"), "{console}");
}

/// Whatever is chosen boots guests: a `/dev/kvm` that opens and never boots one is not chosen.
#[test]
fn the_accelerator_that_is_chosen_boots_guests() {
    let Some(kernel) = kernel() else { return };
    let folder = tempfile::tempdir().unwrap();
    Image::build(parts(kernel)).unwrap().write(folder.path()).unwrap();
    let accel = usable_accel(folder.path());
    eprintln!("chosen: {accel:?}");
    assert!(self_test(&accel, folder.path(), LIMIT), "a guest did not boot under {accel:?}");
}
