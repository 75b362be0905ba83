//! The VM, booted in software: from the image's bytes to the app's end, a flipped byte that is refused, and a state disk that
//! outlives it.
//!
//! Needs `qemu-system-x86_64`, `dpkg-deb` and the pinned kernel package, which `FREEHOLD_KERNEL_PACKAGE` names.

#![allow(clippy::unwrap_used, clippy::print_stderr)]

use std::{
    fs,
    os::unix::{fs::FileExt as _, net::UnixListener},
    path::Path,
    process::Command,
    time::Duration,
};

use freehold_image::{
    Accel, AppIngress, AppStart, AppStorage, HostPort, Image, ImageParts, KERNEL_PACKAGE, KernelFiles, MODELS_DISK,
    ModelSource, Program, QemuLaunch, Ran, RestartRule, RunError, StartKind, StateLayout, StorageRule, Tree, VmShape,
    run_vm, self_test, usable_accel, write_models,
};
use freehold_primitives::{Digest, Register};
use sha2::{Digest as _, Sha256};

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
        beside: Tree::new(),
        start: AppStart {
            app: Digest([0xab; 32]),
            event: Register([0xcd; 48]),
            kind: StartKind::Process,
            command: vec!["/bin/probe".to_owned()],
            environment: Vec::new(),
            memory_mib: None,
            open_files: Some(64),
            processes: None,
            file_mib: Some(1),
            restart: RestartRule::Never,
            storage: AppStorage::NONE,
            proxy: None,
            ingress: AppIngress::default(),
            models: Vec::new(),
            scopes: Vec::new(),
        },
        models: None,
    }
}

fn boot(image: &Image, folder: &Path) -> Result<Ran, RunError> {
    boot_with(image, folder, (&[], None))
}

