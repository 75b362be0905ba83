//! Blocks seen from outside: transfers, contracts, failures, fees, roots, and what is left out.
#![allow(clippy::unwrap_used)]

use crate::common::{
    CHAIN_ID, Chain, Fields, GWEI, PRICE, access_list, address, delegate, genesis, init_code, key, legacy,
};
use alloy_consensus::{
    constants::{EMPTY_RECEIPTS, EMPTY_TRANSACTIONS},
    proofs::{calculate_receipt_root, calculate_transaction_root},
};
use alloy_primitives::{Address, B256, Bytes, U256, hex};
use freehold_crypto::payload_digest;
use freehold_ledger::{
    Admitted, BASE_FEE_MIN, CallError, CallRequest, HISTORY_CONTRACT, LedgerError, Ordered, PAYLOAD_ROOTS_CONTRACT,
    Parent, PayloadRefusal, Recovered, SkipReason, Status, TransactionRefusal, admit, call, check_payload,
    check_payload_with, estimate_gas, execute_payload, prepare_payload,
};
use freehold_primitives::{Blob, Canonical as _, G1Point, Payload, PayloadBody};

/// Adds one to slot 0 and logs the old value.
const COUNTER: [u8; 15] = hex!("5f54806001015f555f5260205fa000");

fn chain() -> Chain {
    Chain::new(genesis(Vec::new()))
}

fn ordered(payload: &Payload) -> Ordered<'_> {
    Ordered { payload, seed: None, admitted: &() }
}

/// Someone who holds nothing at genesis.
fn stranger() -> Address {
    Address::repeat_byte(0xaa)
}

#[test]
fn transfers_of_all_types_move_value() {
    let mut chain = chain();
    let (one, two, three) = (key(1), key(2), key(3));
    let transfer = chain.sign_with(&one, Fields { to: Some(stranger()), value: 5, gas: 21_000, ..Fields::default() });
    let transactions = vec![transfer, legacy(&two, 0, stranger(), Some(CHAIN_ID)), access_list(&three, 0, stranger())];
    let before = chain.balance(&address(&one));
    let block = chain.block(transactions);
    assert_eq!(block.skipped, vec![]);
    assert_eq!(chain.balance(&stranger()), U256::from(7));
    assert_eq!(block.receipts[0].gas_used, 21_000);
    let fee = 21_000 * block.receipts[0].effective_gas_price;
    assert_eq!(before - chain.balance(&address(&one)), U256::from(fee + 5));
    assert_eq!(block.transactions[1].sender, address(&two));
    assert_eq!(block.header.gas_used, block.receipts.iter().map(|receipt| receipt.gas_used).sum::<u64>());
}

#[test]
fn contract_is_deployed_called_and_read() {
    let mut chain = chain();
    let one = key(1);
    let deploy = chain.sign_with(&one, Fields { data: init_code(&COUNTER), ..Fields::default() });
    let block = chain.block(vec![deploy]);
    let contract = block.receipts[0].contract_address.unwrap();
    assert_eq!(contract, address(&one).create(0));
    for count in 0..3_u64 {
        let block = chain.block(vec![chain.sign(&one, contract, 0, Bytes::new())]);
        assert_eq!(block.receipts[0].envelope.logs()[0].data.data.as_ref(), B256::from(U256::from(count)).as_slice());
        assert_eq!(chain.storage(&contract, 0), U256::from(count + 1));
    }
}

