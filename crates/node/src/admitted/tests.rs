//! What is kept is what was admitted, and no more of it than the bounds say.

use alloy_consensus::{SignableTransaction as _, TxEip1559, TxEnvelope};
use alloy_eips::eip2718::Encodable2718 as _;
use alloy_primitives::{Address, Bytes, Signature, TxKind};
use freehold_crypto::AccountKey;
use freehold_ledger::{ChainContext, admit};
use freehold_primitives::{Blob, Digest, Genesis, KeyCeremony, Membership};

use super::*;

fn context() -> ChainContext {
    ChainContext::new(Genesis {
        chain_id: 5,
        purpose: freehold_primitives::Purpose::Development,
        timestamp_ms: 0,
        epoch_s: 600,
        lease_s: 600,
        validators: Vec::new(),
        consensus_polynomial: Blob::default(),
        derivation_polynomial: Vec::new(),
        key_ceremony: KeyCeremony::TrustedDealer,
        trust_roots: Vec::new(),
        allocations: Vec::new(),
        membership: Membership::default(),
    })
    .unwrap()
}

fn recovered(context: &ChainContext, nonce: u64, bytes: usize) -> Recovered {
    let transaction = TxEip1559 {
        chain_id: 5,
        nonce,
        gas_limit: 10_000_000,
        max_fee_per_gas: 1_000_000_000,
        to: TxKind::Call(Address::ZERO),
        input: Bytes::from(vec![0; bytes]),
        ..TxEip1559::default()
    };
    let key = AccountKey::from_bytes(&[7; 32]).unwrap();
    let signature = key.sign(&Digest(transaction.signature_hash().0));
    let signature = Signature::from_raw_array(&signature).unwrap();
    admit(context, &TxEnvelope::from(transaction.into_signed(signature)).encoded_2718()).unwrap()
}

#[test]
fn what_is_kept_is_what_was_admitted() {
    let (cache, context) = (AdmittedCache::default(), context());
    let one = recovered(&context, 1, 10);
    assert_eq!(cache.get(&one.hash()), None);
    cache.keep(one.clone());
    assert_eq!(cache.get(&one.hash()), Some(one));
}

#[test]
fn entries_are_bounded_by_bytes() {
    let (cache, context) = (AdmittedCache::default(), context());
    let bytes = 120 * 1024;
    let each = GENERATION_BYTES_MAX / bytes;
    let hashes: Vec<B256> = (0..3 * each as u64)
        .map(|nonce| {
            let transaction = recovered(&context, nonce, bytes);
            let hash = transaction.hash();
            cache.keep(transaction);
            hash
        })
        .collect();
    let kept = hashes.iter().filter(|hash| cache.get(hash).is_some()).count();
    assert!(kept <= 2 * each && kept >= each, "{kept} of {}", hashes.len());
    assert!(cache.get(hashes.last().unwrap()).is_some());
    assert!(cache.get(&hashes[0]).is_none());
}
