//! What Freehold adds to the manifest, all of it below the key `freehold` (`spec/manifest.md` §3).
//!
//! Everything is optional but the program of an app of kind `raw`, and what is absent is the careful choice: no egress,
//! no GPU, logs for the owner alone.

use std::collections::{BTreeMap, BTreeSet};

use freehold_primitives::Digest;

use super::{
    deployment::is_variable,
    egress::{Egress, EgressTarget},
    ingress::{self, Ingress},
    relative,
};
use crate::{
    error::{Fault, ManifestError},
    section::Item,
};

/// Most entries of a list or map.
const ENTRIES_MAX: usize = 256;
/// Longest argument or value of a variable, in bytes.
const TEXT_BYTES_MAX: usize = 32 * 1024;
/// Longest notice of an upgrade: a year, in seconds.
const NOTICE_S_MAX: u64 = 366 * 86_400;
/// Longest name of a model file, in characters.
const MODEL_NAME_MAX: usize = 128;
/// Variables with this prefix are the host's to set.
const OWN_PREFIX: &str = "FREEHOLD_";

/// What only Freehold knows of an app.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Additions {
    /// The program, for apps of kind `raw`.
    pub process: Option<ProcessSpec>,
    /// GPUs that it needs.
    pub gpu: Option<GpuWish>,
    /// Model files that it loads.
    pub models: Vec<ModelFile>,
    /// Whom it may reach.
    pub egress: Egress,
    /// How it is reached over TLS.
    pub ingress: Ingress,
    /// Scopes of the keys that it may ask for; all where empty.
    pub scopes: Vec<KeyScope>,
    /// Who may read its logs.
    pub logs: LogVisibility,
    /// How long before it counts an upgrade is announced, in seconds.
    pub upgrade_notice_s: u64,
}

/// A program.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProcessSpec {
    /// Folder below the manifest's, bundled whole; it is the program's working folder.
    pub files: String,
    /// Program and arguments; a program with `/` stands among the files, one without is the system's.
    pub command: Vec<String>,
    /// Environment, measured with the bundle.
    pub environment: BTreeMap<String, String>,
    /// Whether it is started again when it ends.
    pub restart: Restart,
    /// What it may use.
    pub limits: Limits,
}

/// Whether a program is started again when it ends.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Restart {
    /// Always.
    #[default]
    Always,
    /// Unless it ended with status 0.
    OnFailure,
    /// Never.
    Never,
}

/// What a program may use; `None` is without a bound of its own.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Limits {
    /// Address space of each process, MiB.
    pub memory_mib: Option<u64>,
    /// Open files of each process.
    pub open_files: Option<u64>,
    /// Processes of its user.
    pub processes: Option<u64>,
    /// Largest file that it may write, MiB.
    pub file_mib: Option<u64>,
}

/// A model of GPU that attestation knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GpuModel {
    /// NVIDIA H100.
    H100,
    /// NVIDIA H200.
    H200,
    /// NVIDIA B200.
    B200,
}

/// GPUs that an app needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GpuWish {
    /// How many.
    pub count: u64,
    /// Any of these models; every known one where empty.
    pub models: Vec<GpuModel>,
}

/// A model file, by its digest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ModelFile {
    /// Its name.
    pub name: String,
    /// SHA-256 of the file.
    pub sha256: Digest,
}

/// Scope of a key that an app asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyScope {
    /// One for all instances.
    App,
    /// One for each instance.
    Instance,
    /// One for each provider.
    Provider,
    /// One for each container.
    Container,
}

/// Who may read an app's logs.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum LogVisibility {
    /// Its owner.
    #[default]
    Owner,
    /// Everybody.
    Public,
}

pub(super) fn read(item: &Item<'_>) -> Result<Additions, ManifestError> {
    let mut section = item.section()?;
    let mut additions = Additions::default();
    if let Some(item) = section.get("process") {
        additions.process = Some(process(&item)?);
    }
    if let Some(item) = section.get("gpu") {
        additions.gpu = Some(gpu(&item)?);
    }
    if let Some(item) = section.get("models") {
        additions.models = bounded(&item)?.iter().map(model).collect::<Result<_, _>>()?;
        let names: BTreeSet<&str> = additions.models.iter().map(|model| model.name.as_str()).collect();
        if names.len() != additions.models.len() {
            return Err(item.form("each name once"));
        }
    }
    if let Some(item) = section.get("egress") {
        additions.egress = egress(&item)?;
    }
    if let Some(item) = section.get("ingress") {
        additions.ingress = ingress::read(&item)?;
    }
    if let Some(item) = section.get("scopes") {
        let words = [
            ("app", KeyScope::App),
            ("instance", KeyScope::Instance),
            ("provider", KeyScope::Provider),
            ("container", KeyScope::Container),
        ];
        let scope = |item: &Item<'_>| item.word(&words, "app, instance, provider or container");
        additions.scopes = bounded(&item)?.iter().map(scope).collect::<Result<_, _>>()?;
    }
    if let Some(item) = section.get("logs") {
        let words = [("owner", LogVisibility::Owner), ("public", LogVisibility::Public)];
        additions.logs = item.word(&words, "owner or public")?;
    }
    if let Some(item) = section.get("upgrade_notice_s") {
        additions.upgrade_notice_s = item.number(0, NOTICE_S_MAX)?;
    }
    section.end()?;
    Ok(additions)
}

