//! A network's folder is complete, private, and comes back as it was written.
#![allow(clippy::unwrap_used)]

use std::os::unix::fs::PermissionsExt as _;

use freehold_consensus::network_key;
use rand::{SeedableRng as _, rngs::StdRng};

use super::*;

fn network() -> NewNetwork {
    NewNetwork {
        chain_id: 7,
        validators: 4,
        purpose: Purpose::Development,
        timestamp_ms: 1,
        trust_roots: vec![],
        allocations: vec![],
        membership: Membership::default(),
    }
}

#[test]
fn a_folder_comes_back() {
    let folder = tempfile::tempdir().unwrap();
    assert!(read_genesis(folder.path()).unwrap().is_none());
    let genesis = create_network(folder.path(), &network(), &mut StdRng::seed_from_u64(1)).unwrap();
    assert_eq!(read_genesis(folder.path()).unwrap().unwrap(), genesis);
    network_key(&genesis).unwrap();
    for index in 0..4 {
        let folder = validator_folder(folder.path(), index);
        let keys = read_keys(&folder).unwrap();
        assert_eq!(keys.identity.public(), genesis.validators[index as usize]);
        assert_eq!(keys.shares.unwrap().consensus.index(), index);
        for name in ["identity.key", "consensus.share", "derivation.share"] {
            let mode = fs::metadata(folder.join(name)).unwrap().permissions().mode();
            assert_eq!(mode & 0o777, 0o600);
        }
    }
}

/// Shares serve with the storage in which they were first used, and are gone once newer ones are in force.
#[test]
fn first_shares_serve_one_storage_and_are_erased() {
    let folder = tempfile::tempdir().unwrap();
    create_network(folder.path(), &network(), &mut StdRng::seed_from_u64(1)).unwrap();
    let validator = validator_folder(folder.path(), 0);
    let storage = validator.join("consensus");
    fs::create_dir(&storage).unwrap();
    assert!(claim_shares(&validator, &storage).unwrap());
    assert!(!claim_shares(&validator, &storage).unwrap(), "the storage was lost");
    fs::create_dir(storage.join("validator-votes")).unwrap();
    assert!(claim_shares(&validator, &storage).unwrap());
    erase_shares(&validator).unwrap();
    erase_shares(&validator).unwrap();
    assert!(read_keys(&validator).unwrap().shares.is_none());
    assert!(!validator.join("consensus.share").exists() && !validator.join("derivation.share").exists());
}

#[test]
fn a_damaged_file_is_named() {
    let folder = tempfile::tempdir().unwrap();
    create_network(folder.path(), &network(), &mut StdRng::seed_from_u64(1)).unwrap();
    fs::write(folder.path().join("genesis.bin"), [1, 2, 3]).unwrap();
    assert!(matches!(read_genesis(folder.path()), Err(GenesisError::Damaged { .. })));
    let validator = validator_folder(folder.path(), 0);
    fs::write(validator.join("consensus.share"), [0; 3]).unwrap();
    assert!(matches!(read_keys(&validator), Err(GenesisError::Damaged { .. })));
}

#[test]
fn two_and_three_validators_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    for validators in [0, 2, 3] {
        let network = NewNetwork { validators, ..network() };
        assert!(matches!(
            create_network(folder.path(), &network, &mut StdRng::seed_from_u64(1)),
            Err(GenesisError::Keys(_))
        ));
    }
}

#[test]
fn a_number_of_validators_that_does_not_serve_is_refused_before_keys_are_made() {
    for validators in [0, 2, 3, 65, u32::MAX] {
        let folder = tempfile::tempdir().unwrap();
        let wanted = NewNetwork { validators, ..network() };
        let refused = create_network(folder.path(), &wanted, &mut StdRng::seed_from_u64(1)).unwrap_err();
        assert!(matches!(refused, GenesisError::Keys(KeyError::Count(count)) if count == validators as usize));
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
    }
}
