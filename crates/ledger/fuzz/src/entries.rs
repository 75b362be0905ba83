//! One entry for everything that a stranger can send to a chain: envelopes and their answers, CBOR, signed queries, input of
//! every precompile and module, transactions. Bytes in, and neither a panic nor a broken promise may come out.
//!
//! Shared by the coverage-guided targets and by the short smoke of the ordinary tests. The promises checked here: CBOR that
//! is read is canonical, a call answers twice alike and within its gas, and no transaction stops a block.

use std::collections::BTreeMap;

use alloy_consensus::Header;
use alloy_primitives::{Address, B256, Bytes, keccak256};
use freehold_crypto::{
    CallData, Deoxys, FailureForm, SignedQuery, StateKeys, deoxys_shared_key, payload_digest, seal_call, slots,
    x25519_public,
};
use freehold_ledger::{
    CallError, CallRequest, ChainContext, Content, MemoryTree, Ordered, Parent, StateTree, admit, call,
    call_data_secret, execute_payload, genesis_block, intrinsic_gas, prepare_payload, to_address,
};
use freehold_primitives::{
    Account, Allocation, Blob, Canonical as _, CborValue, Digest, Ed25519Key, Ed25519Signature, Executed, Genesis,
    Height, KeyCeremony, Membership, NetworkKey, Payload, PayloadBody, PayloadHead, TermTurn, X25519Key,
};
use zeroize::Zeroizing;

/// A parser under test.
pub type Entry = fn(&[u8]);

/// Every entry by name.
pub const ENTRIES: &[(&str, Entry)] = &[
    ("cbor", cbor),
    ("call_data", call_data),
    ("call_inner", call_inner),
    ("call_answer", call_answer),
    ("signed_query", signed_query),
    ("precompiles", precompiles),
    ("subcall", subcall),
    ("modules", modules),
    ("transaction", transaction),
    ("turn", turn),
];

const START_MS: u64 = 1_760_000_000_000;
/// Gas of a call: what a slow precompile may use of it is bounded by its price.
const GAS: u64 = 500_000;
/// Last bytes of the addresses of Sapphire's precompiles.
const PRECOMPILES: [[u8; 2]; 14] =
    [[0, 1], [0, 2], [0, 3], [0, 4], [0, 5], [0, 6], [0, 7], [0, 8], [0, 9], [0, 10], [1, 1], [1, 2], [1, 3], [1, 4]];
const METHODS: [&str; 16] = [
    "core.CallDataPublicKey",
    "core.CurrentEpoch",
    "accounts.Transfer",
    "consensus.Delegate",
    "consensus.Undelegate",
    "consensus.TakeReceipt",
    "consensus.Delegation",
    "consensus.SharesToTokens",
    "consensus.RoundRoot",
    "rofl.IsAuthorizedOrigin",
    "rofl.OriginApp",
    "rofl.App",
    "rofl.Create",
    "rofl.Update",
    "rofl.AppInstances",
    "evm.Call",
];
/// Functions of the modules (`contracts/interfaces/`).
const FUNCTIONS: [(Account, &[&str]); 6] = [
    (
        slots::APPS,
        &[
            "create(uint8,bytes)",
            "update(bytes21,bytes)",
            "setOwner(bytes21,address)",
            "close(bytes21)",
            "register(bytes,bytes,bytes)",
            "deregister(bytes32)",
            "revoke(bytes21,bytes32,uint8)",
            "deny(bytes21,uint8,bytes,uint8)",
            "scheduleProtocol(uint32,uint64,string)",
            "protocol()",
            "app(bytes21)",
            "instance(bytes32)",
            "instances(bytes21,uint64)",
            "isAuthorized(bytes21,address)",
            "denied(bytes21,uint8,bytes)",
            "setUpgradeRule(bytes21,uint64,address[],uint32)",
            "announceUpgrade(bytes21,bytes)",
            "approveUpgrade(bytes21,bytes32)",
            "activateUpgrade(bytes21)",
            "rollBack(bytes21,uint32)",
            "audit(bytes21,bytes32,uint8,bytes32,string)",
            "upgradeRule(bytes21)",
        ],
    ),
    (
        slots::KEYS,
        &[
            "request(string)",
            "grant(bytes32)",
            "grants(bytes32)",
            "rotateStateKey()",
            "stateKeyStatus()",
            "stateKey(uint32)",
            "callDataKey(uint64)",
        ],
    ),
    (slots::LOG, &["anchor(uint64,bytes32,bytes32)", "log(bytes32)", "anchorAt(bytes32,uint64)"]),
    (slots::COLLATERAL, &["submit(uint8,bytes,bytes)", "collateral(uint8,bytes)", "document(uint8,bytes)"]),
    (slots::VISIBILITY, &["makePublic()", "visibilityOf(address)"]),
    (
        slots::VALIDATORS,
        &[
            "join(bytes32,address,string,bytes)",
            "bond(bytes32)",
            "resign(bytes32)",
            "withdraw(bytes32)",
            "unjail(bytes32)",
            "setAddress(bytes32,string)",
            "setPayee(bytes32,address)",
            "attest(bytes32,bytes)",
            "reportDoubleProposal(bytes,bytes,bytes,bytes)",
            "turn(bytes,uint256)",
            "validator(bytes32)",
            "committee(uint64)",
            "players(uint64)",
            "roster()",
            "turnOf(uint64)",
            "bonded()",
        ],
    ),
];