#[test]
fn revert_and_lack_of_gas_keep_the_fee_and_nothing_else() {
    let mut chain = chain();
    let one = key(1);
    // Writes slot 0, then reverts; and one that loops forever.
    let reverter = hex!("60015f555f5ffd");
    let looper = hex!("5b5f56");
    let deploys = [&reverter[..], &looper[..]].into_iter().enumerate().map(|(nonce, code)| {
        chain.sign_with(&one, Fields { nonce: nonce as u64, data: init_code(code), ..Fields::default() })
    });
    let deploys = deploys.collect();
    let block = chain.block(deploys);
    let made: Vec<Address> = block.receipts.iter().map(|receipt| receipt.contract_address.unwrap()).collect();
    let calls = [2, 3].map(|nonce| {
        let to = Some(made[nonce as usize - 2]);
        chain.sign_with(&one, Fields { nonce, to, gas: 100_000, ..Fields::default() })
    });
    let block = chain.block(calls.to_vec());
    assert!(block.receipts.iter().all(|receipt| !receipt.envelope.status()));
    assert_eq!(chain.storage(&made[0], 0), U256::ZERO);
    assert!(block.receipts[0].gas_used < 100_000);
    assert_eq!(block.receipts[1].gas_used, 100_000);
    assert_eq!(chain.nonce(&one), 4);
}

#[test]
fn an_account_takes_on_code_by_eip_7702() {
    let mut chain = chain();
    let (one, two) = (key(1), key(2));
    let deploy = chain.sign_with(&one, Fields { data: init_code(&COUNTER), ..Fields::default() });
    let contract = chain.block(vec![deploy]).receipts[0].contract_address.unwrap();
    let block = chain.block(vec![delegate(&one, 1, &two, 0, contract)]);
    assert!(block.receipts[0].envelope.status());
    // The counter ran in the storage of the account that took it on.
    assert_eq!(chain.storage(&address(&two), 0), U256::from(1));
    assert_eq!(chain.storage(&contract, 0), U256::ZERO);
    let block = chain.block(vec![chain.sign(&one, address(&two), 0, Bytes::new())]);
    assert!(block.receipts[0].envelope.status());
    assert_eq!(chain.storage(&address(&two), 0), U256::from(2));
}

#[test]
fn header_is_ethereums() {
    let mut chain = chain();
    let one = key(1);
    chain.time_ms += 1_700;
    let payload = chain.payload(vec![chain.sign(&one, stranger(), 1, Bytes::new())]);
    let seed = G1Point([7; 48]);
    let parent = Parent {
        header: &chain.headers[&0].clone(),
        content: &chain.content,
        hashes: &chain.headers,
        keys: chain.keys.as_ref(),
    };
    let block = execute_payload(&chain.ctx, parent, &payload, Some(&seed), &mut chain.state).unwrap();
    let header = &block.header;
    assert_eq!(header.parent_hash, chain.headers[&0].hash_slow());
    assert_eq!(header.timestamp, crate::common::START_MS / 1000 + 1);
    assert_eq!(header.parent_beacon_block_root.unwrap().0, payload_digest(&payload.head).0);
    assert_ne!(header.mix_hash, B256::ZERO);
    assert_eq!(header.state_root.0, chain.root().0);
    let envelopes: Vec<_> = block.transactions.iter().map(|tx| tx.envelope.clone()).collect();
    assert_eq!(header.transactions_root, calculate_transaction_root(&envelopes));
    let receipts: Vec<_> = block.receipts.iter().map(|receipt| receipt.envelope.clone()).collect();
    assert_eq!(header.receipts_root, calculate_receipt_root(&receipts));
    assert_eq!(block.hash, header.hash_slow());
    let genesis = &chain.headers[&0];
    assert_eq!((genesis.transactions_root, genesis.receipts_root), (EMPTY_TRANSACTIONS, EMPTY_RECEIPTS));
}

#[test]
fn block_hashes_and_payload_digests_are_kept_on_chain() {
    let mut chain = chain();
    chain.block(vec![]);
    let block = chain.block(vec![]);
    let parent = U256::from(block.header.number - 1).to_be_bytes::<32>();
    let outcome = chain.call(stranger(), HISTORY_CONTRACT, parent);
    assert_eq!(outcome.output.as_ref(), block.header.parent_hash.as_slice());
    let time = U256::from(block.header.timestamp).to_be_bytes::<32>();
    let outcome = chain.call(stranger(), PAYLOAD_ROOTS_CONTRACT, time);
    assert_eq!(outcome.output.as_ref(), block.header.parent_beacon_block_root.unwrap().as_slice());
}

