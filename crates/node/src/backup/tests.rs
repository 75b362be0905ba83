//! Backups come back as they were; what is damaged, cut, of another network, foreign or hostile writes nothing.
#![allow(clippy::unwrap_used)]

use std::{
    fs,
    path::{Path, PathBuf},
};

use freehold_crypto::HpkeSecret;
use freehold_primitives::{Blob, Canonical as _, Membership, Purpose};
use rand::{SeedableRng as _, rngs::StdRng};

use super::{
    BackupError, BackupScope, BackupSummary, Entry, MOVED_FILE, Manifest, Opening, Sealing, container::Sealer,
    restore_backup, write_backup,
};
use crate::{NewNetwork, create_network, validator_folder, write_genesis};

const PASSPHRASE: &[u8] = b"a passphrase of the test";

fn rng() -> StdRng {
    StdRng::seed_from_u64(7)
}

/// A validator's folder, with a store and a journal.
fn validator(root: &Path, chain_id: u64) -> PathBuf {
    let network = NewNetwork {
        chain_id,
        validators: 4,
        purpose: Purpose::Development,
        timestamp_ms: 1_760_000_000_000,
        trust_roots: Vec::new(),
        allocations: Vec::new(),
        membership: Membership::default(),
    };
    let genesis = create_network(root, &network, &mut StdRng::seed_from_u64(chain_id)).unwrap();
    let folder = validator_folder(root, 2);
    write_genesis(&folder, &genesis).unwrap();
    fs::create_dir_all(folder.join("consensus/votes")).unwrap();
    fs::write(folder.join("consensus/votes/0"), vec![5; 200_000]).unwrap();
    fs::write(folder.join("blocks.redb"), b"blocks").unwrap();
    fs::write(folder.join("network.toml"), b"chain_id = 1").unwrap();
    fs::write(folder.join("lock"), b"process 1").unwrap();
    folder
}

fn key() -> HpkeSecret {
    HpkeSecret::from_bytes(&[9; 32])
}

/// Sealed to a key: no passphrase has to be stretched.
fn kept(folder: &Path, to: &Path, scope: BackupScope) -> Result<BackupSummary, BackupError> {
    write_backup(folder, to, (scope, &Sealing::Recipient(key().public())), &mut rng())
}

fn restored(from: &Path, folder: &Path) -> Result<BackupSummary, BackupError> {
    fs::create_dir_all(folder).unwrap();
    restore_backup(from, folder, &Opening::Secret(&key()), None)
}

/// A refused restore leaves an empty folder.
fn is_empty(folder: &Path) -> bool {
    fs::read_dir(folder).unwrap().count() == 0
}

#[test]
fn an_identity_comes_back_without_any_share() {
    let root = tempfile::tempdir().unwrap();
    let folder = validator(root.path(), 1);
    let (file, new) = (root.path().join("backup"), root.path().join("new"));
    let made = kept(&folder, &file, BackupScope::Identity).unwrap();
    assert_eq!((made.files, made.chain_id), (4, 1));
    assert!(file.exists() && !folder.join(MOVED_FILE).exists());
    assert_eq!(restored(&file, &new).unwrap(), made);
    let mut names: Vec<_> = fs::read_dir(&new).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    names.sort();
    assert_eq!(names, ["genesis.bin", "identity.key", "network.toml", "state.development-key"]);
    for name in names {
        assert_eq!(fs::read(new.join(&name)).unwrap(), fs::read(folder.join(&name)).unwrap());
    }
    assert!(file.exists(), "an identity backup serves again");
    // No secret of the folder stands in the file.
    let sealed = fs::read(&file).unwrap();
    let secret = fs::read(folder.join("identity.key")).unwrap();
    assert!(!sealed.windows(16).any(|part| part == &secret[..16]));
}

#[test]
fn a_move_carries_everything_and_leaves_one_validator() {
    let root = tempfile::tempdir().unwrap();
    let folder = validator(root.path(), 1);
    let (file, new) = (root.path().join("move"), root.path().join("new"));
    kept(&folder, &file, BackupScope::Move).unwrap();
    assert!(folder.join(MOVED_FILE).exists(), "the source starts no more");
    restored(&file, &new).unwrap();
    assert!(!file.exists(), "a move is restored once");
    for name in ["consensus/votes/0", "blocks.redb", "consensus.share", "derivation.share", "identity.key"] {
        assert_eq!(fs::read(new.join(name)).unwrap(), fs::read(folder.join(name)).unwrap(), "{name}");
    }
    assert!(!new.join("lock").exists() && !new.join(MOVED_FILE).exists());
}

#[test]
fn only_the_right_passphrase_opens() {
    let root = tempfile::tempdir().unwrap();
    let folder = validator(root.path(), 1);
    let (file, new) = (root.path().join("backup"), root.path().join("new"));
    fs::create_dir_all(&new).unwrap();
    let sealing = Sealing::Passphrase(PASSPHRASE);
    write_backup(&folder, &file, (BackupScope::Identity, &sealing), &mut rng()).unwrap();
    let open = |opening: &Opening<'_>| restore_backup(&file, &new, opening, None);
    assert!(matches!(open(&Opening::Passphrase(b"another")), Err(BackupError::Sealed)));
    assert!(matches!(open(&Opening::Passphrase(b"")), Err(BackupError::Passphrase)));
    assert!(matches!(open(&Opening::Secret(&key())), Err(BackupError::NeedsPassphrase)));
    assert!(is_empty(&new));
    open(&Opening::Passphrase(PASSPHRASE)).unwrap();
    let empty = write_backup(
        &folder,
        &root.path().join("other"),
        (BackupScope::Identity, &Sealing::Passphrase(b"")),
        &mut rng(),
    );
    assert!(matches!(empty, Err(BackupError::Passphrase)) && !root.path().join("other").exists());
}