/// A chain with its first block, so that it has keys.
struct Chain {
    context: ChainContext,
    state: MemoryTree,
    content: BTreeMap<Digest, Vec<u8>>,
    headers: BTreeMap<Height, Header>,
    head: PayloadHead,
    keys: StateKeys,
    /// Public and secret call-data key of the epoch.
    call_data: (X25519Key, [u8; 32]),
    epoch: u64,
}

thread_local! {
    static CHAIN: Chain = Chain::new(genesis());
    /// One whose next payload begins a term.
    static TURNING: Chain = Chain::new(genesis_with_terms());
}

fn genesis() -> Genesis {
    let mut balance = [0; 32];
    balance[8] = 1;
    Genesis {
        chain_id: 23_293,
        purpose: freehold_primitives::Purpose::Development,
        timestamp_ms: START_MS,
        epoch_s: 600,
        lease_s: 600,
        validators: Vec::new(),
        consensus_polynomial: Blob::default(),
        derivation_polynomial: Vec::new(),
        key_ceremony: KeyCeremony::TrustedDealer,
        trust_roots: Vec::new(),
        allocations: vec![Allocation { account: Account([0x11; 20]), balance }],
        membership: Membership::default(),
    }
}

fn genesis_with_terms() -> Genesis {
    Genesis {
        validators: (1..=4).map(|number| Ed25519Key([number; 32])).collect(),
        derivation_polynomial: vec![NetworkKey([1; 96])],
        membership: Membership { term_blocks: 2, ..Membership::default() },
        ..genesis()
    }
}

impl Chain {
    fn new(genesis: Genesis) -> Self {
        let context = ChainContext::new(genesis).expect("a genesis of ours");
        let mut state = MemoryTree::default();
        let block = genesis_block(&context, &mut state).expect("a genesis of ours");
        let head = PayloadHead {
            chain_id: context.chain_id(),
            height: 0,
            term: 0,
            view: 0,
            parent: Digest::ZERO,
            timestamp_ms: START_MS,
            proposer: 0,
            executed: Executed { height: 0, block_hash: Digest(block.hash.0) },
            parent_seed: None,
            body: Digest::ZERO,
        };
        let mut chain = Self {
            context,
            state,
            content: block.content.into_iter().collect(),
            headers: BTreeMap::from([(0, block.header)]),
            head,
            keys: StateKeys::development(Zeroizing::new([0x5e; 32])),
            call_data: (X25519Key([0; 32]), [0; 32]),
            epoch: START_MS / 1000 / 600,
        };
        let payload = chain.payload(Vec::new());
        let header = &chain.headers[&0];
        let parent = Parent { header, content: &chain.content, hashes: &chain.headers, keys: Some(&chain.keys) };
        let block =
            execute_payload(&chain.context, parent, &payload, None, &mut chain.state).expect("an empty payload");
        chain.content.extend(block.content);
        chain.headers.insert(1, block.header);
        chain.head = payload.head;
        let state = (&chain.state as &dyn StateTree, &chain.content as &dyn Content);
        let secret = call_data_secret(&chain.context, &chain.keys, chain.epoch, state).expect("state in memory");
        let secret = secret.expect("the first block makes the key known");
        chain.call_data = (secret.public(), *secret.to_bytes());
        chain
    }

