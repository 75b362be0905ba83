//! Why a manifest or compose file is refused: which file, which line, which key, and what to do.

use thiserror::Error;

/// A fault of a manifest or compose file, and where it stands.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{file}:{line}: {place}{fault}", place = place(.key))]
pub struct ManifestError {
    /// The file's name.
    pub file: &'static str,
    /// Line, from 1.
    pub line: u32,
    /// The key's path, such as `services.web.image`; empty for the file as a whole.
    pub key: String,
    /// What is wrong.
    pub fault: Fault,
}

impl ManifestError {
    /// Stable code of the fault (`spec/manifest.md` §5).
    pub const fn code(&self) -> u16 {
        self.fault.code()
    }
}

fn place(key: &str) -> String {
    if key.is_empty() { String::new() } else { format!("`{key}`: ") }
}

/// What is wrong with a manifest or compose file.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum Fault {
    /// Longer than the bound.
    #[error("{bytes} bytes, the bound is {bound}: make it smaller")]
    TooLarge {
        /// Its length.
        bytes: u64,
        /// The bound.
        bound: u64,
    },
    /// No UTF-8.
    #[error("not UTF-8: save it as UTF-8")]
    Encoding,
    /// No YAML.
    #[error("not YAML: {0}")]
    Syntax(String),
    /// An anchor, alias or merge key.
    #[error("anchors, aliases and merge keys are refused: write the value out where it is used")]
    Anchor,
    /// A tag.
    #[error("tags are refused: remove it")]
    Tag,
    /// Nested too deep.
    #[error("nested deeper than {0}: make it flatter")]
    Depth(usize),
    /// Too many values.
    #[error("more than {0} values: make it smaller")]
    TooMany(usize),
    /// One key twice in one map.
    #[error("this key stands twice: keep one")]
    Duplicate,
    /// Not exactly one document.
    #[error("a file holds one YAML document: remove the others")]
    Documents,
    /// A key that is no plain word.
    #[error("keys are words or numbers")]
    Key,
    /// A needed key is not there.
    #[error("missing: add it")]
    Missing,
    /// A key that nothing reads.
    #[error("unknown key; here may stand: {0}")]
    Unknown(String),
    /// A value of another type.
    #[error("{0} is wanted here")]
    Type(&'static str),
    /// A number outside of its range.
    #[error("must lie between {min} and {max}")]
    Range {
        /// Least value.
        min: u64,
        /// Largest value.
        max: u64,
    },
    /// A text of another form.
    #[error("{found:?} is not {wanted}")]
    Form {
        /// What stands there, cut to a line.
        found: String,
        /// What should.
        wanted: &'static str,
    },
    /// Known, and not supported.
    #[error("not supported: {0}")]
    Unsupported(&'static str),
    /// An image without a digest.
    #[error("{0:?} names no digest: write the image as NAME@sha256:… (a tag can be moved to another image)")]
    Unpinned(String),
    /// A reference to something that is not defined.
    #[error("{0:?} is not defined in this file")]
    Undefined(String),
    /// Services that wait for one another.
    #[error("waits, through other services, for itself")]
    Cycle,
}

impl Fault {
    const fn code(&self) -> u16 {
        match self {
            Self::TooLarge { .. } => 1,
            Self::Encoding => 2,
            Self::Syntax(_) => 3,
            Self::Anchor => 4,
            Self::Tag => 5,
            Self::Depth(_) => 6,
            Self::TooMany(_) => 7,
            Self::Duplicate => 8,
            Self::Documents => 9,
            Self::Key => 10,
            Self::Missing => 11,
            Self::Unknown(_) => 12,
            Self::Type(_) => 13,
            Self::Range { .. } => 14,
            Self::Form { .. } => 15,
            Self::Unsupported(_) => 16,
            Self::Unpinned(_) => 17,
            Self::Undefined(_) => 18,
            Self::Cycle => 19,
        }
    }
}
