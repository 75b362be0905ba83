//! Answers: the signature covers every field, and a signer signs for its own instance alone.

use freehold_primitives::{AnswerPurpose, AnswerStatus, AskedCall, Blob, CallAnswer, Digest};
use rand::{SeedableRng as _, rngs::StdRng};

use super::{AnswerSigner, answer_digest, answer_output_digest, asked_call_digest, recover_answer};
use crate::keys::AccountKey;

fn answer() -> CallAnswer {
    CallAnswer {
        chain_id: 7,
        genesis_hash: Digest([1; 32]),
        instance_id: Digest([2; 32]),
        height: 3,
        block_hash: Digest([4; 32]),
        purpose: AnswerPurpose::Call,
        call: Digest([5; 32]),
        status: AnswerStatus::Success,
        output: answer_output_digest(b"out"),
    }
}

#[test]
fn every_field_is_under_the_signature() {
    let key = AccountKey::generate(&mut StdRng::seed_from_u64(1));
    let account = key.account();
    let signer = AnswerSigner::new(Digest([2; 32]), key);
    let signature = signer.sign(&answer()).unwrap();
    assert_eq!(recover_answer(&answer(), &signature), Ok(account));
    let others = [
        CallAnswer { chain_id: 8, ..answer() },
        CallAnswer { genesis_hash: Digest([9; 32]), ..answer() },
        CallAnswer { instance_id: Digest([9; 32]), ..answer() },
        CallAnswer { height: 4, ..answer() },
        CallAnswer { block_hash: Digest([9; 32]), ..answer() },
        CallAnswer { purpose: AnswerPurpose::Estimate, ..answer() },
        CallAnswer { call: Digest([9; 32]), ..answer() },
        CallAnswer { status: AnswerStatus::Revert, ..answer() },
        CallAnswer { output: answer_output_digest(b"other"), ..answer() },
    ];
    for other in others {
        assert_ne!(answer_digest(&other), answer_digest(&answer()));
        assert_ne!(recover_answer(&other, &signature), Ok(account), "{other:?}");
    }
    assert!(recover_answer(&answer(), &signature[..64]).is_err());
}

#[test]
fn a_signer_signs_for_its_own_instance_alone() {
    let signer = AnswerSigner::new(Digest([3; 32]), AccountKey::generate(&mut StdRng::seed_from_u64(1)));
    assert!(signer.sign(&answer()).is_none());
    assert!(signer.sign(&CallAnswer { instance_id: signer.instance_id(), ..answer() }).is_some());
}

#[test]
fn calls_that_differ_have_other_names() {
    let call = AskedCall {
        from: freehold_primitives::Account([1; 20]),
        to: None,
        value: [0; 32],
        data: Blob(vec![1, 2]),
        gas: None,
        gas_price: None,
        priority_fee: None,
        nonce: None,
        authorizations: Blob(vec![0xc0]),
        access_list: Blob(vec![0xc0]),
    };
    let others = [
        AskedCall { from: freehold_primitives::Account([2; 20]), ..call.clone() },
        AskedCall { to: Some(freehold_primitives::Account([0; 20])), ..call.clone() },
        AskedCall { value: [1; 32], ..call.clone() },
        AskedCall { data: Blob(vec![1, 2, 0]), ..call.clone() },
        AskedCall { gas: Some(0), ..call.clone() },
        AskedCall { gas_price: Some([0; 16]), ..call.clone() },
        AskedCall { priority_fee: Some([0; 16]), ..call.clone() },
        AskedCall { nonce: Some(0), ..call.clone() },
        AskedCall { authorizations: Blob(vec![0xc1, 1]), ..call.clone() },
        AskedCall { access_list: Blob(vec![0xc1, 1]), ..call.clone() },
    ];
    for other in others {
        assert_ne!(asked_call_digest(&other), asked_call_digest(&call), "{other:?}");
    }
}
