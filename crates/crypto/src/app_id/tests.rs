//! Published vectors of ROFL's app ids, and addresses of known accounts.
#![allow(clippy::unwrap_used)]

use freehold_primitives::Account;

use super::*;
use crate::Ed25519Secret;

/// Oasis address of the test key with this name: its seed is SHA-512/256 of the name.
fn test_creator(name: &str) -> [u8; 21] {
    let name = format!("oasis-runtime-sdk/test-keys: {name}");
    let key = Ed25519Secret::from_seed(&sha512_256(&[name.as_bytes()]).0).public();
    versioned(b"oasis-core/address: staking", &[key.as_bytes()])
}

#[test]
fn creator_nonce_vectors() {
    let check = |name, nonce, expect: &str| {
        assert_eq!(creator_nonce(&test_creator(name), nonce).to_string(), expect);
    };
    check("alice", 0, "rofl1qqxxv77j6qy3rh50ah9kxehsh26e2hf7p5r6kwsq");
    check("alice", 1, "rofl1qqfuf7u556prwv0wkdt398prhrpat7r3rvr97khf");
    check("alice", 42, "rofl1qr90w0m8j7h34c2hhpfmg2wgqmtu0q82vyaxv6e0");
    check("bob", 0, "rofl1qqzuxsh8fkga366kxrze8vpltdjge3rc7qg6tlrg");
}

#[test]
fn creator_round_index_vectors() {
    let check = |name, round, index, expect: &str| {
        assert_eq!(creator_round_index(&test_creator(name), round, index).to_string(), expect);
    };
    check("alice", 42, 0, "rofl1qr98wz5t6q4x8ng6a5l5v7rqlx90j3kcnun5dwht");
    check("bob", 42, 0, "rofl1qrd45eaj4tf6l7mjw5prcukz75wdmwg6kggt6pnp");
    check("bob", 1, 0, "rofl1qzmuyfwygnmfralgtwrqx8kcm587kwex9y8hf9hf");
    check("bob", 42, 1, "rofl1qzmh56f52yd0tcqh757fahzc7ec49s8kaguyylvu");
}

#[test]
fn global_name_vector() {
    assert_eq!(app_id_from_name("test global app").to_string(), "rofl1qrev5wq76npkmcv5wxkdxxcu4dhmu704yyl30h43");
}

#[test]
fn oasis_address_of_an_ethereum_account() {
    let account: Account = "0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266".parse().unwrap();
    let text =
        bech32::encode::<bech32::Bech32>(bech32::Hrp::parse("oasis").unwrap(), &oasis_address(&account)).unwrap();
    assert_eq!(text, "oasis1qpwyqlu69ga9nzz0xsm0y5j2lr3l52280gdqpkzf");
}

#[test]
fn ids_differ_by_scheme_account_and_number() {
    let (a, b) = (Account([1; 20]), Account([2; 20]));
    let ids = [
        app_id_from_creator_nonce(&a, 0),
        app_id_from_creator_nonce(&a, 1),
        app_id_from_creator_nonce(&b, 0),
        app_id_from_creator_round_index(&a, 0, 0),
        app_id_from_creator_round_index(&a, 0, 1),
    ];
    for (i, id) in ids.iter().enumerate() {
        assert!(!ids[..i].contains(id));
    }
}