#[test]
fn base_fee_moves_once_a_second() {
    let mut chain = chain();
    let one = key(1);
    // Loops until its gas is gone: 16 million gas each.
    let deploy = chain.sign_with(&one, Fields { data: init_code(&hex!("5b5f56")), ..Fields::default() });
    let contract = chain.block(vec![deploy]).receipts[0].contract_address.unwrap();
    let burn = |chain: &Chain, count: u64| {
        let fields = |nonce| Fields { nonce, to: Some(contract), gas: 16_000_000, ..Fields::default() };
        (0..count).map(|i| chain.sign_with(&one, fields(chain.nonce(&one) + i))).collect::<Vec<_>>()
    };
    let first = burn(&chain, 2);
    let block = chain.block(first);
    assert_eq!(block.header.base_fee_per_gas, Some(BASE_FEE_MIN));
    let second = burn(&chain, 1);
    let block = chain.block_now(second);
    assert_eq!(block.header.base_fee_per_gas, Some(BASE_FEE_MIN), "one second, one base fee");
    // 48 million gas in that second against a target of 30: 1/8 of 18/30 more.
    let block = chain.block(vec![]);
    assert_eq!(block.header.base_fee_per_gas, Some(BASE_FEE_MIN + BASE_FEE_MIN * 18 / 30 / 8));
    let block = chain.block(vec![]);
    assert_eq!(block.header.base_fee_per_gas, Some(BASE_FEE_MIN), "an empty second brings it down, the floor holds");
}

#[test]
fn what_may_not_stand_is_left_out() {
    let mut chain = chain();
    let (one, two) = (key(1), key(2));
    let poor = key(77);
    let fields = |nonce| Fields { nonce, to: Some(stranger()), value: 1, gas: 21_000, ..Fields::default() };
    let transactions = vec![
        chain.sign_with(&one, fields(1)),
        chain.sign_with(&one, fields(0)),
        chain.sign_with(&one, fields(0)),
        chain.sign_with(&poor, fields(0)),
        b"not a transaction".to_vec(),
        chain.sign_with(&two, Fields { chain_id: 1, ..fields(0) }),
        chain.sign_with(&two, fields(0)),
    ];
    let block = chain.block(transactions);
    assert_eq!(block.transactions.len(), 2);
    let left_out: Vec<u32> = block.skipped.iter().map(|skipped| skipped.index).collect();
    assert_eq!(left_out, [0, 2, 3, 4, 5]);
    assert_eq!(block.skipped[4].reason, SkipReason::Refused(TransactionRefusal::Chain));
    assert!(matches!(block.skipped[0].reason, SkipReason::Invalid(_)));
    assert_eq!(chain.balance(&stranger()), U256::from(2));
}

#[test]
fn gas_limits_beyond_the_block_are_left_out() {
    let mut chain = chain();
    let transactions = (1..=5).map(|seed| {
        let fields = Fields { to: Some(stranger()), gas: 16_000_000, ..Fields::default() };
        chain.sign_with(&key(seed), fields)
    });
    let transactions: Vec<Vec<u8>> = transactions.collect();
    assert_eq!(check_payload(&chain.ctx, &chain.payload(transactions.clone())), Err(PayloadRefusal::Gas));
    let block = chain.block(transactions);
    assert_eq!(block.transactions.len(), 3);
    assert!(block.skipped.iter().all(|skipped| skipped.reason == SkipReason::BlockGas));
}

