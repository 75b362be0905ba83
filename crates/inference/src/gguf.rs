//! GGUF model files: the checked description of a model, read from the file's header.
//!
//! A file is read whole, hashed, and then parsed from memory, so that the digest in a receipt is the digest of the very
//! bytes that were loaded. Everything that this engine cannot run exactly is refused by name, with what it can run.

use std::{
    fs::File,
    io::{Cursor, Read},
    panic::{AssertUnwindSafe, catch_unwind},
    path::{Path, PathBuf},
};

use candle_core::quantized::{
    GgmlDType,
    gguf_file::{Content, Value},
};
use freehold_primitives::Digest;
use thiserror::Error;

use crate::digest::sha256;

/// Largest model file that is read, in bytes.
pub const MODEL_BYTES_MAX: u64 = 32 << 30;
/// Most layers of a model.
const LAYERS_MAX: usize = 256;
/// Largest width of a model, of its feed-forward layer and of its vocabulary.
const WIDTH_MAX: usize = 1 << 20;

/// Why a model file cannot be used.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum GgufError {
    /// The file cannot be read.
    #[error("cannot read the model file {path}: {source}")]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The file is larger than [`MODEL_BYTES_MAX`].
    #[error("the model file has {bytes} bytes; at most {MODEL_BYTES_MAX} are read")]
    TooLarge {
        /// Its size.
        bytes: u64,
    },
    /// The bytes are no GGUF file, or a truncated one.
    #[error("not a usable GGUF file: {reason}; download the model again or choose another file")]
    Malformed {
        /// What the reader found.
        reason: String,
    },
    /// A key that the architecture needs is missing or of the wrong type.
    #[error("the GGUF file lacks a usable `{key}`")]
    Key {
        /// The key.
        key: String,
    },
    /// The architecture is not one that the engine runs.
    #[error("architecture `{name}` is not supported; supported are: llama, qwen2")]
    Architecture {
        /// The file's architecture.
        name: String,
    },
    /// A quantisation that the engine does not run.
    #[error(
        "tensor `{tensor}` has quantisation {dtype}, which is not supported; supported are: Q4_K, Q6_K, Q8_0, Q4_0, F16, F32 \
         (Q4_1, Q5_0 and Q5_1 are converted to Q8_0 on import)"
    )]
    Quantisation {
        /// The tensor.
        tensor: String,
        /// Its type.
        dtype: String,
    },
    /// A feature of the architecture that the engine does not have.
    #[error("the model needs {feature}, which is not supported")]
    Feature {
        /// The feature.
        feature: String,
    },
    /// A tensor is missing or has another shape than the header says.
    #[error("tensor `{tensor}` is missing or has the wrong shape")]
    Tensor {
        /// The tensor.
        tensor: String,
    },
    /// The quantised kernels refused the data.
    #[error("the engine refused the model's data")]
    Engine(#[from] candle_core::Error),
}

/// Architectures that the engine runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Architecture {
    /// Llama: interleaved rotary embedding, no biases.
    Llama,
    /// Qwen2: rotary embedding over halves, biases on query, key and value.
    Qwen2,
}

impl Architecture {
    /// The name in `general.architecture`, which prefixes the architecture's keys.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Llama => "llama",
            Self::Qwen2 => "qwen2",
        }
    }
}

/// Sizes of a model, checked against bounds.
#[derive(Debug, Clone, PartialEq)]
pub struct Dimensions {
    /// Architecture.
    pub architecture: Architecture,
    /// Layers.
    pub layers: usize,
    /// Width of the residual stream.
    pub width: usize,
    /// Width of the feed-forward layer.
    pub feed_forward: usize,
    /// Query heads.
    pub heads: usize,
    /// Key and value heads.
    pub kv_heads: usize,
    /// Width of a head.
    pub head_width: usize,
    /// Leading values of a head that rotate.
    pub rope_width: usize,
    /// Base of the rotary embedding.
    pub rope_base: f32,
    /// Epsilon of the root-mean-square norms.
    pub epsilon: f32,
    /// Longest sequence that the model was made for, in tokens.
    pub context_max: usize,
    /// Entries of the vocabulary.
    pub vocabulary: usize,
}

/// A model file in memory: its bytes, their digest, its parsed header.
pub(crate) struct ModelBytes {
    pub(crate) bytes: Vec<u8>,
    pub(crate) sha256: Digest,
    pub(crate) content: Content,
}

/// What the reader says, without the backtrace that it appends where one is asked for.
fn first_line(error: &candle_core::Error) -> String {
    error.to_string().lines().next().unwrap_or_default().to_owned()
}

