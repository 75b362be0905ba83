//! The disk against the ways that write whole ones, and against files that are not what they should be.
#![allow(clippy::unwrap_used)]

use std::{fs, path::Path};

use super::*;
use crate::{Tree, erofs, verity_sealed};

fn model(folder: &Path, name: &str, bytes: &[u8]) -> ModelSource {
    let file = folder.join(format!("{name}.file"));
    fs::write(&file, bytes).unwrap();
    ModelSource { name: name.to_owned(), file, sha256: Digest(Sha256::digest(bytes).into()) }
}

#[test]
fn piece_by_piece_gives_what_is_made_of_a_whole_tree() {
    let folder = tempfile::tempdir().unwrap();
    let large: Vec<u8> = (0..3 * PIECE + 4097).map(|at| (at % 253) as u8).collect();
    for contents in [
        vec![("b.gguf", large.clone()), ("a.json", b"{}".to_vec())],
        vec![("one", vec![7; PIECE])],
        vec![("empty", Vec::new())],
        Vec::new(),
    ] {
        let mut tree = Tree::new();
        for (name, bytes) in &contents {
            tree.file(name, bytes.clone(), false).unwrap();
        }
        let (whole, root) = verity_sealed(erofs(&tree).unwrap()).unwrap();
        let models: Vec<ModelSource> = contents.iter().map(|(name, bytes)| model(folder.path(), name, bytes)).collect();
        let mut written = Vec::new();
        assert_eq!(write_models(&models, &mut written).unwrap(), root);
        assert!(written == whole, "{} bytes, not {}", written.len(), whole.len());
    }
}

#[test]
fn another_file_than_the_digest_names_gives_no_root() {
    let folder = tempfile::tempdir().unwrap();
    let good = model(folder.path(), "a", &[1; 10_000]);
    let mut bytes = fs::read(&good.file).unwrap();
    bytes[9_999] ^= 1;
    fs::write(&good.file, &bytes).unwrap();
    let refused = write_models(std::slice::from_ref(&good), &mut io::sink()).unwrap_err();
    assert!(matches!(refused, ImageError::OtherModel { .. }) && refused.code() == 28, "{refused}");
    for name in ["", "..", "a/b"] {
        let named = ModelSource { name: name.to_owned(), ..good.clone() };
        assert_eq!(write_models(&[named], &mut io::sink()).unwrap_err().code(), 20, "{name}");
    }
    assert_eq!(write_models(&[good.clone(), good.clone()], &mut io::sink()).unwrap_err().code(), 20);
    let gone = ModelSource { file: folder.path().join("gone"), ..good };
    assert_eq!(write_models(&[gone], &mut io::sink()).unwrap_err().code(), 26);
}