#[test]
fn admission_refuses_with_stable_codes() {
    let chain = chain();
    let one = key(1);
    let base = Fields { to: Some(stranger()), gas: 21_000, ..Fields::default() };
    let refusal = |raw: &[u8]| admit(&chain.ctx, raw).unwrap_err();
    let signed = |fields: Fields| refusal(&chain.sign_with(&one, fields));

    assert_eq!(refusal(&vec![2; 128 * 1024 + 1]), TransactionRefusal::TooLong);
    assert_eq!(refusal(&[]), TransactionRefusal::Malformed);
    assert_eq!(refusal(&[3, 0xc0]), TransactionRefusal::Type);
    assert_eq!(refusal(&[5, 0xc0]), TransactionRefusal::Type);
    assert_eq!(refusal(&legacy(&one, 0, stranger(), None)), TransactionRefusal::Unprotected);
    assert_eq!(signed(Fields { chain_id: 1, ..base.clone() }), TransactionRefusal::Chain);
    assert_eq!(signed(Fields { gas: 20_999, ..base.clone() }), TransactionRefusal::IntrinsicGas);
    assert_eq!(signed(Fields { gas: (1 << 24) + 1, ..base.clone() }), TransactionRefusal::GasCap);
    assert_eq!(signed(Fields { price: GWEI - 1, ..base.clone() }), TransactionRefusal::FeeCap);
    assert_eq!(signed(Fields { priority: PRICE + 1, ..base.clone() }), TransactionRefusal::PriorityFee);
    assert_eq!(signed(Fields { nonce: u64::MAX, ..base.clone() }), TransactionRefusal::Nonce);
    let long = Fields { to: None, data: vec![0; 98_305].into(), gas: 5_000_000, ..base.clone() };
    assert_eq!(signed(long), TransactionRefusal::InitCode);

    let good = chain.sign_with(&one, base);
    assert!(admit(&chain.ctx, &good).is_ok());
    let mut trailing = good.clone();
    trailing.push(0);
    assert_eq!(refusal(&trailing), TransactionRefusal::Malformed);
    for cut in 0..good.len() {
        assert!(admit(&chain.ctx, &good[..cut]).is_err(), "cut at {cut}");
    }
}

#[test]
fn signature_in_the_upper_half_is_refused() {
    use alloy_consensus::{SignableTransaction as _, TxEip1559};
    use alloy_eips::Encodable2718 as _;
    use alloy_primitives::{Signature, TxKind, uint};

    let chain = chain();
    let tx = TxEip1559 {
        chain_id: CHAIN_ID,
        gas_limit: 21_000,
        max_fee_per_gas: PRICE,
        to: TxKind::Call(stranger()),
        ..TxEip1559::default()
    };
    let low = crate::common::signature(&key(1), tx.signature_hash());
    let order = uint!(0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141_U256);
    let high = Signature::new(low.r(), order - low.s(), !low.v());
    let encode = |signature| freehold_ledger::Transaction::from(tx.clone().into_signed(signature)).encoded_2718();
    assert_eq!(admit(&chain.ctx, &encode(low)).unwrap().sender(), address(&key(1)));
    assert_eq!(admit(&chain.ctx, &encode(high)).unwrap_err(), TransactionRefusal::Signature);
}

#[test]
fn payload_of_another_place_is_refused() {
    let chain = chain();
    let good = chain.payload(vec![]);
    let refused = |change: &dyn Fn(&mut freehold_primitives::Payload)| {
        let mut payload = good.clone();
        change(&mut payload);
        prepare_payload(&chain.ctx, chain.parent(), ordered(&payload), &chain.state).unwrap_err()
    };
    assert!(matches!(refused(&|p| p.head.chain_id = 1), LedgerError::Chain { .. }));
    assert!(matches!(refused(&|p| p.head.height = 2), LedgerError::Height { .. }));
    assert!(matches!(refused(&|p| p.head.timestamp_ms -= 1_000), LedgerError::Time));
    assert!(matches!(refused(&|p| p.body = Blob(vec![])), LedgerError::Body { .. }));
    assert!(matches!(
        refused(&|p| {
            p.body = Blob(vec![9]);
            p.head.body = freehold_crypto::body_digest(&[9]);
        }),
        LedgerError::Codec(_)
    ));
}

