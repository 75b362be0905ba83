//! One answer, and every way in which it does not count.

use alloy_consensus::Header;
use alloy_primitives::B256;
use alloy_rlp::Encodable as _;
use freehold_crypto::{AccountKey, AnswerSigner, answer_output_digest};
use freehold_primitives::{
    Account, AnswerPurpose, AnswerStatus, AppId, Blob, CallAnswer, Canonical as _, Digest, EvidenceKind, G1Point,
    Measurement, NetworkKey, PlatformFamily, SgxMeasurement, TrustDomain,
    entries::{Denial, DenyEntry, DenySubject, InstanceEntry},
};

use super::{AnswerError, AskedAnswer, ExecutorStanding, VerifiedAnswer, read_answer, verify_answer};
use crate::light::{ChainTrust, VerifiedHeader, header::decode_header};

const OUTPUT: &[u8] = b"what the call gave";
const NOW_S: u64 = 1_000;

fn header(number: u64) -> VerifiedHeader {
    let header = Header {
        number,
        timestamp: NOW_S,
        base_fee_per_gas: Some(1),
        withdrawals_root: Some(B256::ZERO),
        blob_gas_used: Some(0),
        excess_blob_gas: Some(0),
        parent_beacon_block_root: Some(B256::ZERO),
        ..Header::default()
    };
    let mut rlp = Vec::new();
    header.encode(&mut rlp);
    decode_header(&rlp).unwrap()
}

fn key() -> AccountKey {
    AccountKey::from_bytes(&[3; 32]).unwrap()
}

fn instance() -> InstanceEntry {
    InstanceEntry {
        instance_id: Digest([2; 32]),
        app_id: AppId::new([5; 20]),
        app_version: 0,
        provider: Account([6; 20]),
        account: key().account(),
        transport_key: G1Point([0; 48]),
        keyset_digest: Digest::ZERO,
        keyset_not_after: 9_000,
        evidence_digest: Digest::ZERO,
        collateral_digests: Vec::new(),
        nonce_height: 1,
        nonce: Digest::ZERO,
        judged_at_unix_s: 500,
        evidence_kind: EvidenceKind::Sgx,
        trust_domain: TrustDomain::Emulated,
        measurement: Measurement::Sgx(SgxMeasurement {
            mr_enclave: Digest::ZERO,
            mr_signer: Digest::ZERO,
            isv_prod_id: 0,
            isv_svn: 0,
        }),
        tcb_status: None,
        tcb_level: None,
        tcb_level_lowest: None,
        tier: 0,
        platform: Digest::ZERO,
        family: PlatformFamily([0; 6]),
        gpus: Vec::new(),
        opened_at: 1,
        renewed_at: 1,
        expires_at: NOW_S + 1,
        closed_at: None,
        closed_code: None,
    }
}

/// Everything that an answer is judged by.
struct Given {
    answer: CallAnswer,
    output: Vec<u8>,
    signature: Vec<u8>,
    header: VerifiedHeader,
    seen: VerifiedHeader,
    instance: InstanceEntry,
    denials: Vec<DenyEntry>,
}

fn given() -> Given {
    let header = header(7);
    let answer = CallAnswer {
        chain_id: 23,
        genesis_hash: Digest([1; 32]),
        instance_id: Digest([2; 32]),
        height: 7,
        block_hash: header.block_hash(),
        purpose: AnswerPurpose::Call,
        call: Digest([4; 32]),
        status: AnswerStatus::Success,
        output: answer_output_digest(OUTPUT),
    };
    let signature = sign(&answer);
    Given {
        answer,
        output: OUTPUT.to_vec(),
        signature,
        header,
        seen: header,
        instance: instance(),
        denials: Vec::new(),
    }
}

fn sign(answer: &CallAnswer) -> Vec<u8> {
    AnswerSigner::new(answer.instance_id, key()).sign(answer).unwrap().to_vec()
}

fn judge(given: &Given) -> Result<VerifiedAnswer, AnswerError> {
    let trust = ChainTrust { network_key: NetworkKey([0; 96]), chain_id: 23, genesis_hash: Digest([1; 32]) };
    let asked =
        AskedAnswer { trust: &trust, app: &AppId::new([5; 20]), purpose: AnswerPurpose::Call, call: &Digest([4; 32]) };
    let executor = ExecutorStanding { header: &given.seen, instance: &given.instance, denials: &given.denials };
    let answer = read_answer(&given.answer.to_canonical())?;
    verify_answer(&asked, &answer, (&given.output, &given.signature), &given.header, &executor)
}

