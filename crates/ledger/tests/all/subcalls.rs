//! `SUBCALL` on a chain: contracts ask who signed, and manage apps, over the same entries as `Apps`.
#![allow(clippy::unwrap_used)]

use crate::common::{Fields, address, key, machine};
use crate::registry::{IApps, INSTANCE, OWNER, PROVIDER, Registry, module, policy};
use alloy_primitives::{Address, Bytes, address as literal, hex};
use freehold_crypto::{app_id_from_creator_round_index, slots};
use freehold_ledger::{Outcome, Status, to_account};
use freehold_primitives::{
    AppId, AppPolicy, Canonical as _, CborValue,
    entries::{AppEntry, EntryKind, Metadata, MetadataPair},
};

const SUBCALL: Address = literal!("0x0100000000000000000000000000000000000103");
const CALL: u8 = 0xf1;
const STATICCALL: u8 = 0xfa;
/// A method that runs, and its answer's code.
const OK: u64 = 0;

/// Code that calls `target` with its own call data and gives back what came, or reverts with it.
fn forward(kind: u8, target: Address) -> Vec<u8> {
    let mut code = hex!("365f5f37 5f5f365f").to_vec();
    code.extend_from_slice(if kind == CALL { &[0x5f] } else { &[] });
    code.push(0x73);
    code.extend_from_slice(target.as_slice());
    code.extend([0x5a, kind]);
    code.extend(hex!("3d5f5f3e"));
    let end = code.len() as u8 + 7;
    code.extend([0x60, end, 0x57, 0x3d, 0x5f, 0xfd, 0xfe]);
    code.extend(hex!("5b3d5ff3"));
    code
}

fn deploy(registry: &mut Registry, code: &[u8]) -> Address {
    // Public: in a confidential contract an unsigned query would have no sender.
    let init = machine::constructor(&[machine::make_public(), vec![0x50]].concat(), code);
    let sender = key(9);
    let fields = Fields { data: init, nonce: registry.chain.nonce(&sender), ..Fields::default() };
    let transaction = registry.chain.sign_with(&sender, fields);
    let block = registry.chain.block(vec![transaction]);
    block.receipts[0].contract_address.unwrap()
}

fn encode(method: &str, body: &[u8]) -> Bytes {
    let padded = |bytes: &[u8]| {
        let mut out = vec![0; 24];
        out.extend((bytes.len() as u64).to_be_bytes());
        out.extend_from_slice(bytes);
        out.resize(out.len().next_multiple_of(32), 0);
        out
    };
    let (method, body) = (padded(method.as_bytes()), padded(body));
    let mut out = vec![0; 64];
    out[31] = 64;
    out[62..64].copy_from_slice(&(64 + method.len() as u16).to_be_bytes());
    [out, method, body].concat().into()
}

fn decode(output: &[u8]) -> (u64, Vec<u8>) {
    let number = |at: usize| u64::from_be_bytes(output[at + 24..at + 32].try_into().unwrap());
    (number(0), output[96..96 + number(64) as usize].to_vec())
}

struct Chain {
    registry: Registry,
    /// Forwards static calls.
    reader: Address,
    /// Forwards calls.
    writer: Address,
}

impl Chain {
    fn new() -> Self {
        let mut registry = Registry::new();
        let reader = deploy(&mut registry, &forward(STATICCALL, SUBCALL));
        let writer = deploy(&mut registry, &forward(CALL, SUBCALL));
        Self { registry, reader, writer }
    }

    fn query(&self, from: Address, method: &str, body: &CborValue<'_>) -> (u64, Vec<u8>) {
        let outcome: Outcome = self.registry.chain.call(from, self.reader, encode(method, &body.to_vec()));
        assert_eq!(outcome.status, Status::Success, "{method}");
        decode(&outcome.output)
    }