    fn payload(&self, transactions: Vec<Vec<u8>>) -> Payload {
        let body = PayloadBody { transactions: transactions.into_iter().map(Blob).collect(), ..PayloadBody::default() }
            .to_canonical();
        let head = PayloadHead {
            height: self.head.height + 1,
            parent: payload_digest(&self.head),
            timestamp_ms: self.head.timestamp_ms + 1000,
            body: freehold_crypto::body_digest(&body),
            ..self.head.clone()
        };
        Payload { head, body: Blob(body), signature: Ed25519Signature::ZERO }
    }

    fn parent(&self) -> Parent<'_> {
        let header = &self.headers[&self.head.height];
        Parent { header, content: &self.content, hashes: &self.headers, keys: Some(&self.keys) }
    }
}

/// Calls over the newest state: twice alike, and within the gas.
fn ask(to: Address, data: impl Into<Bytes>) {
    let request = CallRequest {
        from: Address::repeat_byte(0x11),
        to: Some(to),
        data: data.into(),
        gas: Some(GAS),
        entropy: B256::repeat_byte(9),
        ..CallRequest::default()
    };
    CHAIN.with(|chain| {
        let run = || call(&chain.context, chain.parent(), &chain.state, &request);
        match (run(), run()) {
            (Ok(one), Ok(two)) => {
                assert!(one.gas_used <= GAS, "no more gas than was given");
                assert_eq!(one, two, "a call answers alike");
            }
            (Err(CallError::Ledger(error)), _) => panic!("a call broke the chain: {error}"),
            (one, two) => assert!(one.is_err() && two.is_err(), "a call answers alike"),
        }
    });
}

fn cbor(bytes: &[u8]) {
    let Ok(value) = CborValue::read(bytes) else { return };
    assert_eq!(value.to_vec(), bytes, "what is read is canonical");
    let _ = value.amount();
    let _ = value.clone().into_items();
    if let Ok(fields) = value.into_fields() {
        assert!(fields.entries().count() <= bytes.len(), "no more fields than bytes");
    }
}

/// Call data as it is sent; and what it costs is told before it is opened.
fn call_data(bytes: &[u8]) {
    if let CallData::Sealed(call) = CallData::read(bytes) {
        let _ = CHAIN.with(|chain| call.open(&chain.call_data.1).map(|opened| opened.data));
    }
    ask(Address::repeat_byte(0x22), bytes.to_vec());
}

/// What stands inside an envelope that opens.
fn call_inner(bytes: &[u8]) {
    let (public, secret) = CHAIN.with(|chain| chain.call_data);
    let client = [7; 32];
    let key = Deoxys::new(&deoxys_shared_key(&public.0, &client));
    let sealed = key.seal(&[3; 15], bytes, &[]);
    let fields = [
        ("pk", CborValue::Bytes(&x25519_public(&client))),
        ("data", CborValue::Bytes(&sealed)),
        ("nonce", CborValue::Bytes(&[3; 15])),
    ];
    let body = CborValue::map(fields);
    let call = CborValue::map([("body", body), ("format", CborValue::Unsigned(1))]).to_vec();
    let CallData::Sealed(read) = CallData::read(&call) else { panic!("an envelope of ours is one") };
    let _ = read.open(&secret).map(|opened| opened.data);
    ask(Address::repeat_byte(0x22), call);
}

/// The answer to a call, as a client reads it, in the open and under its key.
fn call_answer(bytes: &[u8]) {
    let (public, _) = CHAIN.with(|chain| chain.call_data);
    let (_, opener) = seal_call((&public, 1), b"data", FailureForm::Sealed, &mut Fixed);
    let _ = opener.open(bytes);
    let key = Deoxys::new(&deoxys_shared_key(&public.0, &[7; 32]));
    let sealed = key.seal(&[3; 15], bytes, &[]);
    let inner = CborValue::map([("data", CborValue::Bytes(&sealed)), ("nonce", CborValue::Bytes(&[3; 15]))]);
    let _ = opener.open(&CborValue::map([("ok", inner)]).to_vec());
}

