//! Digests, slots, canonical JSON, app ids, Merkle trees, key derivation.

use freehold_crypto::{
    KeyKind, MerkleTree, TreeHead, app_id_from_creator_nonce, app_id_from_creator_round_index, app_id_from_name,
    app_key, body_digest, content_digest, genesis_hash, hash, keyset_digest, leaf_hash, measurement_digest,
    oasis_address, parse_canonical, payload_digest, report_data,
    slots::{
        self, account_key, anchor_id, app_version_id, collateral_id, deny_id, entry_module, entry_slot, grant_id,
        storage_key,
    },
    subject_digest, to_jcs, verify_consistency, verify_inclusion,
};
use freehold_primitives::{
    Account, Allocation, AppId, Blob, Canonical as _, Digest, Diversity, Ed25519Key, Executed, G1Point, Genesis,
    KeyCeremony, Keyset, Measurement, Membership, NetworkKey, PayloadBody, PayloadHead, PlatformFamily, Register, Seat,
    SubjectBody, TdxMeasurement, TlsKey, TrustDomain, TrustRoot, X25519Key,
    entries::{CollateralKind, DenySubject, EntryKind, generation, tcb_family},
    report_statement,
};
use serde_json::{Value, json};

use crate::check;

pub(crate) fn subject() -> SubjectBody {
    SubjectBody {
        chain_id: 4_919,
        genesis_hash: Digest([1; 32]),
        app_id: AppId::new([2; 20]),
        provider: Account([3; 20]),
        account: Account([4; 20]),
        transport_key: G1Point([5; 48]),
        config_digest: Digest([6; 32]),
    }
}

pub(crate) fn keyset() -> Keyset {
    Keyset {
        subject: subject_digest(&subject()),
        not_after: 1_800_000_000,
        receipt_key: Ed25519Key([7; 32]),
        hpke_key: X25519Key([8; 32]),
        tls_keys: vec![
            TlsKey { domain: String::new(), spki_sha256: Digest([9; 32]) },
            TlsKey { domain: "api.example.com".to_owned(), spki_sha256: Digest([10; 32]) },
        ],
    }
}

fn head(body: Digest) -> PayloadHead {
    PayloadHead {
        chain_id: 4_919,
        height: 8,
        term: 0,
        view: 9,
        parent: Digest([1; 32]),
        timestamp_ms: 1_750_000_000_123,
        proposer: 2,
        executed: Executed { height: 7, block_hash: Digest([2; 32]) },
        parent_seed: Some(G1Point([3; 48])),
        body,
    }
}

fn genesis() -> Genesis {
    Genesis {
        chain_id: 4_919,
        purpose: freehold_primitives::Purpose::Development,
        timestamp_ms: 1_750_000_000_000,
        epoch_s: 600,
        lease_s: 600,
        validators: vec![Ed25519Key([1; 32]), Ed25519Key([2; 32])],
        consensus_polynomial: Blob(vec![3; 5]),
        derivation_polynomial: vec![NetworkKey([4; 96])],
        key_ceremony: KeyCeremony::TrustedDealer,
        trust_roots: vec![TrustRoot { domain: TrustDomain::Emulated, certificate: Blob(vec![5; 3]) }],
        allocations: vec![Allocation { account: Account([6; 20]), balance: [7; 32] }],
        membership: Membership {
            term_blocks: 600,
            seats: vec![Seat { account: Account([8; 20]), bond: [9; 32], address: "192.0.2.1:9000".to_owned() }],
            bond_min: [10; 32],
            unbond_terms: 3,
            jail_terms: 2,
            diversity: Diversity::Required,
            app: Some(AppId::new([11; 20])),
        },
    }
}

