//! Cold start of an app in a VM of its own, by whatever runs VMs here: told, without an aim.

use std::path::Path;

use anyhow::{Context as _, Result};
use serde_json::json;

use super::{Bench, Samples};

/// Variable that names the kernel that VMs boot.
const KERNEL_VARIABLE: &str = "FREEHOLD_KERNEL_PACKAGE";

impl Bench {
    /// From the start of `app run` to a sent registration, with the building of the image; and the image's bytes.
    pub(super) fn vm(&self, app: &Path) -> Result<()> {
        let has_qemu = std::process::Command::new("qemu-system-x86_64").arg("--version").output().is_ok();
        if std::env::var_os(KERNEL_VARIABLE).is_none() || !has_qemu {
            self.output.warn(&format!("no VM is measured: that takes qemu-system-x86_64 and {KERNEL_VARIABLE}"));
            return Ok(());
        }
        let mut samples = Samples::default();
        let mut built = None;
        for _ in 0..self.count {
            let mut running = self.start(app, &["--launcher", "qemu"])?;
            let (_, image) = running.until("image")?;
            samples.push(running.until("registration")?.0);
            running.interrupt();
            built = Some(image);
        }
        let image = built.context("at least one VM is started")?;
        let by = if image["software"] == true { "vm, software emulation" } else { "vm, KVM" };
        self.tell(by, "cold start, process start → registration sent", &samples, None);
        let sizes = ["kernel_bytes", "initrd_bytes", "disk_bytes"].map(|name| image[name].as_u64().unwrap_or_default());
        let [kernel, initrd, disk] = sizes;
        self.output.text(&format!("vm: kernel {kernel} bytes, initramfs {initrd} bytes, disk {disk} bytes"));
        self.output.object(&json!({
            "event": "bench", "bench": "apps", "figure": "image", "kernel_bytes": kernel, "initrd_bytes": initrd,
            "disk_bytes": disk,
        }));
        Ok(())
    }
}
