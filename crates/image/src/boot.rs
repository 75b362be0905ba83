//! The kernel's command line: the one place where the image's root hash, and with it every byte of the app, is measured.

use freehold_primitives::Digest;

use crate::{error::MeasureFault, verity::VerityRoot};

/// Longest command line, in bytes, without the zero behind it (Linux, `COMMAND_LINE_SIZE`).
const BYTES_MAX: usize = 2047;
/// What every image starts with: no console input, fail-stop, nothing random left to the host.
const BASE: &str = "console=ttyS0 quiet panic=-1 oops=panic random.trust_cpu=on random.trust_bootloader=off \
                    module.sig_enforce=1 lockdown=confidentiality";

/// A command line, checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CommandLine(String);

impl CommandLine {
    /// A command line as it is given.
    ///
    /// # Errors
    /// [`MeasureFault::CommandLine`]: it is not one line of printable ASCII, or too long.
    pub fn new(text: impl Into<String>) -> Result<Self, MeasureFault> {
        let text = text.into();
        if text.len() > BYTES_MAX || !text.bytes().all(|byte| (0x20..0x7f).contains(&byte)) || text.trim() != text {
            return Err(MeasureFault::CommandLine);
        }
        Ok(Self(text))
    }

    /// The command line of an image: the root of its file system, and the digest of the bundle in it (`spec/vm-image.md` §4).
    ///
    /// # Errors
    /// [`MeasureFault::CommandLine`]; not for any image of this program.
    pub fn of_image(root: &VerityRoot, app: &Digest) -> Result<Self, MeasureFault> {
        Self::new(format!("{BASE} freehold.root={} freehold.blocks={} freehold.app={app}", root.hash, root.data_blocks))
    }

    /// Root of the disk and digest of the bundle, as the command line of an image names them; `None` where it names none.
    pub fn image(&self) -> Option<(VerityRoot, Digest)> {
        let value = |name: &str| self.0.split(' ').find_map(|word| word.strip_prefix(name)?.strip_prefix('='));
        let digest = |name| Some(Digest(hex::decode(value(name)?).ok()?.try_into().ok()?));
        let data_blocks = value("freehold.blocks")?.parse().ok()?;
        Some((VerityRoot { hash: digest("freehold.root")?, data_blocks }, digest("freehold.app")?))
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// As UEFI has it: UTF-16, little-endian, with its zero.
    pub(crate) fn utf16(&self, suffix: &str) -> Vec<u8> {
        self.0.encode_utf16().chain(suffix.encode_utf16()).chain([0]).flat_map(u16::to_le_bytes).collect()
    }
}