    /// A transaction of account 9 through the writing contract.
    fn change(&mut self, method: &str, body: &CborValue<'_>) -> (u64, Vec<u8>) {
        let sender = key(9);
        let data = encode(method, &body.to_vec());
        let transaction = self.registry.chain.sign(&sender, self.writer, 0, data);
        let block = self.registry.chain.block(vec![transaction]);
        assert!(block.receipts[0].envelope.status(), "{method}");
        decode(&block.receipts[0].output)
    }

    fn is_authorized_origin(&self, from: Address, app: &AppId) -> bool {
        match self.query(from, "rofl.IsAuthorizedOrigin", &CborValue::Bytes(app.as_bytes())) {
            (OK, answer) if answer == [0xf5] => true,
            (OK, answer) if answer == [0xf4] => false,
            other => panic!("{other:?}"),
        }
    }
}

fn wire(account: Address) -> [u8; 21] {
    let mut out = [0; 21];
    out[1..].copy_from_slice(account.as_slice());
    out
}

fn refused(code: u64) -> (u64, Vec<u8>) {
    (code, b"rofl".to_vec())
}

#[test]
fn the_origin_is_judged_by_the_registry() {
    let mut chain = Chain::new();
    let app = chain.registry.app;
    let instance = address(&key(INSTANCE));
    let origin_app = |chain: &Chain| chain.query(instance, "rofl.OriginApp", &CborValue::Null);
    assert!(!chain.is_authorized_origin(instance, &app));
    assert_eq!(origin_app(&chain), refused(12));

    let draft = chain.registry.draft(INSTANCE);
    chain.registry.register(&draft).unwrap();
    assert!(chain.is_authorized_origin(instance, &app));
    assert_eq!(origin_app(&chain), (OK, CborValue::Bytes(app.as_bytes()).to_vec()));
    assert!(!chain.is_authorized_origin(instance, &AppId::new([9; 20])));
    assert!(!chain.is_authorized_origin(address(&key(PROVIDER)), &app));
    // The contract in between is the caller, not the origin.
    assert!(!chain.is_authorized_origin(chain.reader, &app));

    let revoke = IApps::revokeCall { app: app.as_bytes().into(), instance: draft.instance_id().0.into(), reason: 1 };
    chain.registry.apps(OWNER, revoke).unwrap();
    assert!(!chain.is_authorized_origin(instance, &app), "from the next block on");
    assert_eq!(origin_app(&chain), refused(12));
}

#[test]
fn an_app_that_is_closed_authorises_nobody() {
    let mut chain = Chain::new();
    let app = chain.registry.app;
    let draft = chain.registry.draft(INSTANCE);
    chain.registry.register(&draft).unwrap();
    chain.registry.apps(OWNER, IApps::closeCall { app: app.as_bytes().into() }).unwrap();
    assert!(!chain.is_authorized_origin(address(&key(INSTANCE)), &app));
    let id = CborValue::map([("id", CborValue::Bytes(app.as_bytes()))]);
    assert_eq!(chain.query(Address::ZERO, "rofl.App", &id), refused(2));
    assert_eq!(chain.query(Address::ZERO, "rofl.AppInstances", &id), refused(2));
}

#[test]
fn a_lease_that_ends_ends_authorisation() {
    let mut chain = Chain::new();
    let app = chain.registry.app;
    let draft = chain.registry.draft(INSTANCE);
    chain.registry.register(&draft).unwrap();
    chain.registry.chain.time_ms += 400_000;
    chain.registry.chain.block(Vec::new());
    chain.registry.chain.block(Vec::new());
    assert!(!chain.is_authorized_origin(address(&key(INSTANCE)), &app));
}

