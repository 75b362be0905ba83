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

    /// The command line of an image: the root of its file system, the digest of the bundle in it, and the root of its models' disk
    /// where there is one (`spec/vm-image.md` §4).
    ///
    /// # Errors
    /// [`MeasureFault::CommandLine`]; not for any image of this program.
    pub fn of_image(root: &VerityRoot, app: &Digest, models: Option<&VerityRoot>) -> Result<Self, MeasureFault> {
        let models = models.map_or_else(String::new, |VerityRoot { hash, data_blocks }| {
            format!(" freehold.models={hash} freehold.modelblocks={data_blocks}")
        });
        let VerityRoot { hash, data_blocks } = root;
        Self::new(format!("{BASE} freehold.root={hash} freehold.blocks={data_blocks} freehold.app={app}{models}"))
    }

    /// Root of the disk and digest of the bundle, as the command line of an image names them; `None` where it names none.
    pub fn image(&self) -> Option<(VerityRoot, Digest)> {
        let root = VerityRoot { hash: self.digest("freehold.root")?, data_blocks: self.number("freehold.blocks")? };
        Some((root, self.digest("freehold.app")?))
    }

    /// Root of the models' disk, where there is one.
    pub fn models(&self) -> Option<VerityRoot> {
        let (hash, data_blocks) = (self.digest("freehold.models")?, self.number("freehold.modelblocks")?);
        Some(VerityRoot { hash, data_blocks })
    }

    fn value(&self, name: &str) -> Option<&str> {
        self.0.split(' ').find_map(|word| word.strip_prefix(name)?.strip_prefix('='))
    }

    fn digest(&self, name: &str) -> Option<Digest> {
        Some(Digest(hex::decode(self.value(name)?).ok()?.try_into().ok()?))
    }

    fn number(&self, name: &str) -> Option<u64> {
        self.value(name)?.parse().ok()
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