impl ModelBytes {
    /// Reads and parses a file.
    pub(crate) fn read(path: &Path) -> Result<Self, GgufError> {
        let fault = |source| GgufError::Read { path: path.to_owned(), source };
        let mut file = File::open(path).map_err(fault)?;
        let size = file.metadata().map_err(fault)?.len();
        if size > MODEL_BYTES_MAX {
            return Err(GgufError::TooLarge { bytes: size });
        }
        let mut bytes = Vec::with_capacity(usize::try_from(size).unwrap_or(0));
        file.by_ref().take(MODEL_BYTES_MAX).read_to_end(&mut bytes).map_err(fault)?;
        Self::parse(bytes)
    }

    /// Parses a file that is already in memory.
    pub(crate) fn parse(bytes: Vec<u8>) -> Result<Self, GgufError> {
        let sha256 = sha256(&bytes);
        // The reader divides by an alignment that the file chooses: a hostile file may make it panic.
        let parsed = catch_unwind(AssertUnwindSafe(|| Content::read(&mut Cursor::new(&bytes))));
        let content = match parsed {
            Ok(Ok(content)) => content,
            Ok(Err(error)) => return Err(GgufError::Malformed { reason: first_line(&error) }),
            Err(_) => return Err(GgufError::Malformed { reason: "impossible alignment".to_owned() }),
        };
        Ok(Self { bytes, sha256, content })
    }

    pub(crate) fn text(&self, key: &str) -> Option<&str> {
        match self.content.metadata.get(key) {
            Some(Value::String(text)) => Some(text),
            _ => None,
        }
    }

    pub(crate) fn integer(&self, key: &str) -> Option<u64> {
        match self.content.metadata.get(key)? {
            Value::U8(v) => Some(u64::from(*v)),
            Value::U16(v) => Some(u64::from(*v)),
            Value::U32(v) => Some(u64::from(*v)),
            Value::U64(v) => Some(*v),
            Value::I8(v) => u64::try_from(*v).ok(),
            Value::I16(v) => u64::try_from(*v).ok(),
            Value::I32(v) => u64::try_from(*v).ok(),
            Value::I64(v) => u64::try_from(*v).ok(),
            _ => None,
        }
    }

    pub(crate) fn boolean(&self, key: &str) -> Option<bool> {
        match self.content.metadata.get(key)? {
            Value::Bool(v) => Some(*v),
            _ => None,
        }
    }

    fn float(&self, key: &str) -> Option<f32> {
        match self.content.metadata.get(key)? {
            Value::F32(v) if v.is_finite() => Some(*v),
            _ => None,
        }
    }

    fn size(&self, key: &str, most: usize) -> Result<usize, GgufError> {
        self.integer(key)
            .and_then(|value| usize::try_from(value).ok())
            .filter(|value| (1..=most).contains(value))
            .ok_or_else(|| GgufError::Key { key: key.to_owned() })
    }

    /// The checked sizes; refuses architectures and features that the engine lacks.
    pub(crate) fn dimensions(&self) -> Result<Dimensions, GgufError> {
        let name = self.text("general.architecture").unwrap_or("unnamed");
        let architecture = match name {
            "llama" => Architecture::Llama,
            "qwen2" => Architecture::Qwen2,
            other => return Err(GgufError::Architecture { name: other.to_owned() }),
        };
        let key = |tail: &str| format!("{name}.{tail}");
        if self.integer(&key("expert_count")).unwrap_or(0) > 0 {
            return Err(GgufError::Feature { feature: "mixture of experts".to_owned() });
        }
        if let Some(kind) = self.text(&key("rope.scaling.type"))
            && kind != "none"
        {
            return Err(GgufError::Feature { feature: format!("rotary scaling `{kind}`") });
        }
        let width = self.size(&key("embedding_length"), WIDTH_MAX)?;
        let heads = self.size(&key("attention.head_count"), WIDTH_MAX)?;
        let kv_heads = match self.integer(&key("attention.head_count_kv")) {
            None => heads,
            Some(_) => self.size(&key("attention.head_count_kv"), heads)?,
        };
        let head_width = match self.integer(&key("attention.key_length")) {
            None => width / heads,
            Some(_) => self.size(&key("attention.key_length"), WIDTH_MAX)?,
        };
        let rope_width = match self.integer(&key("rope.dimension_count")) {
            None => head_width,
            Some(_) => self.size(&key("rope.dimension_count"), head_width)?,
        };
        if heads % kv_heads != 0 || head_width == 0 || rope_width % 2 != 0 {
            return Err(GgufError::Key { key: key("attention.head_count") });
        }
        let epsilon_key = key("attention.layer_norm_rms_epsilon");
        let dims = Dimensions {
            architecture,
            layers: self.size(&key("block_count"), LAYERS_MAX)?,
            width,
            feed_forward: self.size(&key("feed_forward_length"), WIDTH_MAX)?,
            heads,
            kv_heads,
            head_width,
            rope_width,
            rope_base: self.float(&key("rope.freq_base")).filter(|base| *base > 0.0).unwrap_or(10_000.0),
            epsilon: self
                .float(&epsilon_key)
                .filter(|epsilon| *epsilon > 0.0)
                .ok_or(GgufError::Key { key: epsilon_key })?,
            context_max: self.size(&key("context_length"), 1 << 24)?,
            vocabulary: self.vocabulary()?,
        };
        self.check_quantisations()?;
        Ok(dims)
    }

