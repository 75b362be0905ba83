//! Which packages an image's own lists name: Debian's and its kin's `dpkg`, Alpine's `apk`, and Python's installed distributions.
//!
//! The lists are read as an enemy's: bounded, and a layer that cannot be read makes the packages unknown, not the build fail; whoever
//! unpacks the image judges that. Lists of lower layers count as far as no layer above hides or replaces them.

use std::{collections::BTreeMap, io::Read, path::Path};

use super::super::{
    archive::{Member, MemberKind, members},
    error::BundleError,
    image::Image,
    unpack::unpacked,
};

/// Largest list, and bytes of all lists of an image.
const LIST_BYTES_MAX: u64 = 16 * 1024 * 1024;
const LISTS_BYTES_MAX: u64 = 64 * 1024 * 1024;
/// Most bytes of all layers of an image, unpacked.
const UNPACKED_BYTES_MAX: u64 = 8 * 1024 * 1024 * 1024;
/// Longest name or version, in characters.
const TEXT_MAX: usize = 256;

/// Where lists are.
const DPKG: &str = "var/lib/dpkg/status";
const DPKG_PARTS: &str = "var/lib/dpkg/status.d/";
const APK: &str = "lib/apk/db/installed";
const RELEASES: [&str; 2] = ["usr/lib/os-release", "etc/os-release"];
const PYTHON: &str = ".dist-info/METADATA";

/// Who keeps a list.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Keeper {
    Deb,
    Apk,
    Python,
}

/// A package, as a list names it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Package {
    keeper: Keeper,
    pub(super) name: String,
    pub(super) version: String,
    architecture: Option<String>,
    /// The distribution, as the image calls it.
    distribution: String,
}