#[test]
fn digest_vectors() {
    let body = PayloadBody { transactions: vec![Blob(vec![1, 2, 3]), Blob(Vec::new())], ..PayloadBody::default() }
        .to_canonical();
    let head = head(body_digest(&body));
    let (subject, keyset, nonce) = (subject(), keyset(), Digest([11; 32]));
    let digest = keyset_digest(&keyset);
    let measurement = Measurement::from(TdxMeasurement {
        mrtd: Register([1; 48]),
        rtmr0: Some(Register([2; 48])),
        rtmr1: Some(Register([3; 48])),
        rtmr2: Some(Register([4; 48])),
        rtmr3: Some(Register([5; 48])),
    });
    let statement = |nonce: Option<&Digest>| {
        json!({
            "nonce": nonce, "statement": report_statement(&digest, nonce),
            "report_data": hex::encode(report_data(&digest, nonce)),
        })
    };
    check(
        "digests.json",
        &json!({
            "hash": [
                {"domain": "freehold content", "parts": [], "digest": hash("freehold content", &[])},
                {"domain": "freehold tree", "parts": ["01", "0203"], "digest": hash("freehold tree", &[&[1], &[2, 3]])},
            ],
            "content": {"bytes": "616263", "digest": content_digest(b"abc")},
            "body": {"document": hex::encode(&body), "digest": body_digest(&body)},
            "payload": {"head": hex::encode(head.to_canonical()), "digest": payload_digest(&head)},
            "genesis": {"document": hex::encode(genesis().to_canonical()), "digest": genesis_hash(&genesis())},
            "subject": {"document": hex::encode(subject.to_canonical()), "digest": subject_digest(&subject)},
            "keyset": {
                "fields": hex::encode(keyset.to_canonical()), "jcs": keyset.to_jcs(), "digest": digest,
            },
            "report_data": [statement(Some(&nonce)), statement(None)],
            "measurement": {
                "document": hex::encode(measurement.to_canonical()), "digest": measurement_digest(&measurement),
            },
        }),
    );
    // The keyset's text is canonical although no JSON library made it.
    assert!(parse_canonical(&keyset.to_jcs(), 4_096).is_ok());
}

#[test]
fn slot_vectors() {
    let (account, app, instance) = (Account([4; 20]), AppId::new([2; 20]), Digest([12; 32]));
    let entry = |kind: EntryKind, id: &[u8]| {
        json!({
            "kind": kind as u8, "id": hex::encode(id), "module": entry_module(kind),
            "slot": hex::encode(entry_slot(kind, id)),
            "key": storage_key(&entry_module(kind), &entry_slot(kind, id)),
        })
    };
    let grant = grant_id(&instance, "root", 3);
    let family = PlatformFamily([0x00, 0x80, 0x6f, 0x05, 0, 0]);
    let generation = generation(TrustDomain::Intel, TrustDomain::Intel, &family);
    let tcb = tcb_family(TrustDomain::Intel, TrustDomain::Intel, &family);
    check(
        "slots.json",
        &json!({
            "modules": {
                "apps": slots::APPS, "keys": slots::KEYS, "log": slots::LOG, "collateral": slots::COLLATERAL,
                "validators": slots::VALIDATORS, "models": slots::MODELS, "visibility": slots::VISIBILITY,
            },
            "account_key": {"account": account, "key": account_key(&account)},
            "storage_key": {"account": account, "slot": hex::encode([13; 32]), "key": storage_key(&account, &[13; 32])},
            "bonded_slot": hex::encode(slots::bonded_slot()),
            "grants_made_slot": hex::encode(slots::grants_made_slot(&app)),
            "grant_id": {"instance": instance, "context": "root", "generation": 3, "id": grant},
            "entries": [
                entry(EntryKind::App, app.as_bytes()),
                entry(EntryKind::AppVersion, &app_version_id(&app, 5)),
                entry(EntryKind::Instance, instance.as_bytes()),
                entry(EntryKind::UsedEvidence, Digest([14; 32]).as_bytes()),
                entry(EntryKind::Account, account.as_bytes()),
                entry(EntryKind::Deny, &deny_id(&app, DenySubject::Family, &[15; 6])),
                entry(EntryKind::Grant, grant.as_bytes()),
                entry(EntryKind::Anchor, &anchor_id(&instance, 6)),
                entry(EntryKind::Log, instance.as_bytes()),
                entry(EntryKind::Collateral, &collateral_id(CollateralKind::Dcap, &[16; 7])),
                entry(EntryKind::Deny, &deny_id(&AppId::CHAIN, DenySubject::Generation, &generation)),
                entry(EntryKind::Deny, &deny_id(&AppId::CHAIN, DenySubject::TcbLevel, &tcb)),
                entry(EntryKind::Governor, &slots::GOVERNOR_ID),
                entry(EntryKind::Tier, &slots::tier_id(3)),
                entry(EntryKind::Validator, Ed25519Key([17; 32]).as_bytes()),
                entry(EntryKind::Committee, &slots::term_id(18)),
                entry(EntryKind::Players, &slots::term_id(18)),
                entry(EntryKind::Roster, &slots::ROSTER_ID),
                entry(EntryKind::Turn, &slots::term_id(18)),
                entry(EntryKind::KeyContext, &slots::key_context_id(&app, "root")),
            ],
        }),
    );
}

