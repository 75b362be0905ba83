//! Whole blocks: every transaction and receipt counts, in order; headers by parent hashes.

use alloy_consensus::{
    Eip658Value, Header, Receipt, ReceiptEnvelope, SignableTransaction as _, TxEip1559,
    proofs::ordered_trie_root_encoded,
};
use alloy_eips::Encodable2718 as _;
use alloy_primitives::{Address, B256, Log, Signature, TxKind};
use alloy_rlp::Encodable as _;

use super::{BlockBytes, BlockError, Envelope, VerifiedHeader, verify_ancestors, verify_block};
use crate::light::header::decode_header;

fn transaction(nonce: u64, to: TxKind) -> Vec<u8> {
    let transaction = TxEip1559 { chain_id: 7, nonce, to, gas_limit: 21_000, ..TxEip1559::default() };
    Envelope::from(transaction.into_signed(Signature::test_signature())).encoded_2718()
}

fn receipt(cumulative_gas_used: u64, success: bool) -> Vec<u8> {
    let logs = vec![Log::new_unchecked(Address::repeat_byte(3), vec![B256::repeat_byte(4)], vec![5].into())];
    let receipt = Receipt { status: Eip658Value::Eip658(success), cumulative_gas_used, logs };
    ReceiptEnvelope::Eip1559(receipt.into()).encoded_2718()
}

fn header(number: u64, parent: B256, bytes: &BlockBytes) -> Header {
    Header {
        number,
        parent_hash: parent,
        transactions_root: ordered_trie_root_encoded(&bytes.transactions),
        receipts_root: ordered_trie_root_encoded(&bytes.receipts),
        base_fee_per_gas: Some(1),
        withdrawals_root: Some(B256::ZERO),
        blob_gas_used: Some(0),
        excess_blob_gas: Some(0),
        parent_beacon_block_root: Some(B256::ZERO),
        ..Header::default()
    }
}

fn rlp(header: &Header) -> Vec<u8> {
    let mut bytes = Vec::new();
    header.encode(&mut bytes);
    bytes
}

fn block(transactions: Vec<Vec<u8>>, receipts: Vec<Vec<u8>>) -> (VerifiedHeader, BlockBytes) {
    let mut bytes = BlockBytes { header: Vec::new(), transactions, receipts };
    bytes.header = rlp(&header(9, B256::ZERO, &bytes));
    (decode_header(&bytes.header).expect("the header was just encoded"), bytes)
}

fn three() -> (VerifiedHeader, BlockBytes) {
    let to = TxKind::Call(Address::repeat_byte(1));
    let transactions = vec![transaction(0, to), transaction(1, TxKind::Create), transaction(2, TxKind::Create)];
    block(transactions, vec![receipt(21_000, true), receipt(50_000, true), receipt(60_000, false)])
}

#[test]
fn a_whole_block_is_read() {
    let (header, bytes) = three();
    let block = verify_block(&header, &bytes).expect("the block is whole");
    assert_eq!(block.header().number, 9);
    let found = block.transactions();
    assert_eq!(found.iter().map(|tx| tx.gas_used).collect::<Vec<_>>(), [21_000, 29_000, 10_000]);
    // Each has its own signer, since the test signature is one and the messages are not.
    let created: Vec<_> = found.iter().map(|tx| tx.created).collect();
    assert_eq!(created, [None, Some(found[1].sender.create(1)), None]);
    let (empty, nothing) = self::block(Vec::new(), Vec::new());
    assert!(verify_block(&empty, &nothing).expect("an empty block").transactions().is_empty());
}

#[test]
fn a_withheld_or_changed_part_is_noticed() {
    let (header, bytes) = three();
    let with = |change: &dyn Fn(&mut BlockBytes)| {
        let mut changed = bytes.clone();
        change(&mut changed);
        verify_block(&header, &changed).expect_err("the block was changed")
    };
    assert_eq!(with(&|b| drop(b.transactions.pop())), BlockError::TransactionsRoot);
    assert_eq!(with(&|b| drop(b.receipts.pop())), BlockError::ReceiptsRoot);
    assert_eq!(with(&|b| b.receipts.swap(0, 1)), BlockError::ReceiptsRoot);
    assert_eq!(with(&|b| b.transactions.swap(0, 1)), BlockError::TransactionsRoot);
    assert_eq!(with(&|b| b.transactions.push(Vec::new())), BlockError::TransactionsRoot);
    assert_eq!(with(&|b| b.receipts.clear()), BlockError::ReceiptsRoot);
    assert_eq!(with(&|b| b.header.push(0)), BlockError::Header(crate::HeaderError::Rlp));
    let other = rlp(&self::header(10, B256::ZERO, &bytes));
    assert_eq!(with(&|b| b.header.clone_from(&other)), BlockError::OtherHeader);
    for part in 0..3 {
        for place in (0..bytes.receipts[part].len()).step_by(7) {
            assert_eq!(with(&|b| b.receipts[part][place] ^= 1), BlockError::ReceiptsRoot);
        }
    }
}

#[test]
fn what_stands_under_the_roots_and_is_no_transaction_is_refused() {
    let (header, bytes) = block(vec![vec![0x05, 1, 2]], vec![receipt(1, true)]);
    assert_eq!(verify_block(&header, &bytes), Err(BlockError::Form { index: 0 }));
    let one = || transaction(0, TxKind::Create);
    let (header, bytes) = block(vec![one(), one()], vec![receipt(9, true), receipt(8, true)]);
    assert_eq!(verify_block(&header, &bytes), Err(BlockError::Form { index: 1 }));
    let (header, bytes) = block(vec![one()], Vec::new());
    assert_eq!(verify_block(&header, &bytes), Err(BlockError::ReceiptsRoot));
}

#[test]
fn ancestors_lead_up_without_a_gap() {
    let (_, bytes) = block(Vec::new(), Vec::new());
    let mut run: Vec<Vec<u8>> = Vec::new();
    let mut parent = B256::ZERO;
    for number in 0..5 {
        let header = header(number, parent, &bytes);
        parent = header.hash_slow();
        run.push(rlp(&header));
    }
    let child = decode_header(&run.pop().expect("five headers")).expect("a header");
    let found = verify_ancestors(&child, &run).expect("a run of headers");
    assert_eq!(found.iter().map(|(verified, _)| verified.height()).collect::<Vec<_>>(), [0, 1, 2, 3]);
    assert_eq!(verify_ancestors(&child, &run[2..]).expect("a shorter run").len(), 2);
    assert_eq!(verify_ancestors::<Vec<u8>>(&child, &[]), Ok(Vec::new()));
    assert_eq!(verify_ancestors(&child, &run[..3]), Err(BlockError::OtherHeader));
    let gap = [run[0].clone(), run[2].clone(), run[3].clone()];
    assert_eq!(verify_ancestors(&child, &gap), Err(BlockError::OtherHeader));
    let mut turned = run.clone();
    turned.reverse();
    assert_eq!(verify_ancestors(&child, &turned), Err(BlockError::OtherHeader));
}