#[test]
fn same_payloads_give_same_blocks() {
    let run = || {
        let mut chain = chain();
        let one = key(1);
        let deploy = chain.sign_with(&one, Fields { data: init_code(&COUNTER), ..Fields::default() });
        let contract = chain.block(vec![deploy]).receipts[0].contract_address.unwrap();
        let calls = (1..=9).map(|seed| chain.sign(&key(seed), contract, 0, Bytes::new())).collect();
        let block = chain.block(calls);
        (block.hash, chain.block(vec![]).hash, chain.root())
    };
    assert_eq!(run(), run());
}

#[test]
fn preparing_changes_nothing() {
    let chain = chain();
    let payload = chain.payload(vec![chain.sign(&key(1), stranger(), 1, Bytes::new())]);
    let root = chain.root();
    let first = prepare_payload(&chain.ctx, chain.parent(), ordered(&payload), &chain.state).unwrap();
    let again = prepare_payload(&chain.ctx, chain.parent(), ordered(&payload), &chain.state).unwrap();
    assert_eq!(first, again);
    assert_eq!(chain.root(), root);
    let mut state = chain.state.clone();
    let sealed = first.seal(&mut state).unwrap();
    assert_eq!(sealed, again.seal_with(freehold_ledger::StateTree::root(&state)));
}

#[test]
fn calls_and_estimates() {
    let mut chain = chain();
    let one = key(1);
    let deploy = chain.sign_with(&one, Fields { data: init_code(&COUNTER), ..Fields::default() });
    let contract = chain.block(vec![deploy]).receipts[0].contract_address.unwrap();
    let request = CallRequest { from: address(&one), to: Some(contract), ..CallRequest::default() };
    assert_eq!(call(&chain.ctx, chain.parent(), &chain.state, &request).unwrap().status, Status::Success);
    let gas = estimate_gas(&chain.ctx, chain.parent(), &chain.state, &request).unwrap();
    for (limit, enough) in [(gas - 1, false), (gas, true)] {
        let fields = Fields { nonce: chain.nonce(&one), to: Some(contract), gas: limit, ..Fields::default() };
        let block = chain.block(vec![chain.sign_with(&one, fields)]);
        assert_eq!(block.receipts[0].envelope.status(), enough, "limit {limit}");
    }
    let plain = CallRequest { to: Some(stranger()), ..request.clone() };
    assert_eq!(estimate_gas(&chain.ctx, chain.parent(), &chain.state, &plain).unwrap(), 21_000);
    let rich = CallRequest { value: U256::MAX, ..plain.clone() };
    assert!(matches!(call(&chain.ctx, chain.parent(), &chain.state, &rich), Err(CallError::Invalid(_))));
    // A contract may be the caller, and nothing of a call stays.
    let from_contract = CallRequest { from: contract, ..plain };
    assert!(call(&chain.ctx, chain.parent(), &chain.state, &from_contract).unwrap().is_success());
    assert_eq!(call(&chain.ctx, chain.parent(), &chain.state, &request).unwrap().status, Status::Success);
}

#[test]
fn body_of_many_bytes_is_bounded_before_the_vote() {
    let chain = chain();
    let mut payload = chain.payload(vec![]);
    payload.body = Blob(
        PayloadBody { transactions: vec![Blob(vec![0; 2 * 1024 * 1024])], ..PayloadBody::default() }.to_canonical(),
    );
    payload.head.body = freehold_crypto::body_digest(&payload.body.0);
    assert_eq!(check_payload(&chain.ctx, &payload), Err(PayloadRefusal::TooLong));
    let payload = chain.payload(vec![vec![3]]);
    let refusal = TransactionRefusal::Type;
    assert_eq!(check_payload(&chain.ctx, &payload), Err(PayloadRefusal::Transaction { index: 0, refusal }));
    assert_eq!(check_payload(&chain.ctx, &chain.payload(vec![])), Ok(()));
}