/// What is known of an image's packages.
pub(super) enum Packages {
    /// These, sorted, each once.
    Known(Vec<Package>),
    /// Nothing, and why.
    Unknown(&'static str),
}

impl Packages {
    /// The packages that still fit, and what is to be said of them.
    pub(super) fn told(self, left: &mut usize) -> (Vec<Package>, Option<&'static str>) {
        match self {
            Self::Unknown(why) => (Vec::new(), Some(why)),
            Self::Known(packages) if packages.is_empty() => (packages, Some("the image has no list of packages")),
            Self::Known(mut packages) => {
                let is_cut = packages.len() > *left;
                packages.truncate(*left);
                *left -= packages.len();
                (packages, is_cut.then_some("there are more packages than a bill holds"))
            }
        }
    }
}

impl Package {
    /// Its package URL (ECMA-427).
    pub(super) fn locator(&self) -> String {
        let (name, version) = (encoded(&self.name), encoded(&self.version));
        let architecture =
            self.architecture.as_deref().map_or_else(String::new, |name| format!("?arch={}", encoded(name)));
        match self.keeper {
            Keeper::Deb => format!("pkg:deb/{}/{name}@{version}{architecture}", encoded(&self.distribution)),
            Keeper::Apk => format!("pkg:apk/{}/{name}@{version}{architecture}", encoded(&self.distribution)),
            Keeper::Python => format!("pkg:pypi/{}@{version}", encoded(&self.name.to_lowercase().replace('_', "-"))),
        }
    }
}

fn encoded(text: &str) -> String {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_' | b'~');
    let letter = |byte: u8| if is_plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") };
    text.bytes().map(letter).collect()
}

/// Reads the lists of an image.
pub(super) fn of_image(layout: &Path, image: &Image) -> Result<Packages, BundleError> {
    let mut lists = BTreeMap::new();
    let (mut left, mut unpacked_left) = (LISTS_BYTES_MAX, UNPACKED_BYTES_MAX);
    for layer in &image.layers {
        let mut archive = unpacked(layout, layer)?.take(unpacked_left);
        let mut fresh = BTreeMap::new();
        let read = members(&layer.digest.to_string(), &mut archive, |member, content| {
            take(member, content, &mut lists, &mut fresh, &mut left)
        });
        unpacked_left = archive.limit();
        match read {
            Ok(()) => lists.append(&mut fresh),
            Err(BundleError::TooLarge { .. }) => return Ok(Packages::Unknown("its lists of packages are too large")),
            Err(_) => return Ok(Packages::Unknown("a layer of the image cannot be read")),
        }
    }
    Ok(Packages::Known(read(&lists)))
}

/// Keeps a list, or drops what a layer hides of those below it.
fn take(
    member: &Member,
    content: &mut dyn Read,
    below: &mut BTreeMap<String, String>,
    fresh: &mut BTreeMap<String, String>,
    left: &mut u64,
) -> Result<(), BundleError> {
    let path = member.path();
    let (folder, name) = path.rsplit_once('/').unwrap_or(("", &path));
    if name == ".wh..wh..opq" {
        below.retain(|list, _| !list.starts_with(&format!("{folder}/")));
    } else if let Some(hidden) = name.strip_prefix(".wh.") {
        let hidden = if folder.is_empty() { hidden.to_owned() } else { format!("{folder}/{hidden}") };
        below.retain(|list, _| *list != hidden && !list.starts_with(&format!("{hidden}/")));
    }
    let is_list = [DPKG, APK].contains(&path.as_str()) || RELEASES.contains(&path.as_str());
    let is_list = is_list || (path.starts_with(DPKG_PARTS) && !name.ends_with(".md5sums")) || path.ends_with(PYTHON);
    if !is_list {
        return Ok(());
    }
    below.remove(&path);
    if member.kind != MemberKind::File {
        return Ok(());
    }
    let mut bytes = Vec::new();
    let bound = LIST_BYTES_MAX.min(*left);
    let failed = |source| BundleError::System { path: path.clone().into(), source };
    content.take(bound + 1).read_to_end(&mut bytes).map_err(failed)?;
    let length = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
    *left = left.checked_sub(length).ok_or(BundleError::TooLarge { what: path.clone(), bytes: length, bound })?;
    fresh.insert(path, String::from_utf8_lossy(&bytes).into_owned());
    Ok(())
}

/// Reads all lists, by their paths.
pub(super) fn read(lists: &BTreeMap<String, String>) -> Vec<Package> {
    let release = RELEASES.iter().rev().find_map(|path| lists.get(*path));
    let id = release.and_then(|text| text.lines().find_map(|line| line.strip_prefix("ID=")));
    let id = id.map(|id| id.trim_matches('"').to_lowercase()).filter(|id| !id.is_empty() && id.len() <= 64);
    let mut found = Vec::new();
    for (path, text) in lists {
        let (keeper, names, other) = if path == DPKG || path.starts_with(DPKG_PARTS) {
            (Keeper::Deb, ["Package: ", "Version: ", "Architecture: "], "debian")
        } else if path == APK {
            (Keeper::Apk, ["P:", "V:", "A:"], "alpine")
        } else if path.ends_with(PYTHON) {
            (Keeper::Python, ["Name: ", "Version: ", "\0"], "")
        } else {
            continue;
        };
        // A distribution's description follows its head.
        let stanzas = text.split("\n\n").take(if keeper == Keeper::Python { 1 } else { usize::MAX });
        for stanza in stanzas.filter(|stanza| is_installed(stanza)) {
            let [name, version, architecture] = names.map(|name| field(stanza, name));
            if let (Some(name), Some(version)) = (name, version) {
                let distribution = id.clone().unwrap_or_else(|| other.to_owned());
                found.push(Package { keeper, name, version, architecture, distribution });
            }
        }
    }
    found.sort();
    found.dedup();
    found
}

/// `dpkg` keeps a stanza of what was removed too.
fn is_installed(stanza: &str) -> bool {
    let status = stanza.lines().find_map(|line| line.strip_prefix("Status: "));
    status.is_none_or(|status| status.split(' ').next_back() == Some("installed"))
}

fn field(stanza: &str, name: &str) -> Option<String> {
    let value = stanza.lines().find_map(|line| line.strip_prefix(name))?;
    let plain: String = value.trim().chars().filter(|letter| !letter.is_control()).take(TEXT_MAX).collect();
    (!plain.is_empty()).then_some(plain)
}