fn bounded<'a>(item: &Item<'a>) -> Result<Vec<Item<'a>>, ManifestError> {
    let items = item.list()?;
    if items.len() > ENTRIES_MAX { Err(item.refuse(Fault::TooMany(ENTRIES_MAX))) } else { Ok(items) }
}

fn process(item: &Item<'_>) -> Result<ProcessSpec, ManifestError> {
    let mut section = item.section()?;
    let files = relative(&section.need("files")?)?;
    let command_item = section.need("command")?;
    let command: Vec<String> = bounded(&command_item)?.iter().map(argument).collect::<Result<_, _>>()?;
    let program = command.first().ok_or_else(|| command_item.refuse(Fault::Missing))?;
    if program.contains('/') && !crate::paths::is_plain_relative(program.strip_prefix("./").unwrap_or(program)) {
        return Err(
            command_item.form("a program among the files, such as ./server, or a system program such as python3")
        );
    }
    let environment = match section.get("environment") {
        None => BTreeMap::new(),
        Some(item) => environment(&item)?,
    };
    let words = [("always", Restart::Always), ("on-failure", Restart::OnFailure), ("never", Restart::Never)];
    let restart = match section.get("restart") {
        None => Restart::default(),
        Some(item) => item.word(&words, "always, on-failure or never")?,
    };
    let limits = match section.get("limits") {
        None => Limits::default(),
        Some(item) => limits(&item)?,
    };
    section.end()?;
    Ok(ProcessSpec { files, command, environment, restart, limits })
}

fn argument(item: &Item<'_>) -> Result<String, ManifestError> {
    let text = match item.node.is_null() {
        true => String::new(),
        false => item.text()?,
    };
    if text.len() > TEXT_BYTES_MAX || text.contains('\0') {
        return Err(item.form("a text of up to 32 KiB without NUL"));
    }
    Ok(text)
}

fn environment(item: &Item<'_>) -> Result<BTreeMap<String, String>, ManifestError> {
    let entries = item.entries()?;
    if entries.len() > ENTRIES_MAX {
        return Err(item.refuse(Fault::TooMany(ENTRIES_MAX)));
    }
    let mut variables = BTreeMap::new();
    for (name, value) in entries {
        if !is_variable(&name) || name.starts_with(OWN_PREFIX) {
            return Err(value.form("of a variable: letters, digits and `_`, and not FREEHOLD_…, which the host sets"));
        }
        variables.insert(name, argument(&value)?);
    }
    Ok(variables)
}

fn limits(item: &Item<'_>) -> Result<Limits, ManifestError> {
    let mut section = item.section()?;
    let mut number = |key, min, max| section.get(key).map(|item| item.number(min, max)).transpose();
    let limits = Limits {
        memory_mib: number("memory_mib", 16, 16 * 1024 * 1024)?,
        open_files: number("open_files", 16, 1024 * 1024)?,
        processes: number("processes", 1, 1024 * 1024)?,
        file_mib: number("file_mib", 1, 16 * 1024 * 1024)?,
    };
    section.end()?;
    Ok(limits)
}

fn gpu(item: &Item<'_>) -> Result<GpuWish, ManifestError> {
    let mut section = item.section()?;
    let count = section.need("count")?.number(1, 8)?;
    let words = [("h100", GpuModel::H100), ("h200", GpuModel::H200), ("b200", GpuModel::B200)];
    let models = match section.get("models") {
        None => Vec::new(),
        Some(item) => {
            bounded(&item)?.iter().map(|item| item.word(&words, "h100, h200 or b200")).collect::<Result<_, _>>()?
        }
    };
    section.end()?;
    Ok(GpuWish { count, models })
}

fn model(item: &Item<'_>) -> Result<ModelFile, ManifestError> {
    let mut section = item.section()?;
    let named = section.need("name")?;
    let name = named.text()?;
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
    if !(1..=MODEL_NAME_MAX).contains(&name.len()) || name.starts_with('.') || !name.bytes().all(is_plain) {
        return Err(named.form("the name of a file: 1 to 128 of `A-Z a-z 0-9 . _ -`, no `.` in front"));
    }
    let digest = section.need("sha256")?;
    let sha256 =
        crate::digests::parse(&digest.text()?).ok_or_else(|| digest.form("a SHA-256, 64 lower-case hex digits"))?;
    section.end()?;
    Ok(ModelFile { name, sha256 })
}

fn egress(item: &Item<'_>) -> Result<Egress, ManifestError> {
    if !item.is_list() {
        return match item.text()?.as_str() {
            "deny" => Ok(Egress::Deny),
            "open" => Ok(Egress::Open),
            _ => Err(item.form("deny, open, or a list of HOST:PORT")),
        };
    }
    let target = |item: &Item<'_>| {
        let text = item.text()?;
        EgressTarget::parse(&text).ok_or_else(|| {
            item.form("HOST:PORT, such as api.example.org:443, *.example.org:443, 10.0.0.7:443 or [::1]:443")
        })
    };
    Ok(Egress::Allow(bounded(item)?.iter().map(target).collect::<Result<_, _>>()?))
}