#[test]
fn a_damaged_or_cut_file_writes_nothing() {
    let root = tempfile::tempdir().unwrap();
    let folder = validator(root.path(), 1);
    let file = root.path().join("backup");
    kept(&folder, &file, BackupScope::Move).unwrap();
    let whole = fs::read(&file).unwrap();
    let (changed, new) = (root.path().join("changed"), root.path().join("new"));
    let refused = |bytes: &[u8], what: &str| {
        fs::write(&changed, bytes).unwrap();
        let error = restored(&changed, &new).expect_err(what);
        assert!(is_empty(&new) && changed.exists(), "{what}");
        error
    };
    let step = (whole.len() / 60).max(1);
    for at in (0..whole.len()).step_by(step).chain([0, 15, 16, 20, 40, 64, 65, 70, whole.len() - 1]) {
        let mut bytes = whole.clone();
        bytes[at] ^= 1;
        // The salt of a file that is sealed to a key says nothing.
        if !(17..33).contains(&at) {
            refused(&bytes, &format!("a changed byte at {at}"));
        }
        refused(&whole[..at], &format!("cut at {at}"));
    }
    refused(&[whole.clone(), vec![0; 5]].concat(), "something behind the end");
    assert!(matches!(refused(b"GIF89a", "another file"), BackupError::NoBackup));
    assert!(matches!(refused(&whole[..whole.len() - 1], "cut"), BackupError::Truncated));
    // Two whole frames in the other order.
    restored(&file, &root.path().join("good")).unwrap();
}

#[test]
fn another_network_and_an_occupied_folder_are_refused() {
    let root = tempfile::tempdir().unwrap();
    let (ours, theirs) = (root.path().join("ours"), root.path().join("theirs"));
    let (folder, foreign) = (validator(&ours, 1), validator(&theirs, 2));
    let (file, new) = (root.path().join("backup"), root.path().join("new"));
    kept(&folder, &file, BackupScope::Identity).unwrap();
    fs::create_dir_all(&new).unwrap();
    let other = crate::network_key(&crate::read_genesis(&foreign).unwrap().unwrap()).unwrap();
    let refused = restore_backup(&file, &new, &Opening::Secret(&key()), Some(&other));
    assert!(matches!(refused, Err(BackupError::OtherNetwork { found: 1, .. })));
    assert!(is_empty(&new));
    let before = fs::read(foreign.join("identity.key")).unwrap();
    assert!(matches!(restored(&file, &foreign), Err(BackupError::Occupied(_))));
    assert_eq!(fs::read(foreign.join("identity.key")).unwrap(), before);
    assert!(matches!(kept(&folder, &file, BackupScope::Identity), Err(BackupError::Exists(_))));
    let nothing = root.path().join("nothing");
    fs::create_dir_all(&nothing).unwrap();
    assert!(matches!(kept(&nothing, &root.path().join("b"), BackupScope::Identity), Err(BackupError::Empty(_))));
}

/// A file that opens, made by somebody who has the key.
fn forged(to: &Path, change: impl FnOnce(&mut Manifest), contents: &[&[u8]]) {
    let mut manifest = Manifest {
        kind: 2,
        chain_id: 1,
        genesis_hash: freehold_primitives::Digest::ZERO,
        identity: freehold_primitives::Ed25519Key::ZERO,
        files: Vec::new(),
    };
    change(&mut manifest);
    let file = fs::File::create(to).unwrap();
    let mut sealer = Sealer::new(file, &Sealing::Recipient(key().public()), &mut rng()).unwrap();
    let bytes = manifest.to_canonical();
    sealer.put(&u32::try_from(bytes.len()).unwrap().to_be_bytes()).unwrap();
    sealer.put(&bytes).unwrap();
    for content in contents {
        sealer.put(content).unwrap();
    }
    sealer.finish().unwrap();
}

#[test]
fn no_path_leads_out_of_the_folder() {
    let root = tempfile::tempdir().unwrap();
    let (file, new) = (root.path().join("forged"), root.path().join("new"));
    for path in ["../escaped", "/etc/freehold", "a/../../escaped", "", "lock", "moved", "restoring/x", "host/y"] {
        let entry = Entry { path: Blob(path.as_bytes().to_vec()), length: 3 };
        forged(&file, |manifest| manifest.files.push(entry), &[b"bad"]);
        let refused = restored(&file, &new).unwrap_err();
        assert!(matches!(refused, BackupError::Content(_)), "{path}: {refused}");
        assert!(is_empty(&new) && !root.path().join("escaped").exists(), "{path}");
    }
    // An identity backup brings no share, whoever made it.
    let entry = Entry { path: Blob(b"consensus.share".to_vec()), length: 3 };
    forged(&file, |manifest| (manifest.kind, manifest.files) = (1, vec![entry]), &[b"bad"]);
    assert!(matches!(restored(&file, &new), Err(BackupError::Content(_))));
    // A length without bytes, an unknown kind, and no genesis.
    let entry = || Entry { path: Blob(b"a".to_vec()), length: u64::MAX };
    forged(&file, |manifest| manifest.files.push(entry()), &[b"bad"]);
    assert!(matches!(restored(&file, &new), Err(BackupError::Truncated)));
    forged(&file, |manifest| manifest.kind = 3, &[]);
    assert!(matches!(restored(&file, &new), Err(BackupError::Content(_))));
    forged(&file, |_| {}, &[]);
    assert!(matches!(restored(&file, &new), Err(BackupError::Content(_))));
    assert!(is_empty(&new));
}