/// Asserts why a changed answer does not count; what the executor itself says wrongly is signed again.
fn check(change: impl FnOnce(&mut Given), expect: &AnswerError) {
    let mut given = given();
    let before = given.answer.clone();
    change(&mut given);
    if given.answer != before {
        given.signature = sign(&given.answer);
    }
    assert_eq!(judge(&given).as_ref(), Err(expect));
}

#[test]
fn an_executors_answer_counts() {
    let given = given();
    let verified = judge(&given).unwrap();
    assert_eq!((verified.executor, verified.status), (Digest([2; 32]), AnswerStatus::Success));
    assert_eq!(verified.output, OUTPUT);
    let later = Given { seen: header(9), ..given };
    assert!(judge(&later).is_ok(), "its registration may be read later");
}

#[test]
fn answers_of_another_chain_block_or_call_do_not_count() {
    check(|given| given.answer.chain_id = 24, &AnswerError::OtherChain);
    check(|given| given.answer.genesis_hash = Digest([9; 32]), &AnswerError::OtherChain);
    check(|given| given.answer.height = 8, &AnswerError::OtherBlock);
    check(|given| given.answer.block_hash = Digest([9; 32]), &AnswerError::OtherBlock);
    check(|given| given.header = header(8), &AnswerError::OtherBlock);
    check(|given| given.answer.purpose = AnswerPurpose::Estimate, &AnswerError::OtherCall);
    check(|given| given.answer.call = Digest([9; 32]), &AnswerError::OtherCall);
    check(|given| given.output = b"another".to_vec(), &AnswerError::OtherOutput);
    check(|given| given.answer.output = Digest([9; 32]), &AnswerError::OtherOutput);
}

#[test]
fn who_is_no_live_executor_signs_in_vain() {
    check(|given| given.answer.instance_id = Digest([9; 32]), &AnswerError::NotRegistered);
    check(|given| given.instance.app_id = AppId::new([9; 20]), &AnswerError::OtherApp);
    check(|given| given.instance.closed_at = Some(6), &AnswerError::Ended);
    check(|given| given.instance.expires_at = NOW_S, &AnswerError::Ended);
    check(|given| given.seen = header(6), &AnswerError::OldRegistration);
    let denial = DenyEntry {
        app_id: AppId::CHAIN,
        subject_kind: DenySubject::Instance,
        subject: Blob(vec![2; 32]),
        denials: vec![Denial { level: None, reason: 1, since: 5, lifted_at: None }],
    };
    check(|given| given.denials = vec![denial.clone()], &AnswerError::Denied);
    let mut lifted = given();
    lifted.denials =
        vec![DenyEntry { denials: vec![Denial { level: None, reason: 1, since: 5, lifted_at: Some(6) }], ..denial }];
    assert!(judge(&lifted).is_ok());
}

#[test]
fn signatures_of_others_do_not_count() {
    check(|given| given.instance.account = Account([9; 20]), &AnswerError::OtherSigner);
    let mut cut = given();
    cut.signature.pop();
    assert!(matches!(judge(&cut), Err(AnswerError::Signature(_))));
    let mut other = given();
    other.answer.status = AnswerStatus::Revert;
    assert_eq!(judge(&other), Err(AnswerError::OtherSigner), "the status is under the signature");
    let mut swapped = given();
    swapped.signature = AnswerSigner::new(Digest([2; 32]), AccountKey::from_bytes(&[4; 32]).unwrap())
        .sign(&swapped.answer)
        .unwrap()
        .to_vec();
    assert_eq!(judge(&swapped), Err(AnswerError::OtherSigner));
}

#[test]
fn documents_have_one_form() {
    let bytes = given().answer.to_canonical();
    assert!(read_answer(&bytes).is_ok());
    for length in 0..bytes.len() {
        assert!(read_answer(&bytes[..length]).is_err());
    }
    assert!(read_answer(&[&bytes[..], &[0]].concat()).is_err());
}