#[test]
fn apps_and_instances_are_shown() {
    let mut chain = Chain::new();
    let app = chain.registry.app;
    let mut draft = chain.registry.draft(INSTANCE);
    draft.value = 10_u128.pow(18);
    chain.registry.register(&draft).unwrap();
    let id = CborValue::map([("id", CborValue::Bytes(app.as_bytes()))]);
    let (code, answer) = chain.query(Address::ZERO, "rofl.App", &id);
    assert_eq!(code, OK);
    let mut config = CborValue::read(&answer).unwrap().into_fields().unwrap();
    assert_eq!(config.required("id").unwrap().bytes().unwrap(), app.as_bytes());
    assert_eq!(config.required("admin").unwrap().bytes().unwrap(), wire(address(&key(OWNER))));
    let shown = AppPolicy::from_canonical(config.required("policy").unwrap().bytes().unwrap()).unwrap();
    assert_eq!(shown, policy());

    let (code, answer) = chain.query(Address::ZERO, "rofl.AppInstances", &id);
    assert_eq!(code, OK);
    let items = CborValue::read(&answer).unwrap().into_items().unwrap();
    assert_eq!(items.len(), 1);
    let instance = draft.instance_id();
    let one = CborValue::map([
        ("app", CborValue::Bytes(app.as_bytes())),
        ("instance", CborValue::Bytes(instance.as_bytes())),
    ]);
    assert_eq!(chain.query(Address::ZERO, "rofl.AppInstance", &one), (OK, items[0].to_vec()));
    let mut fields = items[0].clone().into_fields().unwrap();
    assert_eq!(fields.required("account").unwrap().bytes().unwrap(), wire(address(&key(INSTANCE))));
    assert_eq!(fields.required("provider").unwrap().bytes().unwrap(), wire(address(&key(PROVIDER))));
    let expires_at = chain.registry.instance(&instance).expires_at;
    let epoch_s = chain.registry.chain.ctx.genesis().epoch_s;
    assert_eq!(fields.required("expiration").unwrap().unsigned(), Ok(expires_at / epoch_s));
    assert_eq!(fields.required("metadata").unwrap(), CborValue::map([]));

    let said = Metadata { pairs: vec![MetadataPair { key: "version".to_owned(), value: "1.0.0".to_owned() }] };
    chain.registry.apps(INSTANCE, IApps::setMetadataCall { metadata: said.to_canonical().into() }).unwrap();
    let (_, answer) = chain.query(Address::ZERO, "rofl.AppInstance", &one);
    let mut fields = CborValue::read(&answer).unwrap().into_fields().unwrap();
    let shown = fields.required("metadata").unwrap();
    assert_eq!(shown, CborValue::map([("net.oasis.app.version", CborValue::Text("1.0.0"))]));

    let unknown = CborValue::map([("app", CborValue::Bytes(app.as_bytes())), ("instance", CborValue::Bytes(&[1; 32]))]);
    assert_eq!(chain.query(Address::ZERO, "rofl.AppInstance", &unknown), refused(12));
}

