//! A call made again over what was noted of it: the same outcome, and none where anything is missing.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;

use crate::common::{
    Chain, Fields, address, genesis, init_code, key,
    machine::{Op, confidential, public},
};
use alloy_primitives::{Address, B256, Bytes, U256, hex};
use freehold_ledger::{
    CallError, CallRequest, Outcome, Parent, ReadSet, Recorder, StateTree as _, Witness, call, estimate_gas,
};
use freehold_primitives::Digest;

fn send(chain: &mut Chain, to: Option<Address>, data: Bytes) -> Option<Address> {
    let fields = Fields { to, data, nonce: chain.nonce(&key(1)), ..Fields::default() };
    let block = chain.block(vec![chain.sign_with(&key(1), fields)]);
    assert!(block.receipts[0].envelope.status());
    block.receipts[0].contract_address
}

fn request(to: Address, data: Bytes) -> CallRequest {
    CallRequest { from: address(&key(2)), to: Some(to), data, entropy: B256::repeat_byte(7), ..CallRequest::default() }
}

/// What a call reads, as a node without state keys notes it.
fn noted(chain: &Chain, request: &CallRequest) -> ReadSet {
    let recorder = Recorder::new(&chain.state, chain.parent().content, chain.parent().hashes);
    let parent = Parent { header: chain.tip(), content: &recorder, hashes: &recorder, keys: None };
    drop(call(&chain.ctx, parent, &recorder, request));
    recorder.finish()
}

type Values = BTreeMap<Digest, Option<Vec<u8>>>;

fn values(chain: &Chain, read: &ReadSet) -> Values {
    read.keys.iter().map(|key| (*key, chain.state.get(key).unwrap())).collect()
}

fn again(chain: &Chain, request: &CallRequest, values: Values, read: &ReadSet) -> (Result<Outcome, CallError>, bool) {
    let content = read.content.values().cloned().collect();
    let headers = read.headers.values().cloned().collect();
    let witness = Witness::new(chain.tip().clone(), values, content, headers);
    let parent = Parent { header: chain.tip(), content: &witness, hashes: &witness, keys: None };
    let result = call(&chain.ctx, parent, &witness, request);
    (result, witness.missing())
}

#[test]
fn a_call_has_the_same_outcome_and_needs_all_that_it_read() {
    let mut chain = Chain::new(genesis(Vec::new()));
    let contract = send(&mut chain, None, public()).unwrap();
    // BLOCKHASH of the height in the call data.
    let hashes = send(&mut chain, None, init_code(&hex!("5f35405f5260205ff3"))).unwrap();
    send(&mut chain, Some(contract), Op::Store(U256::from(3), U256::from(99)).data());
    let cases = [
        (contract, Op::Read(U256::from(3)).data()),
        (contract, Op::Read(U256::from(4)).data()),
        (contract, Op::Call(hashes, Bytes::from(B256::ZERO)).data()),
        (contract, Op::StoreAndRevert(U256::from(3), U256::from(1)).data()),
        (hashes, Bytes::from(B256::from(U256::from(1)))),
        (hashes, Bytes::from(B256::from(U256::from(1_000_000)))),
        (address(&key(9)), Bytes::new()),
    ];
    for (to, data) in cases {
        let request = request(to, data);
        let said = call(&chain.ctx, chain.parent(), &chain.state, &request).unwrap();
        let read = noted(&chain, &request);
        let (told, missing) = again(&chain, &request, values(&chain, &read), &read);
        assert_eq!((told.unwrap(), missing), (said.clone(), false));
        for key in &read.keys {
            let mut fewer = values(&chain, &read);
            fewer.remove(key);
            let (told, missing) = again(&chain, &request, fewer, &read);
            // The newest block's own hash stands in its header: its place in the history is read by nobody.
            assert!(missing || told.unwrap() == said, "without {key}");
        }
        for digest in read.content.keys() {
            let mut fewer = read.clone();
            fewer.content.remove(digest);
            assert!(again(&chain, &request, values(&chain, &read), &fewer).1, "without {digest}");
        }
        for (height, header) in &read.headers {
            let mut other = read.clone();
            other.headers.insert(*height, alloy_consensus::Header { gas_used: 1, ..header.clone() });
            assert!(again(&chain, &request, values(&chain, &read), &other).1, "another header {height}");
        }
    }
}

#[test]
fn a_call_ends_where_confidential_storage_begins() {
    let mut chain = Chain::new(genesis(Vec::new()));
    let contract = send(&mut chain, None, confidential()).unwrap();
    let request = request(contract, Op::Read(U256::from(3)).data());
    let read = noted(&chain, &request);
    let (told, missing) = again(&chain, &request, values(&chain, &read), &read);
    assert!(matches!(told, Err(CallError::Follower)) && !missing);
}

#[test]
fn an_estimate_is_the_same() {
    let mut chain = Chain::new(genesis(Vec::new()));
    let contract = send(&mut chain, None, public()).unwrap();
    let request = request(contract, Op::Store(U256::from(8), U256::from(1)).data());
    let recorder = Recorder::new(&chain.state, chain.parent().content, chain.parent().hashes);
    let parent = Parent { header: chain.tip(), content: &recorder, hashes: &recorder, keys: None };
    let said = estimate_gas(&chain.ctx, parent, &recorder, &request).unwrap();
    let read = recorder.finish();
    let content = read.content.values().cloned().collect();
    let witness = Witness::new(chain.tip().clone(), values(&chain, &read), content, Vec::new());
    let parent = Parent { header: chain.tip(), content: &witness, hashes: &witness, keys: None };
    assert_eq!(estimate_gas(&chain.ctx, parent, &witness, &request).unwrap(), said);
    assert!(!witness.missing());
    // Nothing changes through a recorder or a witness.
    let mut witness = witness;
    assert!(witness.apply(9, &[]).is_err() && witness.prove(&Digest::ZERO).is_err());
    assert!(witness.leaves(&Digest::ZERO, 1).is_err());
}
