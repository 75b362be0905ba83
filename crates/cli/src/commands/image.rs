//! `image`: the VM image of a bundle, and its measurements (`spec/vm-image.md`).

mod containers;

use std::{
    fs, io,
    path::{Path, PathBuf},
    process::ExitCode,
};

use anyhow::{Context as _, Result, bail};
use freehold_bundle::{Bundle, Egress, Kind, ModelFile, ProcessSpec, Restart, open_bundle};
use freehold_host::{
    EmulatedTee, Launch, PROXY_PORT, key_scopes, measure_bundle, measure_image, vm_ingress, vm_storage,
};
use freehold_image::{
    AcpiTables, AppProxy, AppStart, Firmware, Image, ImageParts, KERNEL_PACKAGE, KernelFiles, KernelHashes,
    MODELS_DISK, ModelSource, OVMF_BOOT_ENTRY, PageOrder, Program, RestartRule, Separator, SnpLaunch, StartKind,
    TdxBoot, TdxMachine, Tree, VerityRoot, VmShape, write_models,
};
use freehold_primitives::Measurement;
use freehold_rpc::proxy_variables;
use serde_json::{Value, json};

use super::app::registers;
use crate::{
    args::{ImageBuildArgs, ImageCommand, ImageMeasureArgs, ImagePartArgs},
    output::Output,
    stack::model_folder,
};

/// Variable that names the kernel package where no argument does.
const KERNEL_VARIABLE: &str = "FREEHOLD_KERNEL_PACKAGE";
/// The agent's program.
const AGENT: &str = "freehold-guest";

/// Runs the command.
pub(crate) fn run(command: &ImageCommand, output: Output) -> Result<ExitCode> {
    match command {
        ImageCommand::Build(args) => build(args, output),
        ImageCommand::Measure(args) => measure(args, output),
    }
}

fn build(args: &ImageBuildArgs, output: Output) -> Result<ExitCode> {
    let bundle = open_bundle(&args.bundle)?;
    if !args.verify {
        fs::create_dir_all(&args.output).with_context(|| format!("{} cannot be made", args.output.display()))?;
    }
    let image = assembled(&bundle, &args.parts, (!args.verify).then_some(args.output.as_path()))?;
    let shape = VmShape::new(args.shape.cpus, args.shape.memory_mib)?;
    let launch = measure_image(&image, shape, &bundle)?;
    let event = if args.verify {
        let there = Image::open(&args.output)?;
        if there != image {
            let (found, built) = (there.digest(), image.digest());
            bail!("{} is not what these inputs build now: {found} instead of {built}", args.output.display());
        }
        "verified"
    } else {
        image.write(&args.output)?;
        "built"
    };
    tell((event, &args.output), (&image, executor(&bundle)), shape, &launch, output);
    Ok(ExitCode::SUCCESS)
}

/// PID 1 and agent: those that were named, or those beside this program.
pub(crate) fn own_programs(args: &ImagePartArgs) -> Result<Vec<Program>> {
    Ok(vec![
        Program { file: beside(args.init.as_deref(), "freehold-init")?, place: "init".to_owned() },
        Program { file: beside(args.agent.as_deref(), AGENT)?, place: "agent".to_owned() },
    ])
}

/// A program that was named, or the one beside this program.
fn beside(given: Option<&Path>, name: &str) -> Result<PathBuf> {
    if let Some(given) = given {
        return Ok(given.to_owned());
    }
    let own = std::env::current_exe().context("this program's own file cannot be found")?;
    Ok(own.with_file_name(name))
}

/// What runs containers in a VM: those programs that were named, or those beside this program, and the runtime of this machine.
pub(crate) fn container_programs(args: &ImagePartArgs) -> Result<Vec<Program>> {
    let runner = beside(args.containers.as_deref(), "freehold-containers")?;
    containers::programs(runner, beside(args.agent.as_deref(), AGENT)?)
}

/// The package of the pinned kernel.
pub(crate) fn kernel_package(args: &ImagePartArgs) -> Result<PathBuf> {
    let kernel = args.kernel.clone().or_else(|| std::env::var_os(KERNEL_VARIABLE).map(PathBuf::from));
    kernel.with_context(|| {
        format!("a VM boots the kernel of {KERNEL_PACKAGE}: name the package with --kernel or {KERNEL_VARIABLE}")
    })
}

/// The folder of model files, where one is known.
pub(crate) fn models_of(args: &ImagePartArgs) -> Option<PathBuf> {
    args.models.clone().or_else(|| model_folder().ok())
}

/// The disk of a bundle's model files, written into a folder where one is given; its root, where the manifest names any.
fn models(bundle: &Bundle, args: &ImagePartArgs, place: Option<&Path>) -> Result<Option<VerityRoot>> {
    let named = &bundle.manifest().additions.models;
    if named.is_empty() {
        return Ok(None);
    }
    let folder = models_of(args).context("the manifest names model files: name their folder with --models")?;
    let source = |model: &ModelFile| ModelSource {
        name: model.name.clone(),
        file: folder.join(&model.name),
        sha256: model.sha256,
    };
    let sources: Vec<ModelSource> = named.iter().map(source).collect();
    let root = match place {
        None => write_models(&sources, &mut io::sink())?,
        Some(place) => {
            let path = place.join(MODELS_DISK);
            let file = fs::File::create(&path).with_context(|| format!("{} cannot be made", path.display()))?;
            let mut out = io::BufWriter::with_capacity(1 << 20, file);
            let root = write_models(&sources, &mut out)?;
            io::Write::flush(&mut out).with_context(|| format!("{} cannot be written", path.display()))?;
            root
        }
    };
    Ok(Some(root))
}

