//! Model files: what is converted, and what is refused by name.

use std::{fs, path::Path};

use freehold_inference::{Engine, EngineError, GgufError, TemplateError, TokenizerError};

use crate::support::tiny::{Variant, write, write_variant};

fn load(variant: Variant) -> Result<Engine, EngineError> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.gguf");
    write_variant(&path, variant);
    Engine::load(&path, "file", 256)
}

fn refused(path: &Path) -> EngineError {
    Engine::load(path, "file", 256).err().unwrap()
}

#[test]
fn the_unsupported_is_refused_by_name() {
    let message = |variant| load(variant).err().unwrap().to_string();
    assert!(message(Variant::OtherArchitecture).contains("`mamba`"));
    assert!(message(Variant::OtherTokenizer).contains("`llama`"));
    assert!(message(Variant::OtherRule).contains("`tekken`"));
    assert!(message(Variant::UnknownTensor).contains("`blk.0.attn_q_norm.weight`"));
    assert!(message(Variant::Bf16).contains("BF16"));
    assert!(message(Variant::MissingTensor).contains("ffn_down"));
    assert!(matches!(load(Variant::NoTemplate), Err(EngineError::Template(TemplateError::Missing))));
    assert!(matches!(load(Variant::OtherRule), Err(EngineError::Tokenizer(TokenizerError::Rule { .. }))));
}

#[test]
fn slow_quantisations_are_converted_always_alike_and_a_foreign_cache_does_not_count() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.gguf");
    write_variant(&path, Variant::Q4_1);
    let converted = || Engine::load(&path, "file", 256).unwrap().identity().converted_sha256.unwrap();
    let first = converted();
    let cache = folder.path().join("model.converted.gguf");
    assert!(cache.is_file());
    assert_eq!(converted(), first);
    // Whatever stands in the cache of a model that is not pinned does not count.
    fs::write(&cache, b"damaged").unwrap();
    assert_eq!(converted(), first);
    assert!(load(Variant::Plain).unwrap().identity().converted_sha256.is_none());
}

#[test]
fn broken_files_are_refused_at_every_length() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.gguf");
    write(&path);
    let whole = fs::read(&path).unwrap();
    for length in (0..64).chain((64..whole.len()).step_by(whole.len() / 97)) {
        fs::write(&path, &whole[..length]).unwrap();
        let error = refused(&path);
        assert!(matches!(error, EngineError::Model(_)), "{length}: {error}");
    }
    let missing = refused(&folder.path().join("missing.gguf"));
    assert!(matches!(missing, EngineError::Model(GgufError::Read { .. })));
}

#[test]
fn a_changed_byte_never_breaks_the_loader() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.gguf");
    write(&path);
    let whole = fs::read(&path).unwrap();
    let header = whole.len().min(6000);
    for at in (0..header).step_by(7) {
        let mut changed = whole.clone();
        changed[at] ^= 0xff;
        fs::write(&path, &changed).unwrap();
        // Whatever comes of it, it is a value.
        drop(Engine::load(&path, "file", 256));
    }
}

#[test]
fn a_known_name_binds_the_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.gguf");
    write(&path);
    let error = Engine::load(&path, freehold_inference::DEFAULT_MODEL, 256).err().unwrap();
    assert!(matches!(error, EngineError::WrongModel { .. }));
}