#[test]
fn jcs_vectors() {
    let canonical: Vec<Value> = [
        json!({"\u{20ac}": 1, "\r": 2, "\u{fb33}": 3, "1": 4, "\u{1f600}": 5, "\u{80}": 6, "\u{f6}": 7}),
        json!({"b": [true, false, null, -9_007_199_254_740_991_i64], "a": {"": "\u{0}\u{8}\t\n\u{c}\r\u{1f} \"\\/"}}),
        json!([]),
        json!("\u{1f600}"),
    ]
    .into_iter()
    .map(|value| json!({"jcs": to_jcs(&value).unwrap()}))
    .collect();
    let refused: Vec<Value> = [
        ("members out of order", r#"{"b":1,"a":2}"#.to_owned()),
        ("member twice", r#"{"a":1,"a":1}"#.to_owned()),
        ("space", r#"{"a": 1}"#.to_owned()),
        ("escape that is not needed", "\"\\u0041\"".to_owned()),
        ("escape in upper case", "\"\\u001F\"".to_owned()),
        ("float", "1.0".to_owned()),
        ("exponent", "1e2".to_owned()),
        ("negative zero", "-0".to_owned()),
        ("integer above 53 bits", "9007199254740992".to_owned()),
        ("nested too deep", format!("{}{}", "[".repeat(33), "]".repeat(33))),
        ("bytes after the value", "1 ".to_owned()),
        ("nothing", String::new()),
    ]
    .into_iter()
    .map(|(fault, text)| {
        assert!(parse_canonical(&text, 4_096).is_err(), "{fault}");
        json!({"fault": fault, "text": text})
    })
    .collect();
    check("jcs.json", &json!({"canonical": canonical, "refused": refused}));
}

#[test]
fn app_id_vectors() {
    let creator: Account = "0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266".parse().unwrap();
    check(
        "app-ids.json",
        &json!({
            "creator": creator, "oasis_address": hex::encode(oasis_address(&creator)),
            "creator_nonce": [
                {"nonce": 0, "id": app_id_from_creator_nonce(&creator, 0)},
                {"nonce": 258, "id": app_id_from_creator_nonce(&creator, 258)},
            ],
            "creator_round_index": [
                {"round": 42, "index": 1, "id": app_id_from_creator_round_index(&creator, 42, 1)},
            ],
            "name": [{"name": "test global app", "id": app_id_from_name("test global app")}],
        }),
    );
}

#[test]
fn merkle_vectors() {
    let entries: Vec<Vec<u8>> = (0..13u8).map(|i| vec![i; i.into()]).collect();
    let tree = MerkleTree::from_leaves(entries.iter().map(|entry| leaf_hash(entry)));
    let roots: Vec<_> = (0..=13).map(|size| tree.root_at(size).unwrap()).collect();
    let inclusion: Vec<_> = [(0, 1), (0, 2), (4, 5), (6, 7), (2, 13), (12, 13)]
        .map(|(position, size): (u64, u64)| {
            let path = tree.inclusion_path(position, size).unwrap();
            let leaf = tree.leaf(position).unwrap();
            verify_inclusion(&roots[size as usize], size, position, &leaf, &path).unwrap();
            json!({"position": position, "size": size, "leaf": leaf, "path": path})
        })
        .into();
    let consistency: Vec<_> = [(1, 2), (3, 7), (4, 7), (6, 8), (8, 13), (13, 13)]
        .map(|(old, new): (u64, u64)| {
            let path = tree.consistency_path(old, new).unwrap();
            let head = |size: u64| TreeHead { size, root: roots[size as usize] };
            verify_consistency(&head(old), &head(new), &path).unwrap();
            json!({"old": old, "new": new, "path": path})
        })
        .into();
    let entries: Vec<_> = entries.iter().map(hex::encode).collect();
    check(
        "merkle.json",
        &json!({"entries": entries, "roots": roots, "inclusion": inclusion, "consistency": consistency}),
    );
}

#[test]
fn app_key_vectors() {
    let keys: Vec<_> = [KeyKind::Raw256, KeyKind::Raw384, KeyKind::Ed25519, KeyKind::Secp256k1]
        .map(|kind| json!({"kind": kind.as_str(), "key": hex::encode(&*app_key(b"key", kind, b"key id"))}))
        .into();
    check("app-keys.json", &json!({"root": hex::encode("key"), "key_id": "key id", "keys": keys}));
}