/// A generator that always gives the same: fuzzing wants no chance.
struct Fixed;

impl rand_core::TryRng for Fixed {
    type Error = core::convert::Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Self::Error> {
        Ok(0x0707_0707)
    }

    fn try_next_u64(&mut self) -> Result<u64, Self::Error> {
        Ok(0x0707_0707_0707_0707)
    }

    fn try_fill_bytes(&mut self, bytes: &mut [u8]) -> Result<(), Self::Error> {
        bytes.fill(7);
        Ok(())
    }
}

impl rand_core::TryCryptoRng for Fixed {}

fn signed_query(bytes: &[u8]) {
    if let Some(query) = SignedQuery::read(bytes) {
        let _ = query.proof.pack(b"");
    }
    ask(Address::repeat_byte(0x22), bytes.to_vec());
}

/// The first byte names a precompile, Sapphire's or Ethereum's.
fn precompiles(bytes: &[u8]) {
    let Some((first, input)) = bytes.split_first() else { return };
    let place = usize::from(*first) % (PRECOMPILES.len() + 0x11);
    let mut address = [0; 20];
    if let Some(last) = PRECOMPILES.get(place) {
        address[0] = 1;
        address[18..].copy_from_slice(last);
    } else {
        address[19] = (place - PRECOMPILES.len() + 1) as u8;
    }
    ask(Address::from(address), input.to_vec());
}

/// The first byte names a method, the rest is its body.
fn subcall(bytes: &[u8]) {
    let Some((first, body)) = bytes.split_first() else { return };
    let method = METHODS[usize::from(*first) % METHODS.len()].as_bytes();
    let padded = |bytes: &[u8]| {
        let mut out = vec![0; 24];
        out.extend((bytes.len() as u64).to_be_bytes());
        out.extend_from_slice(bytes);
        out.resize(out.len().next_multiple_of(32), 0);
        out
    };
    let (method, body) = (padded(method), padded(body));
    let mut input = vec![0; 64];
    input[31] = 64;
    input[56..].copy_from_slice(&(64 + method.len() as u64).to_be_bytes());
    let mut to = [0; 20];
    (to[0], to[18], to[19]) = (1, 1, 3);
    ask(Address::from(to), [input, method, body].concat());
}

/// The first byte names a function of a module, or none; the rest are its arguments.
fn modules(bytes: &[u8]) {
    let Some((first, arguments)) = bytes.split_first() else { return };
    let all = FUNCTIONS.iter().flat_map(|(module, names)| names.iter().map(move |name| (module, name)));
    let count = all.clone().count();
    let (module, name) = all.clone().nth(usize::from(*first) % count).expect("below the count");
    let selector = &keccak256(name)[..4];
    let to = to_address(module);
    ask(to, [selector, arguments].concat());
    ask(to, arguments.to_vec());
}

/// A transaction as it is sent, and a payload that holds it.
fn transaction(bytes: &[u8]) {
    CHAIN.with(|chain| {
        if let Ok(admitted) = admit(&chain.context, bytes) {
            assert!(intrinsic_gas(admitted.transaction()) >= 21_000, "every transaction costs");
        }
        let payload = chain.payload(vec![bytes.to_vec()]);
        let ordered = Ordered { payload: &payload, seed: None, admitted: &() };
        let block = prepare_payload(&chain.context, chain.parent(), ordered, &chain.state);
        assert!(block.is_ok(), "no transaction stops a block");
    });
}

/// The turn of a payload that begins a term, or its whole body: executed or refused by name, and what is executed was fit
/// for a vote.
fn turn(bytes: &[u8]) {
    TURNING.with(|chain| {
        let body = match TermTurn::from_canonical(bytes) {
            Ok(turn) => PayloadBody { turn: Some(turn), ..PayloadBody::default() }.to_canonical(),
            Err(_) => bytes.to_vec(),
        };
        let mut payload = chain.payload(Vec::new());
        (payload.head.term, payload.head.body) = (1, freehold_crypto::body_digest(&body));
        payload.body = Blob(body);
        let ordered = Ordered { payload: &payload, seed: None, admitted: &() };
        let block = prepare_payload(&chain.context, chain.parent(), ordered, &chain.state);
        assert!(block.is_err() || payload.body.0.len() > 10, "a term begins with a turn");
    });
}