fn boot_with(image: &Image, folder: &Path, (ports, state): (&[HostPort], Option<&Path>)) -> Result<Ran, RunError> {
    image.write(folder).unwrap();
    let launch = QemuLaunch {
        accel: &Accel::Tcg,
        shape: VmShape::new(1, 512).unwrap(),
        image: folder,
        line: &image.line,
        ports,
        state,
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

/// An image whose agent only asks for the state disk, and whose app looks at its storage.
fn with_storage(kernel: KernelFiles) -> Image {
    let mut parts = parts(kernel);
    let keeper = Path::new(env!("CARGO_BIN_EXE_freehold-init")).with_file_name("examples").join("keeper");
    parts.programs.push(Program { file: keeper, place: "agent".to_owned() });
    parts.start.command.push("storage".to_owned());
    parts.start.file_mib = None;
    parts.start.storage = image_storage();
    Image::build(parts).unwrap()
}

/// The middle of the longest run of blocks that differ, behind header and journal.
fn changed(before: &[u8], after: &[u8]) -> u64 {
    let (mut longest, mut run) = (0..0, 2048..2048);
    for (block, (before, after)) in before.chunks(4096).zip(after.chunks(4096)).enumerate().skip(2048) {
        run = if before == after { block + 1..block + 1 } else { run.start..block + 1 };
        if run.len() > longest.len() {
            longest = run.clone();
        }
    }
    ((longest.start + longest.end) / 2 * 4096) as u64
}

#[test]
fn what_an_app_stores_outlives_the_vm_and_a_changed_sector_is_an_error() {
    let Some(kernel) = kernel() else { return };
    let folder = tempfile::tempdir().unwrap();
    let image = with_storage(kernel);
    let layout = StateLayout::new(image_storage().state_mib()).unwrap();
    let path = folder.path().join("state.disk");
    let disk = fs::File::options().read(true).write(true).create_new(true).open(&path).unwrap();
    disk.set_len(layout.disk_bytes()).unwrap();
    let socket = folder.path().join("link");
    let _listener = UnixListener::bind(&socket).unwrap();
    let ports = [HostPort { name: "freehold.link", socket }];
    let run = |kind: u8| {
        disk.write_all_at(&[kind, 0x5a], 0).unwrap();
        let ran = boot_with(&image, &folder.path().join("image"), (&ports, Some(&path))).unwrap();
        eprintln!("state disk, {kind}: {:?}", ran.took);
        ran.console
    };

    let console = run(2);
    assert!(console.contains("freehold: state disk made, 32 MiB"), "{console}");
    assert!(console.contains("keeper: the key: ok") && !console.contains("keeper: again: ok"), "{console}");
    assert!(console.contains("keeper: own folder: true") && console.contains("app ended with 20"), "{console}");
    let before = fs::read(&path).unwrap();
    // What was written is not to be seen.
    let written: Vec<u8> = (100..200_u32).flat_map(|at| (at * 3).to_le_bytes()).collect();
    assert!(!before.windows(written.len()).any(|piece| piece == written));

    // A disk that the host cut off is neither opened nor made anew: PID 1 says how much is missing, and writes nothing.
    let cut = folder.path().join("cut.disk");
    let there = layout.disk_bytes() - (1 << 20);
    for kind in [1, 2] {
        let mut bytes = before[..there as usize].to_vec();
        bytes[..2].copy_from_slice(&[kind, 0x5a]);
        fs::write(&cut, &bytes).unwrap();
        let console = boot_with(&image, &folder.path().join("image"), (&ports, Some(&cut))).unwrap().console;
        let said = format!("keeper: the key: it has {there} bytes of {}: it was cut off", layout.disk_bytes());
        assert!(console.contains(&said) && !console.contains("freehold: state disk"), "{console}");
        assert!(console.contains("keeper: own folder: false") && console.contains("app ended with 24"), "{console}");
        assert!(fs::read(&cut).unwrap() == bytes);
    }

    // Another key opens nothing, changes nothing, and the right one opens it then.
    let console = run(1);
    assert!(!console.contains("another key: ok") && console.contains("keeper: the key: ok"), "{console}");
    assert!(
        console.contains("freehold: state disk opened, 32 MiB") && console.contains("app ended with 21"),
        "{console}"
    );
    let after = fs::read(&path).unwrap();

    // One bit of the other file, by the host: an error for who reads it, and the rest is as it was.
    let at = changed(&before, &after) + 17;
    let mut byte = [0];
    disk.read_exact_at(&mut byte, at).unwrap();
    disk.write_all_at(&[byte[0] ^ 1], at).unwrap();
    let console = run(1);
    assert!(console.contains("app ended with 23"), "{console}");
}

#[test]
fn a_model_is_read_under_its_root_and_a_changed_byte_stops_the_machine() {
    let Some(kernel) = kernel() else { return };
    let folder = tempfile::tempdir().unwrap();
    // Larger than what a kernel reads ahead when it looks for file systems.
    let model: Vec<u8> = (0..512 * 1024_u32).flat_map(|at| at.wrapping_mul(7).to_le_bytes()).collect();
    let file = folder.path().join("m.gguf");
    fs::write(&file, &model).unwrap();
    let sha256 = Digest(Sha256::digest(&model).into());
    let source = ModelSource { name: "m.gguf".to_owned(), file, sha256 };
    let place = folder.path().join("image");
    fs::create_dir(&place).unwrap();
    let disk = place.join(MODELS_DISK);
    let root = write_models(&[source], &mut fs::File::create(&disk).unwrap()).unwrap();
    let mut parts = parts(kernel);
    parts.start.command.push("model".to_owned());
    parts.start.models = vec!["m.gguf".to_owned()];
    parts.models = Some(root);
    let image = Image::build(parts).unwrap();
    assert!(image.line.as_str().contains(&format!("freehold.models={}", root.hash)));
    let console = boot(&image, &place).unwrap().console;
    assert!(console.contains(&format!("freehold: models opened under {}", root.hash)), "{console}");
    assert!(console.contains("app ended with 30"), "{console}");
    assert_eq!(Image::open(&place).unwrap(), image);
    // One byte in the middle of the model, flipped by the host.
    let mut bytes = fs::read(&disk).unwrap();
    let at = bytes.len() / 2;
    bytes[at] ^= 1;
    fs::write(&disk, &bytes).unwrap();
    let console = match boot(&image, &place) {
        Ok(ran) => ran.console,
        Err(RunError::TimedOut(_, console)) => console,
        Err(error) => panic!("{error}"),
    };
    assert!(
        !console.contains("app ended with") && console.contains("verity") && console.contains("panic"),
        "{console}"
    );
}

fn image_storage() -> AppStorage {
    AppStorage { kind: StorageRule::DiskPersistent, mib: 16 }
}