#[test]
fn a_contract_owns_an_app() {
    let mut chain = Chain::new();
    let document = policy().to_canonical();
    let empty = || CborValue::map([]);
    let create = CborValue::map([
        ("policy", CborValue::Bytes(&document)),
        ("scheme", CborValue::Unsigned(0)),
        ("metadata", empty()),
    ]);
    let (code, answer) = chain.change("rofl.Create", &create);
    assert_eq!(code, OK);
    let height = chain.registry.chain.tip().number;
    let app = app_id_from_creator_round_index(&to_account(&chain.writer), height, 0);
    assert_eq!(answer, CborValue::Bytes(app.as_bytes()).to_vec());
    let entry: AppEntry = chain.registry.entry(EntryKind::App, app.as_bytes()).unwrap();
    assert_eq!((entry.owner, &entry.policy), (to_account(&chain.writer), &policy()));

    let stricter = AppPolicy { lease_s_max: 100, ..policy() }.to_canonical();
    let update = |app: &AppId, admin: Address| {
        let (app, admin) = (*app.as_bytes(), wire(admin));
        let (app, admin, stricter): (&'static [u8], &'static [u8], &'static [u8]) =
            (Vec::from(app).leak(), Vec::from(admin).leak(), stricter.clone().leak());
        CborValue::map([
            ("id", CborValue::Bytes(app)),
            ("policy", CborValue::Bytes(stricter)),
            ("admin", CborValue::Bytes(admin)),
            ("secrets", CborValue::map([])),
            ("metadata", CborValue::map([])),
        ])
    };
    let others = chain.registry.app;
    assert_eq!(chain.change("rofl.Update", &update(&others, chain.writer)), refused(11));
    assert_eq!(chain.change("rofl.Update", &update(&AppId::new([1; 20]), chain.writer)), refused(2));
    // A new admin who is the zero address: refused, and with it the new policy.
    assert_eq!(chain.change("rofl.Update", &update(&app, Address::ZERO)), refused(1));
    let entry: AppEntry = chain.registry.entry(EntryKind::App, app.as_bytes()).unwrap();
    assert_eq!((entry.version, entry.policy.lease_s_max), (0, policy().lease_s_max));
    let (writer, update_own) = (chain.writer, update(&app, chain.writer));
    assert_eq!(chain.change("rofl.Update", &update_own), (OK, vec![0xf6]));
    let entry: AppEntry = chain.registry.entry(EntryKind::App, app.as_bytes()).unwrap();
    assert_eq!((entry.version, entry.policy.lease_s_max, entry.owner), (1, 100, to_account(&writer)));

    let remove = CborValue::map([("id", CborValue::Bytes(app.as_bytes()))]);
    assert_eq!(chain.query(Address::ZERO, "rofl.Remove", &remove), (25, b"core".to_vec()), "in a static call");
    assert_eq!(chain.change("rofl.Remove", &remove), (OK, vec![0xf6]));
    assert_eq!(chain.change("rofl.Remove", &remove), refused(2));
    let entry: AppEntry = chain.registry.entry(EntryKind::App, app.as_bytes()).unwrap();
    assert!(entry.closed_at.is_some());
}

#[test]
fn malformed_bodies_are_refused() {
    let mut chain = Chain::new();
    let core = |code: u64| (code, b"core".to_vec());
    let short = CborValue::Bytes(&[0; 20]);
    assert_eq!(chain.query(Address::ZERO, "rofl.IsAuthorizedOrigin", &short), core(10));
    assert_eq!(chain.query(Address::ZERO, "rofl.IsAuthorizedOrigin", &CborValue::Bytes(&[1; 21])), core(10));
    assert_eq!(chain.query(Address::ZERO, "rofl.OriginApp", &CborValue::Unsigned(0)), core(10));
    let id = CborValue::map([("id", CborValue::Bytes(&[0; 21])), ("more", CborValue::Null)]);
    assert_eq!(chain.query(Address::ZERO, "rofl.App", &id), core(10));
    for method in ["rofl.Nothing", "rofl.Register", "rofl.DeriveKey", "roflmarket.ProviderCreate", "Apps.create"] {
        assert_eq!(chain.query(Address::ZERO, method, &CborValue::Null), core(3), "{method}");
    }
    // Oasis's own policy has no meaning here.
    let theirs = CborValue::map([("policy", CborValue::map([])), ("scheme", CborValue::Unsigned(0))]);
    assert_eq!(chain.change("rofl.Create", &theirs), refused(1));
    // Scheme 1 names the app after the account that sent the transaction: not for contracts.
    let document = policy().to_canonical();
    let named = CborValue::map([("policy", CborValue::Bytes(&document)), ("scheme", CborValue::Unsigned(1))]);
    assert_eq!(chain.change("rofl.Create", &named), refused(1));
    let outcome = chain.registry.view(module(slots::APPS), IApps::appCall { id: [0; 21].into() });
    assert_eq!(outcome.status, Status::Revert, "`Apps` itself is as it was");
}