    fn vocabulary(&self) -> Result<usize, GgufError> {
        let tensor = self
            .content
            .tensor_infos
            .get("token_embd.weight")
            .ok_or_else(|| GgufError::Tensor { tensor: "token_embd.weight".to_owned() })?;
        match *tensor.shape.dims() {
            [rows, _] if (1..=WIDTH_MAX).contains(&rows) => Ok(rows),
            _ => Err(GgufError::Tensor { tensor: "token_embd.weight".to_owned() }),
        }
    }

    fn check_quantisations(&self) -> Result<(), GgufError> {
        let mut names: Vec<&String> = self.content.tensor_infos.keys().collect();
        names.sort_unstable();
        for name in names {
            let info = &self.content.tensor_infos[name];
            let dtype = info.ggml_dtype;
            let norm = info.shape.rank() == 1;
            // A product that overflows would let a small file claim a large tensor.
            let count = info.shape.dims().iter().try_fold(1_usize, |product, dim| product.checked_mul(*dim));
            if count.is_none_or(|count| count == 0 || count > self.bytes.len().saturating_mul(8)) {
                return Err(GgufError::Tensor { tensor: name.clone() });
            }
            let runs = matches!(
                dtype,
                GgmlDType::Q4K | GgmlDType::Q6K | GgmlDType::Q8_0 | GgmlDType::Q4_0 | GgmlDType::F16 | GgmlDType::F32
            ) || needs_conversion(dtype);
            if !runs || (norm && dtype != GgmlDType::F32 && dtype != GgmlDType::F16) {
                return Err(GgufError::Quantisation { tensor: name.clone(), dtype: dtype_name(dtype).to_owned() });
            }
        }
        Ok(())
    }

    /// The quantisation of most weights, as the receipt names it.
    pub(crate) fn quantisation(&self) -> String {
        let mut sizes: Vec<(GgmlDType, usize)> = Vec::new();
        for info in self.content.tensor_infos.values() {
            let count = info.shape.elem_count();
            match sizes.iter_mut().find(|(dtype, _)| *dtype == info.ggml_dtype) {
                Some((_, sum)) => *sum += count,
                None => sizes.push((info.ggml_dtype, count)),
            }
        }
        sizes.sort_by_key(|(dtype, sum)| (std::cmp::Reverse(*sum), dtype_name(*dtype)));
        sizes.first().map_or("none", |(dtype, _)| dtype_name(*dtype)).to_owned()
    }
}

/// Quantisations whose kernels are scalar in the engine: their tensors become Q8_0 on import.
pub(crate) const fn needs_conversion(dtype: GgmlDType) -> bool {
    matches!(dtype, GgmlDType::Q4_1 | GgmlDType::Q5_0 | GgmlDType::Q5_1)
}

/// The customary name of a quantisation.
pub(crate) const fn dtype_name(dtype: GgmlDType) -> &'static str {
    match dtype {
        GgmlDType::F32 => "F32",
        GgmlDType::F16 => "F16",
        GgmlDType::BF16 => "BF16",
        GgmlDType::Q4_0 => "Q4_0",
        GgmlDType::Q4_1 => "Q4_1",
        GgmlDType::Q5_0 => "Q5_0",
        GgmlDType::Q5_1 => "Q5_1",
        GgmlDType::Q8_0 => "Q8_0",
        GgmlDType::Q8_1 => "Q8_1",
        GgmlDType::Q2K => "Q2_K",
        GgmlDType::Q3K => "Q3_K",
        GgmlDType::Q4K => "Q4_K",
        GgmlDType::Q5K => "Q5_K",
        GgmlDType::Q6K => "Q6_K",
        GgmlDType::Q8K => "Q8_K",
    }
}