#[test]
fn intrinsic_cost_is_the_machines() {
    let mut chain = chain();
    let one = key(1);
    let inputs: [Vec<u8>; 5] = [vec![], vec![0; 100], vec![1; 100], vec![7; 5_000], vec![0; 20_000]];
    for (seed, input) in (2_u8..).zip(inputs) {
        for to in [Some(stranger()), None] {
            let fields = Fields { to, data: input.clone().into(), nonce: chain.nonce(&one), ..Fields::default() };
            let raw = chain.sign_with(&one, fields.clone());
            let gas = freehold_ledger::intrinsic_gas(admit(&chain.ctx, &raw).unwrap().transaction());
            let short = chain.sign_with(&one, Fields { gas: gas - 1, ..fields.clone() });
            assert_eq!(admit(&chain.ctx, &short).unwrap_err(), TransactionRefusal::IntrinsicGas);
            // With exactly this much the machine takes it.
            let block = chain.block(vec![chain.sign_with(&one, Fields { gas, ..fields })]);
            assert_eq!(block.skipped, vec![], "input {} of {seed}", input.len());
            if to.is_some() {
                assert_eq!(block.receipts[0].gas_used, gas);
            }
        }
    }
    let lists = [access_list(&one, chain.nonce(&one), stranger())];
    for raw in lists {
        let gas = freehold_ledger::intrinsic_gas(admit(&chain.ctx, &raw).unwrap().transaction());
        let block = chain.block(vec![raw]);
        assert_eq!(block.receipts[0].gas_used, gas);
    }
}

#[test]
fn bytes_without_sense_are_refused_and_never_panic() {
    let chain = chain();
    let good = chain.sign(&key(1), stranger(), 1, vec![1, 2, 3]);
    for at in 0..good.len() {
        for bit in 0..8 {
            let mut bad = good.clone();
            bad[at] ^= 1 << bit;
            if let Ok(recovered) = admit(&chain.ctx, &bad) {
                assert_ne!(recovered.hash(), admit(&chain.ctx, &good).unwrap().hash());
            }
        }
    }
    for first in 0..=255 {
        for length in [1, 2, 40, 200] {
            let mut bytes = vec![0xf8; length];
            bytes[0] = first;
            let _ = admit(&chain.ctx, &bytes);
        }
    }
}

#[test]
fn senders_that_were_recovered_are_not_recovered_again() {
    struct Kept(std::collections::BTreeMap<B256, Recovered>, std::cell::Cell<u32>);
    impl Admitted for Kept {
        fn get(&self, hash: &B256) -> Option<Recovered> {
            self.1.set(self.1.get() + 1);
            self.0.get(hash).cloned()
        }
    }
    let chain = chain();
    let transactions: Vec<Vec<u8>> =
        (1..=3).map(|seed| chain.sign(&key(seed), stranger(), 1, Bytes::new())).chain([vec![9]]).collect();
    let recovered = transactions.iter().filter_map(|raw| admit(&chain.ctx, raw).ok());
    let kept = Kept(recovered.map(|recovered| (recovered.hash(), recovered)).collect(), 0.into());
    let payload = chain.payload(transactions);
    let plain = prepare_payload(&chain.ctx, chain.parent(), ordered(&payload), &chain.state).unwrap();
    let order = Ordered { admitted: &kept, ..ordered(&payload) };
    assert_eq!(prepare_payload(&chain.ctx, chain.parent(), order, &chain.state).unwrap(), plain);
    assert_eq!(kept.1.get(), 4);
    assert!(matches!(
        check_payload_with(&chain.ctx, &payload, &kept),
        Err(PayloadRefusal::Transaction { index: 3, .. })
    ));
}
