//! Writes the seeds of fuzz entries, for the example `fuzz_seeds_ROOM` of every room that has some.

use std::{env, fs, path::PathBuf};

/// A fuzz entry.
type Entry = fn(&[u8]);

/// Writes `FOLDER/ENTRY/seed-N`; the folder is the program's argument.
pub fn write(entries: &[(&str, Entry)], seeds: impl Fn(&str) -> Vec<Vec<u8>>) {
    let folder = PathBuf::from(env::args_os().nth(1).expect("the folder is the argument"));
    for (entry, _) in entries {
        let folder = folder.join(entry);
        fs::create_dir_all(&folder).unwrap();
        for (number, seed) in seeds(entry).iter().enumerate() {
            fs::write(folder.join(format!("seed-{number}")), seed).unwrap();
        }
    }
}