/// The image of a bundle: pinned kernel, PID 1, agent, and the programs that were named. The disk of its models is written into
/// `place`, where one is given.
pub(crate) fn assembled(bundle: &Bundle, args: &ImagePartArgs, place: Option<&Path>) -> Result<Image> {
    let own = std::env::current_exe().context("this program's own file cannot be found")?;
    let system = args.with.iter().map(|file| {
        let name = file.file_name().with_context(|| format!("{} is no program", file.display()))?;
        Ok(Program { file: file.clone(), place: format!("bin/{}", name.to_string_lossy()) })
    });
    let mut parts = ImageParts {
        kernel: KernelFiles::read(&kernel_package(args)?)?,
        programs: own_programs(args)?,
        system: system.collect::<Result<_>>()?,
        files: files(bundle)?,
        beside: Tree::new(),
        start: start(bundle, &own)?,
        models: models(bundle, args, place)?,
    };
    if parts.start.kind == StartKind::Containers {
        parts.system.extend(container_programs(args)?);
        (parts.beside, parts.start.command) = containers::parts(bundle)?;
    }
    Ok(Image::build(parts)?)
}

/// What a VM of an image shows under the emulator, by machine.
pub(crate) fn emulated(launch: &Launch) -> [(&'static str, Measurement); 2] {
    [("emulated-tdx", EmulatedTee::Tdx), ("emulated-snp", EmulatedTee::Snp)]
        .map(|(machine, tee)| (machine, tee.measurement(launch)))
}

/// A bundle's files, each digest checked.
fn files(bundle: &Bundle) -> Result<Tree> {
    let fresh = tempfile::tempdir().context("no place to unpack the bundle")?;
    let folder = fresh.path().join("files");
    bundle.unpack(&folder)?;
    let mut tree = Tree::new();
    for file in bundle.files() {
        let path = folder.join(&file.path);
        let data = fs::read(&path).with_context(|| format!("cannot read {}", path.display()))?;
        tree.file(&file.path, data, file.is_executable)?;
    }
    Ok(tree)
}

/// How a bundle's app is started; what this release cannot run in a VM is refused. Of containers the command is left open.
fn start(bundle: &Bundle, guest: &Path) -> Result<AppStart> {
    let manifest = bundle.manifest();
    if manifest.additions.gpu.is_some() {
        bail!("{} asks for GPUs, which a VM of this release has none of", manifest.name);
    }
    let proxy = match manifest.additions.egress {
        Egress::Deny => None,
        // Every public address, through the same gate: there is no network device.
        Egress::Allow(_) | Egress::Open => Some(proxy()),
    };
    let start = AppStart {
        app: bundle.digest(),
        event: measure_bundle(guest, bundle)?.app.digest(),
        kind: StartKind::Containers,
        command: Vec::new(),
        environment: Vec::new(),
        memory_mib: None,
        open_files: None,
        processes: None,
        file_mib: None,
        restart: RestartRule::Never,
        storage: vm_storage(bundle),
        proxy,
        ingress: vm_ingress(bundle)?,
        models: manifest.additions.models.iter().map(|model| model.name.clone()).collect(),
        scopes: key_scopes(bundle).iter().map(|scope| scope.as_str().to_owned()).collect(),
    };
    Ok(match (manifest.kind, &manifest.additions.process) {
        (Kind::Process, Some(process)) => of_process(process, start),
        _ => start,
    })
}

fn of_process(process: &ProcessSpec, start: AppStart) -> AppStart {
    let limits = process.limits;
    AppStart {
        kind: StartKind::Process,
        command: process.command.clone(),
        environment: process.environment.iter().map(|(name, value)| (name.clone(), value.clone())).collect(),
        memory_mib: limits.memory_mib,
        open_files: limits.open_files,
        processes: limits.processes,
        file_mib: limits.file_mib,
        restart: match process.restart {
            Restart::Always => RestartRule::Always,
            Restart::OnFailure => RestartRule::OnFailure,
            Restart::Never => RestartRule::Never,
        },
        ..start
    }
}

/// The way out, as the app finds it; the port is that of containers.
fn proxy() -> AppProxy {
    let variables = proxy_variables(PROXY_PORT).map(|(name, value)| (name.to_owned(), value));
    AppProxy { port: PROXY_PORT, environment: variables.into() }
}

/// What runs the app of a bundle, in a word.
pub(crate) fn executor(bundle: &Bundle) -> &'static str {
    match bundle.manifest().kind {
        Kind::Process => "process",
        Kind::Container => "container",
    }
}

