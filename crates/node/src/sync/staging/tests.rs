//! Killed between any two moves, a start ends with all of the new and none of the old in place.

use std::{fs, path::Path};

use super::Staging;

/// The names that are moved, in the order of the moves.
const MOVES: [(&str, &str); 7] = [
    ("consensus", "damaged/consensus"),
    ("floor.bin", "damaged/floor.bin"),
    ("incoming/floor.bin", "floor.bin"),
    ("state", "damaged/state"),
    ("incoming/state", "state"),
    ("blocks.redb", "damaged/blocks.redb"),
    ("incoming/blocks.redb", "blocks.redb"),
];

fn fill(folder: &Path) {
    for folder in [folder.to_path_buf(), folder.join("incoming")] {
        let text = if folder.ends_with("incoming") { "new" } else { "old" };
        fs::create_dir_all(folder.join("state")).unwrap();
        for file in ["floor.bin", "blocks.redb", "state/log"] {
            fs::write(folder.join(file), text).unwrap();
        }
    }
    fs::create_dir_all(folder.join("consensus")).unwrap();
    fs::write(folder.join("consensus/journal"), "old").unwrap();
}

fn check(folder: &Path) {
    for file in ["floor.bin", "blocks.redb", "state/log"] {
        assert_eq!(fs::read_to_string(folder.join(file)).unwrap(), "new", "{file}");
        assert_eq!(fs::read_to_string(folder.join("damaged").join(file)).unwrap(), "old", "{file}");
    }
    assert!(!folder.join("consensus").exists() && !folder.join("incoming").exists());
    assert!(folder.join("damaged/consensus/journal").exists());
}

#[test]
fn a_crash_between_any_two_moves_is_made_good() {
    for done in 0..=MOVES.len() {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path();
        fill(folder);
        fs::write(folder.join("incoming/whole"), []).unwrap();
        fs::create_dir_all(folder.join("damaged")).unwrap();
        for (from, to) in &MOVES[..done] {
            fs::rename(folder.join(from), folder.join(to)).unwrap();
        }
        Staging::new(folder).resume().unwrap();
        check(folder);
        Staging::new(folder).resume().unwrap();
        check(folder);
    }
}

#[test]
fn what_is_not_whole_replaces_nothing() {
    let folder = tempfile::tempdir().unwrap();
    fill(folder.path());
    Staging::new(folder.path()).resume().unwrap();
    for file in ["floor.bin", "blocks.redb", "state/log", "consensus/journal"] {
        assert_eq!(fs::read_to_string(folder.path().join(file)).unwrap(), "old", "{file}");
    }
    // What was replaced before makes room.
    fs::create_dir_all(folder.path().join("damaged/state")).unwrap();
    fs::write(folder.path().join("damaged/blocks.redb"), "older").unwrap();
    Staging::new(folder.path()).finish().unwrap();
    check(folder.path());
}
