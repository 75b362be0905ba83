//! `host check`: what this machine has for the VMs of apps (`docs/vm.md`).

use std::{
    path::{Path, PathBuf},
    process::ExitCode,
};

use anyhow::Result;
use freehold_host::{Check, CheckState, Preflight, QemuSays, VmWay, boot_folder, is_ready};
use serde_json::{Map, json};

use super::HostFile;
use crate::{
    args::{AccelArg, HostCheckArgs, ImagePartArgs},
    commands::image::{kernel_package, own_programs},
    output::Output,
};

/// What is asked for.
struct Asked {
    parts: ImagePartArgs,
    accel: AccelArg,
    firmware: Option<PathBuf>,
}

/// Runs the command.
pub(in crate::commands) fn run(args: HostCheckArgs, output: Output) -> Result<ExitCode> {
    let asked = match &args.config {
        Some(path) => {
            let vm = HostFile::read(path)?.vm;
            Asked { parts: vm.parts(), accel: vm.accel(), firmware: vm.firmware() }
        }
        None => Asked {
            parts: ImagePartArgs { kernel: args.kernel, ..ImagePartArgs::default() },
            accel: args.accel.unwrap_or(AccelArg::Auto),
            firmware: args.firmware,
        },
    };
    let fresh = tempfile::tempdir()?;
    let boot = boot(&asked.parts, fresh.path(), output);
    let preflight = Preflight { root: "/".into(), boot, firmware: asked.firmware.clone(), qemu: QemuSays::ask() };
    let checks = preflight.run();
    checks.iter().for_each(|check| tell(check, output));
    let ready: Map<String, _> =
        VmWay::ALL.into_iter().map(|way| (way.as_str().to_owned(), is_ready(&checks, way).into())).collect();
    let wanted = match asked.accel {
        // Software is what is left where nothing else works.
        AccelArg::Auto | AccelArg::Tcg => VmWay::Tcg,
        AccelArg::Kvm => VmWay::Kvm,
        AccelArg::Tdx => VmWay::Tdx,
        AccelArg::Snp => VmWay::Snp,
    };
    let is_good = is_ready(&checks, wanted);
    output.object(&json!({ "event": "checked", "ready": ready, "asked": wanted.as_str(), "is_ready": is_good }));
    let words: Vec<&str> = VmWay::ALL.into_iter().filter(|way| is_ready(&checks, *way)).map(VmWay::as_str).collect();
    output.text(&format!(
        "\nnothing is missing for  {}",
        if words.is_empty() { "none".to_owned() } else { words.join(", ") }
    ));
    output.note(
        "no machine with a TEE has run this release: what stands here for tdx and snp is read, not proven (docs/vm.md)",
    );
    Ok(if is_good { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// The folder to boot guests by, where kernel and PID 1 are there.
fn boot(parts: &ImagePartArgs, folder: &Path, output: Output) -> Option<PathBuf> {
    let made = || {
        let programs = own_programs(parts)?;
        Ok::<_, anyhow::Error>(boot_folder(&kernel_package(parts)?, &programs[0].file, folder)?)
    };
    match made() {
        Ok(()) => Some(folder.to_owned()),
        Err(error) => {
            output.warn(&format!("no guest is booted: {error:#}"));
            None
        }
    }
}

fn tell(check: &Check, output: Output) {
    let needed_by: Vec<&str> = check.needed_by.iter().map(|way| way.as_str()).collect();
    let remedy = (check.state != CheckState::Good).then_some(check.remedy);
    output.object(&json!({
        "event": "check", "name": check.name, "state": check.state.as_str(), "needed_by": needed_by, "found": check.found,
        "remedy": remedy,
    }));
    output.text(&format!(
        "{:<8} {:<14} {} (for {})",
        check.state.as_str(),
        check.name,
        check.found,
        needed_by.join(", ")
    ));
    if let Some(remedy) = remedy {
        output.text(&format!("{:23} {remedy}", ""));
    }
}