fn tell(
    (event, place): (&str, &Path),
    (image, executor): (&Image, &str),
    shape: VmShape,
    launch: &Launch,
    output: Output,
) {
    let sizes = [image.kernel.len(), image.initrd.len(), image.disk.len()];
    let shown = emulated(launch);
    let backends =
        shown.iter().map(|(machine, measurement)| backend(executor, machine, measurement)).collect::<Vec<_>>();
    output.object(&json!({
        "event": event,
        "image": place,
        "digest": image.digest(),
        "app": image.app,
        "root": image.root.hash,
        "command_line": image.line.as_str(),
        "kernel_bytes": sizes[0],
        "initrd_bytes": sizes[1],
        "disk_bytes": sizes[2],
        "cpus": shape.cpus(),
        "memory_mib": shape.memory_mib(),
        "backends": backends,
    }));
    output.text(&format!(
        "{event}  {}\n  digest  {}\n  app     sha256:{}\n  root    {}\n  kernel  {} bytes\n  initrd  {} bytes\n  disk    {} \
         bytes\n  line    {}",
        place.display(),
        image.digest(),
        image.app,
        image.root.hash,
        sizes[0],
        sizes[1],
        sizes[2],
        image.line.as_str(),
    ));
    for (machine, measurement) in &shown {
        output.text(&format!("\n  qemu, {executor}, {machine}, {} CPUs, {} MiB", shape.cpus(), shape.memory_mib()));
        tell_registers(&registers(measurement), output);
    }
    output.text(&format!("\nnext: freehold image measure {} --tdx-firmware OVMF.fd", place.display()));
}

/// One line of `backends`: what a VM shows, by launcher, executor and machine.
fn backend(executor: &str, machine: &str, measurement: &Measurement) -> Value {
    json!({ "launcher": "qemu", "executor": executor, "machine": machine, "measurement": registers(measurement) })
}

fn tell_registers(registers: &Value, output: Output) {
    for (name, value) in registers.as_object().into_iter().flatten() {
        output.text(&format!("    {name:<12} {}", value.as_str().unwrap_or("not told here")));
    }
}

fn measure(args: &ImageMeasureArgs, output: Output) -> Result<ExitCode> {
    let image = Image::open(&args.image)?;
    let shape = VmShape::new(args.shape.cpus, args.shape.memory_mib)?;
    let rows = match (&args.tdx_firmware, &args.snp_firmware) {
        (Some(path), _) => tdx(args, &image, shape, &firmware(path)?)?,
        (None, Some(path)) => vec![snp(args, &image, shape, &firmware(path)?)?],
        (None, None) => bail!("name a firmware: --tdx-firmware or --snp-firmware"),
    };
    for (machine, measurement) in rows {
        let registers = registers(&measurement);
        output.object(&json!({
            "event": "measured",
            "machine": machine,
            "cpus": args.shape.cpus,
            "memory_mib": args.shape.memory_mib,
            "measurement": registers,
            "run_on_hardware": false,
        }));
        output.text(&format!("{machine}, {} CPUs, {} MiB", shape.cpus(), shape.memory_mib()));
        tell_registers(&registers, output);
    }
    output.note("computed, not compared with a VM of this image on hardware (docs/vm.md)");
    Ok(ExitCode::SUCCESS)
}

fn firmware(path: &Path) -> Result<Vec<u8>> {
    fs::read(path).with_context(|| format!("cannot read the firmware {}", path.display()))
}

/// Both orders of pages: which one a host has depends on its QEMU.
fn tdx(
    args: &ImageMeasureArgs,
    image: &Image,
    shape: VmShape,
    bytes: &[u8],
) -> Result<Vec<(&'static str, Measurement)>> {
    let firmware = Firmware::parse(bytes)?;
    let boot = TdxBoot { firmware: &firmware, kernel: &image.kernel, initrd: &image.initrd, line: &image.line };
    let acpi = match args.acpi.as_deref() {
        Some([loader, rsdp, tables]) => Some(AcpiTables { loader: *loader, rsdp: *rsdp, tables: *tables }),
        _ => None,
    };
    let orders =
        [("qemu-tdx, QEMU 9 and later", PageOrder::PageByPage), ("qemu-tdx, QEMU 8", PageOrder::AddThenMeasure)];
    let measured = |(name, order)| {
        let machine = TdxMachine { shape, order, separator: Separator::InRtmr1, acpi, boot_entry: OVMF_BOOT_ENTRY };
        Ok((name, boot.measurement(&machine)?.into()))
    };
    orders.into_iter().map(measured).collect()
}

fn snp(args: &ImageMeasureArgs, image: &Image, shape: VmShape, bytes: &[u8]) -> Result<(&'static str, Measurement)> {
    let cpu = args.cpu.model();
    let hashes = KernelHashes::of(&image.kernel, &image.initrd, &image.line);
    let launch = SnpLaunch { shape, cpu, features: args.snp_features, hashes: Some(hashes) };
    let measurement = launch.measurement(&Firmware::parse(bytes)?, image.app)?;
    Ok(("qemu-snp", measurement.into()))
}
