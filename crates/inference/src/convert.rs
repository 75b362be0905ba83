//! Re-quantisation on import: tensors whose kernels are slow in the engine become Q8_0.
//!
//! The output depends on the input bytes and on [`CONVERTER`] alone: metadata and tensors are written in the order of
//! their names. The receipt binds the digests of both files. The converted file is a cache, and whoever can write it is not
//! trusted: it counts only where its digest is pinned in this program; any other model is converted at every start.

use std::{
    io::Cursor,
    path::{Path, PathBuf},
};

use candle_core::{
    Device,
    quantized::{GgmlDType, QTensor, gguf_file},
};
use freehold_primitives::Digest;
use serde::{Deserialize, Serialize};

use crate::{
    digest::sha256,
    gguf::{GgufError, ModelBytes, needs_conversion},
    models::MODELS,
};

/// Name and version of the conversion; a change of its output needs a new one.
pub const CONVERTER: &str = "freehold-q8_0/1";

/// What was converted into what.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Record {
    converter: String,
    source_sha256: Digest,
    converted_sha256: Digest,
}

/// A model ready for the engine: the bytes to load, and the digests of what was published and of what was made of it.
pub(crate) struct Imported {
    pub(crate) model: ModelBytes,
    pub(crate) source_sha256: Digest,
    pub(crate) converted_sha256: Option<Digest>,
}

/// Reads a model file and converts what needs it, through the cache beside the file.
pub(crate) fn import(path: &Path) -> Result<Imported, GgufError> {
    let source = ModelBytes::read(path)?;
    source.dimensions()?;
    let source_sha256 = source.sha256;
    if !source.content.tensor_infos.values().any(|info| needs_conversion(info.ggml_dtype)) {
        return Ok(Imported { model: source, source_sha256, converted_sha256: None });
    }
    if let Some(model) = cached(path, source_sha256) {
        return Ok(Imported { converted_sha256: Some(model.sha256), model, source_sha256 });
    }
    let bytes = convert(&source)?;
    drop(source);
    let model = ModelBytes::parse(bytes)?;
    if let Err(error) = store(path, source_sha256, &model) {
        tracing::warn!(%error, "the converted model is not cached; the next start converts again");
    }
    Ok(Imported { converted_sha256: Some(model.sha256), model, source_sha256 })
}

fn cache_paths(path: &Path) -> (PathBuf, PathBuf) {
    let stem = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
    (path.with_file_name(format!("{stem}.converted.gguf")), path.with_file_name(format!("{stem}.converted.json")))
}

fn cached(path: &Path, source_sha256: Digest) -> Option<ModelBytes> {
    let (file, record) = cache_paths(path);
    let record: Record = serde_json::from_slice(&std::fs::read(record).ok()?).ok()?;
    if record.converter != CONVERTER || record.source_sha256 != source_sha256 {
        return None;
    }
    let pinned = MODELS.iter().find(|model| model.sha256 == source_sha256)?.golden??;
    let model = ModelBytes::read(&file).ok()?;
    (model.sha256 == pinned && model.sha256 == record.converted_sha256).then_some(model)
}

fn store(path: &Path, source_sha256: Digest, model: &ModelBytes) -> std::io::Result<()> {
    let (file, record) = cache_paths(path);
    let folder = path.parent().unwrap_or_else(|| Path::new("."));
    let document = Record { converter: CONVERTER.to_owned(), source_sha256, converted_sha256: sha256(&model.bytes) };
    for (target, bytes) in [(&file, model.bytes.as_slice()), (&record, serde_json::to_vec(&document)?.as_slice())] {
        let mut draft = tempfile::NamedTempFile::new_in(folder)?;
        std::io::Write::write_all(&mut draft, bytes)?;
        draft.as_file().sync_all()?;
        draft.persist(target)?;
    }
    Ok(())
}

fn convert(source: &ModelBytes) -> Result<Vec<u8>, GgufError> {
    let device = Device::Cpu;
    let mut reader = Cursor::new(&source.bytes);
    let mut names: Vec<&String> = source.content.tensor_infos.keys().collect();
    names.sort_unstable();
    let mut tensors: Vec<(&str, QTensor)> = Vec::with_capacity(names.len());
    for name in names {
        let tensor = source.content.tensor(&mut reader, name, &device)?;
        let tensor = if needs_conversion(tensor.dtype()) {
            QTensor::quantize(&tensor.dequantize(&device)?, GgmlDType::Q8_0)?
        } else {
            tensor
        };
        tensors.push((name, tensor));
    }
    let mut metadata: Vec<(&str, &gguf_file::Value)> =
        source.content.metadata.iter().map(|(key, value)| (key.as_str(), value)).collect();
    metadata.sort_unstable_by_key(|(key, _)| *key);
    let tensors: Vec<(&str, &QTensor)> = tensors.iter().map(|(name, tensor)| (*name, tensor)).collect();
    let mut out = Cursor::new(Vec::with_capacity(source.bytes.len() * 2));
    gguf_file::write(&mut out, &metadata, &tensors)?;
    Ok(out.into_inner())
}
