//! Encrypted call data in blocks and calls, signed queries, and who an unsigned call may claim to be.
#![allow(clippy::unwrap_used)]

use crate::common::{Chain, Fields, GWEI, address, genesis, key, machine};
use alloy_consensus::Transaction as _;
use alloy_primitives::{Address, B256, Bytes, U256, hex};
use base64::{Engine as _, prelude::BASE64_STANDARD};
use freehold_crypto::{
    AccountKey, CallDataRefusal, CallResult, FailureForm, Leash, QueryCall, QueryProof, ResultOpener, seal_call,
    wrap_call,
};
use freehold_ledger::{
    CallError, CallRequest, OPENING_GAS, Outcome, Status, TransactionRefusal, admit, call, call_data_key, estimate_gas,
    intrinsic_gas, read_account,
};
use freehold_primitives::{Digest, X25519Key};
use rand::{SeedableRng as _, rngs::StdRng};

/// Returns its call data and, behind it, its caller as a word.
const ECHO: &[u8] = &hex!("365f5f37333652602036015ff3");
/// Stores the word that it is sent. Without one: answers what is stored, but reverts with the word 7 where the caller is
/// the zero address.
const GUARDED: &[u8] = &hex!("366019573360105760075f5260205ffd5b5f545f5260205ff35b5f355f5500");

/// Calls `target` and returns its word, for the owner only.
fn forwarder(owner: Address, target: Address) -> Vec<u8> {
    let guard = [&hex!("3373")[..], owner.as_slice(), &hex!("14601d575f5ffd5b")].concat();
    [guard.as_slice(), &hex!("60205f5f5f5f73"), target.as_slice(), &hex!("5af15060205ff3")].concat()
}

fn new_chain() -> Chain {
    let mut chain = Chain::new(genesis(Vec::new()));
    chain.block(vec![]);
    chain
}

fn deploy(chain: &mut Chain, init_code: Bytes) -> Address {
    let nonce = chain.nonce(&key(1));
    let tx = chain.sign_with(&key(1), Fields { data: init_code, nonce, ..Fields::default() });
    let block = chain.block(vec![tx]);
    assert!(block.receipts[0].envelope.status());
    block.receipts[0].contract_address.unwrap()
}

fn confidential(chain: &mut Chain, code: &[u8]) -> Address {
    deploy(chain, machine::constructor(&[], code))
}

fn public(chain: &mut Chain, code: &[u8]) -> Address {
    deploy(chain, machine::constructor(&[machine::make_public(), vec![0x50]].concat(), code))
}

fn epoch_key(chain: &Chain) -> (X25519Key, u64) {
    let key = call_data_key(&chain.ctx, chain.parent(), &chain.state).unwrap().unwrap();
    (X25519Key(key.public_key), key.epoch)
}

fn seal_with((public, epoch): (X25519Key, u64), data: &[u8], failures: FailureForm) -> (Bytes, ResultOpener) {
    let (sent, opener) = seal_call((&public, epoch), data, failures, &mut StdRng::seed_from_u64(3));
    (sent.into(), opener)
}

fn seal(chain: &Chain, data: &[u8]) -> (Bytes, ResultOpener) {
    seal_with(epoch_key(chain), data, FailureForm::Plain)
}

fn request(from: Address, to: Address, data: impl Into<Bytes>) -> CallRequest {
    CallRequest { from, to: Some(to), data: data.into(), entropy: B256::repeat_byte(9), ..CallRequest::default() }
}

fn ask(chain: &Chain, request: &CallRequest) -> Result<Outcome, CallError> {
    call(&chain.ctx, chain.parent(), &chain.state, request)
}

fn refusal(result: Result<Outcome, CallError>) -> CallDataRefusal {
    match result {
        Err(CallError::CallData(refusal)) => refusal,
        other => panic!("not refused: {other:?}"),
    }
}

fn echoed(data: &[u8], caller: Address) -> Vec<u8> {
    [data, caller.into_word().as_slice()].concat()
}

#[test]
fn an_encrypted_transaction_runs_and_answers_its_sender_alone() {
    let mut chain = new_chain();
    let echo = confidential(&mut chain, ECHO);
    let secret = b"nobody reads this but the contract";
    let (sent, opener) = seal(&chain, secret);
    let sender = key(2);
    let other = chain.sign(&key(3), echo, 0, Bytes::new());
    let tx = chain.sign(&sender, echo, 0, sent);
    let block = chain.block(vec![other, tx.clone()]);
    let receipt = &block.receipts[1];
    assert!(receipt.envelope.status());
    assert_eq!(opener.open(&receipt.output), Ok(CallResult::Returned(echoed(secret, address(&sender)))));
    assert!(!receipt.output.windows(8).any(|part| part == &secret[..8]));
    // Height, index, three zero bytes.
    let nonce = [&block.header.number.to_be_bytes()[..], &1_u32.to_be_bytes(), &[0; 3]].concat();
    assert_eq!(receipt.output[receipt.output.len() - 15..], nonce);

    let admitted = admit(&chain.ctx, &tx).unwrap();
    let least = intrinsic_gas(admitted.transaction());
    assert!(receipt.gas_used > least && receipt.gas_used < least + 5_000, "{} and {least}", receipt.gas_used);
    let fields = Fields { to: Some(echo), data: admitted.transaction().input().clone(), nonce: 1, ..Fields::default() };
    let short = chain.sign_with(&sender, Fields { gas: least - 1, ..fields.clone() });
    assert_eq!(admit(&chain.ctx, &short).err(), Some(TransactionRefusal::IntrinsicGas));
    let enough = chain.sign_with(&sender, Fields { gas: least, ..fields });
    assert!(admit(&chain.ctx, &enough).is_ok());
}

#[test]
fn plain_and_wrapped_calls_are_answered_plainly() {
    let mut chain = new_chain();
    let echo = public(&mut chain, ECHO);
    let sender = key(2);
    for sent in [Bytes::from_static(b"data"), wrap_call(b"data").into()] {
        let tx = chain.sign(&sender, echo, 0, sent.clone());
        let block = chain.block(vec![tx]);
        assert_eq!(block.receipts[0].output, echoed(b"data", address(&sender)));
        let outcome = ask(&chain, &request(address(&sender), echo, sent)).unwrap();
        assert_eq!(outcome.output, echoed(b"data", address(&sender)));
    }
    // What begins like a call and is none reaches the contract as it is.
    let (sealed, _) = seal(&chain, b"data");
    let truncated = Bytes::copy_from_slice(&sealed[..sealed.len() - 1]);
    let outcome = ask(&chain, &request(address(&sender), echo, truncated.clone())).unwrap();
    assert_eq!(outcome.output, echoed(&truncated, address(&sender)));
}

#[test]
fn a_deployment_may_be_encrypted() {
    let mut chain = new_chain();
    let (sent, _) = seal(&chain, &machine::constructor(&[], ECHO));
    let echo = deploy(&mut chain, sent);
    let account = read_account(&chain.state, &echo).unwrap();
    assert_eq!(chain.content[&Digest(account.code_hash.0)], ECHO);
}

#[test]
fn a_refused_envelope_fails_its_transaction_and_never_the_block() {
    let mut chain = new_chain();
    let echo = confidential(&mut chain, ECHO);
    let (public, epoch) = epoch_key(&chain);
    let bad = |public, epoch| seal_with((public, epoch), b"data", FailureForm::Plain).0;
    let cases = [
        ("epoch_future", bad(public, epoch + 1), CallDataRefusal::EpochFuture),
        ("epoch_past", bad(public, epoch - 6), CallDataRefusal::EpochPast),
        ("epoch_before_the_chain", bad(public, epoch - 3), CallDataRefusal::Tag),
        ("other_key", bad(X25519Key([9; 32]), epoch), CallDataRefusal::Tag),
        ("other_key_no_epoch", bad(X25519Key([9; 32]), 0), CallDataRefusal::Tag),
        ("wrapped_text", hex!("a164626f64796178").into(), CallDataRefusal::Body),
    ];
    let sender = key(2);
    for (name, sent, expect) in cases {
        for to in [Some(echo), None] {
            let (nonce, balance) = (chain.nonce(&sender), chain.balance(&address(&sender)));
            let fields = Fields { to, value: 5, data: sent.clone(), nonce, ..Fields::default() };
            let tx = chain.sign_with(&sender, fields);
            let least = intrinsic_gas(admit(&chain.ctx, &tx).unwrap().transaction());
            let block = chain.block(vec![tx]);
            let receipt = &block.receipts[0];
            assert!(!receipt.envelope.status(), "{name}");
            assert_eq!((receipt.gas_used, receipt.output.len()), (least, 0), "{name}");
            assert_eq!(receipt.contract_address, None, "{name}");
            assert_eq!(chain.nonce(&sender), nonce + 1, "{name}");
            let paid = U256::from(u128::from(receipt.gas_used) * receipt.effective_gas_price);
            assert_eq!(chain.balance(&address(&sender)), balance - paid, "{name}: value moved");
            assert_eq!(chain.balance(&echo), U256::ZERO, "{name}");
        }
        assert_eq!(refusal(ask(&chain, &request(Address::ZERO, echo, sent))), expect, "{name}");
    }
}

/// Goes on by some seconds with one block.
fn wait(chain: &mut Chain, seconds: u64) {
    chain.time_ms += seconds * 1000;
    chain.block_now(vec![]);
}

#[test]
fn a_key_is_accepted_for_five_epochs_and_at_least_ten_minutes() {
    for (epoch_s, accepted_s) in [(600, 5 * 600), (10, 600), (3_600, 5 * 3_600)] {
        let mut chain = Chain::new(freehold_primitives::Genesis { epoch_s, ..genesis(Vec::new()) });
        chain.block(vec![]);
        let echo = confidential(&mut chain, ECHO);
        let to_next = epoch_s - chain.tip().timestamp % epoch_s;
        wait(&mut chain, to_next);
        let (sent, opener) = seal(&chain, b"data");
        wait(&mut chain, accepted_s);
        let answer = ask(&chain, &request(Address::ZERO, echo, sent.clone())).unwrap().output;
        assert!(matches!(opener.open(&answer), Ok(CallResult::Returned(_))), "epochs of {epoch_s} s");
        let tx = chain.sign(&key(2), echo, 0, sent.clone());
        assert!(chain.block_now(vec![tx]).receipts[0].envelope.status(), "epochs of {epoch_s} s");
        wait(&mut chain, epoch_s);
        assert_eq!(refusal(ask(&chain, &request(Address::ZERO, echo, sent))), CallDataRefusal::EpochPast);
    }
}

#[test]
fn without_an_epoch_the_newest_keys_are_tried() {
    let mut chain = new_chain();
    let echo = confidential(&mut chain, ECHO);
    let (public, _) = epoch_key(&chain);
    let (sent, _) = seal_with((public, 0), b"data", FailureForm::Plain);
    for _ in 0..6 {
        assert!(ask(&chain, &request(Address::ZERO, echo, sent.clone())).is_ok());
        wait(&mut chain, 600);
    }
    assert_eq!(refusal(ask(&chain, &request(Address::ZERO, echo, sent))), CallDataRefusal::Tag);
}

#[test]
fn queries_are_answered_under_fresh_nonces_and_fail_as_asked() {
    let mut chain = new_chain();
    let guarded = confidential(&mut chain, GUARDED);
    let echo = confidential(&mut chain, ECHO);
    let (sent, opener) = seal(&chain, b"data");
    let first = request(address(&key(2)), echo, sent);
    let second = CallRequest { entropy: B256::repeat_byte(8), ..first.clone() };
    let (first, second) = (ask(&chain, &first).unwrap().output, ask(&chain, &second).unwrap().output);
    assert_ne!(first, second);
    for answer in [first, second] {
        // The target is confidential and nobody signed: the sender is zero.
        assert_eq!(opener.open(&answer), Ok(CallResult::Returned(echoed(b"data", Address::ZERO))));
    }

    let word = U256::from(7).to_be_bytes::<32>();
    let (sent, _) = seal_with(epoch_key(&chain), b"", FailureForm::Plain);
    let failed = ask(&chain, &request(Address::ZERO, guarded, sent)).unwrap();
    assert_eq!((failed.status, failed.output), (Status::Revert, word.to_vec().into()));

    let (sent, opener) = seal_with(epoch_key(&chain), b"", FailureForm::Sealed);
    let answered = ask(&chain, &request(Address::ZERO, guarded, sent.clone())).unwrap();
    assert!(answered.is_success());
    let Ok(CallResult::Failed(failure)) = opener.open(&answered.output) else { panic!("not a failure") };
    assert_eq!((failure.module.as_str(), failure.code), ("evm", 8));
    assert_eq!(failure.message, format!("reverted: {}", BASE64_STANDARD.encode(word)));

    // In a block too: the receipt says that it failed, and nothing else does.
    let outcome = estimate_gas(&chain.ctx, chain.parent(), &chain.state, &request(Address::ZERO, guarded, sent));
    let Err(CallError::Fails(outcome)) = outcome else { panic!("an estimate of what fails") };
    assert_eq!(opener.open(&outcome.output), Ok(CallResult::Failed(failure)));
}

#[test]
fn an_unsigned_call_has_its_sender_only_where_nothing_is_confidential() {
    let mut chain = new_chain();
    let owner = address(&key(2));
    let (shown, hidden) = (public(&mut chain, ECHO), confidential(&mut chain, ECHO));
    assert_eq!(chain.call(owner, shown, "data").output, echoed(b"data", owner));
    assert_eq!(chain.call(owner, hidden, "data").output, echoed(b"data", Address::ZERO));

    // A public contract that lets its owner at a confidential one is no way around.
    let guarded = confidential(&mut chain, GUARDED);
    let door = public(&mut chain, &forwarder(owner, guarded));
    let tx = chain.sign(&key(3), guarded, 0, U256::from(42).to_be_bytes::<32>());
    assert!(chain.block(vec![tx]).receipts[0].envelope.status());
    assert_eq!(chain.call(owner, door, "").status, Status::Revert);
    let idle = public(&mut chain, &forwarder(owner, shown));
    assert!(chain.call(owner, idle, "").is_success());
    // The owner's transaction gets through.
    let tx = chain.sign(&key(2), door, 0, Bytes::new());
    assert_eq!(chain.block(vec![tx]).receipts[0].output, U256::from(42).to_be_bytes_vec());
}

#[test]
fn the_zero_sender_has_the_money_of_the_account_it_stands_for() {
    let mut chain = new_chain();
    let hidden = confidential(&mut chain, ECHO);
    let rich = CallRequest { value: U256::from(GWEI), ..request(address(&key(2)), hidden, "data") };
    assert!(ask(&chain, &rich).unwrap().is_success());
    let poor = CallRequest { from: Address::repeat_byte(0x77), ..rich };
    assert!(matches!(ask(&chain, &poor), Err(CallError::Invalid(_))));
}

#[test]
fn estimates_cover_envelopes_and_senders_that_nobody_proved() {
    let mut chain = new_chain();
    let guarded = confidential(&mut chain, GUARDED);
    let word = U256::from(42).to_be_bytes::<32>();
    let (sent, _) = seal(&chain, &word);
    let estimate = |chain: &Chain, data: Bytes| {
        estimate_gas(&chain.ctx, chain.parent(), &chain.state, &request(address(&key(2)), guarded, data)).unwrap()
    };
    let (plain, sealed) = (estimate(&chain, word.into()), estimate(&chain, sent.clone()));
    assert!(sealed > plain + OPENING_GAS, "{sealed} and {plain}");
    let fields = Fields { to: Some(guarded), gas: sealed, ..Fields::default() };
    let less = chain.sign_with(&key(3), Fields { data: sent, gas: sealed - 200, nonce: 0, ..fields.clone() });
    assert!(!chain.block(vec![less]).receipts[0].envelope.status());
    // Sealed again, with other zeros, to a slot that changes as much.
    for seed in 0..20 {
        let mut fresh = new_chain();
        let guarded = confidential(&mut fresh, GUARDED);
        let (sent, _) = seal_call(
            (&epoch_key(&fresh).0, epoch_key(&fresh).1),
            &word,
            FailureForm::Plain,
            &mut StdRng::seed_from_u64(seed),
        );
        let tx = fresh.sign_with(&key(2), Fields { to: Some(guarded), data: sent.into(), ..fields.clone() });
        assert!(fresh.block(vec![tx]).receipts[0].envelope.status(), "seed {seed}");
    }

    // What fails without asking who sends it, fails for everyone.
    let never = confidential(&mut chain, &hex!("60075f5260205ffd"));
    let asked = request(address(&key(2)), never, Bytes::new());
    let failed = estimate_gas(&chain.ctx, chain.parent(), &chain.state, &asked);
    assert!(matches!(failed, Err(CallError::Fails(_))));

    // Reading fails for the zero sender, and works for the account that signs.
    let (sent, _) = seal_with(epoch_key(&chain), b"", FailureForm::Plain);
    let gas = estimate(&chain, sent.clone());
    assert!(gas > 2_000_000);
    let nonce = chain.nonce(&key(2));
    let tx = chain.sign_with(&key(2), Fields { to: Some(guarded), data: sent, gas, nonce, ..Fields::default() });
    assert!(chain.block(vec![tx]).receipts[0].envelope.status());
}

#[test]
fn an_estimate_has_room_for_the_way_of_the_true_sender() {
    // Does nothing for the zero sender and writes four new slots for everyone else.
    let code = hex!("3360055700" "5b" "60016001556001600255600160035560016004" "5500");
    for make in [confidential, public] {
        let mut chain = new_chain();
        let to = make(&mut chain, &code);
        let asked = request(address(&key(2)), to, Bytes::new());
        let gas = estimate_gas(&chain.ctx, chain.parent(), &chain.state, &asked).unwrap();
        let fields = Fields { to: Some(to), gas, nonce: chain.nonce(&key(2)), ..Fields::default() };
        let tx = chain.sign_with(&key(2), fields);
        let receipt = &chain.block(vec![tx]).receipts[0];
        assert!(receipt.envelope.status(), "with {gas}");
    }
}

/// A signed query of the call data `data` to `to`, leashed to a block.
fn signed(chain: &Chain, key: &AccountKey, to: Address, base: u64, change: impl Fn(&mut Leash)) -> CallRequest {
    let header = &chain.headers[&base];
    let mut leash = Leash {
        nonce: chain.nonce(key),
        block_number: base,
        block_hash: Digest(header.hash_slow().0),
        block_range: 15,
    };
    change(&mut leash);
    let price = 100 * GWEI;
    let call = QueryCall {
        from: key.account(),
        to: crate::common::account(&to),
        gas_limit: 30_000_000,
        gas_price: U256::from(price).to_be_bytes(),
        value: [0; 32],
        data: b"",
    };
    let signature = key.sign(&call.digest(chain.ctx.chain_id(), &leash));
    let (sent, _) = seal(chain, b"");
    let data = QueryProof { leash, signature }.pack(&sent).unwrap();
    let request = request(address(key), to, data);
    CallRequest { gas: Some(30_000_000), gas_price: Some(price), ..request }
}

fn guarded_chain() -> (Chain, Address) {
    let mut chain = new_chain();
    let guarded = confidential(&mut chain, GUARDED);
    let tx = chain.sign(&key(3), guarded, 0, U256::from(42).to_be_bytes::<32>());
    chain.block(vec![tx]);
    (chain, guarded)
}

#[test]
fn a_signed_query_has_its_sender_and_costs_nothing() {
    let (chain, guarded) = guarded_chain();
    let (_, opener) = seal(&chain, b"");
    // An account without any money.
    let signer = key(77);
    let query = signed(&chain, &signer, guarded, chain.tip().number - 1, |_| {});
    let answer = ask(&chain, &query).unwrap();
    assert_eq!(opener.open(&answer.output), Ok(CallResult::Returned(U256::from(42).to_be_bytes_vec())));
    let gas = estimate_gas(&chain.ctx, chain.parent(), &chain.state, &query).unwrap();
    assert!(gas < 2_000_000);
}

#[test]
fn signed_queries_refused() {
    let (mut chain, guarded) = guarded_chain();
    let signer = key(2);
    let base = chain.tip().number - 1;
    let query = |chain: &Chain, change: &dyn Fn(&mut Leash)| signed(chain, &signer, guarded, base, change);
    let good = query(&chain, &|_| {});
    assert!(ask(&chain, &good).is_ok());
    let other = CallRequest { from: address(&key(4)), ..good.clone() };
    assert_eq!(refusal(ask(&chain, &other)), CallDataRefusal::Signer);
    let changed = [
        CallRequest { gas: Some(1_000_000), ..good.clone() },
        CallRequest { gas_price: Some(1), ..good.clone() },
        CallRequest { to: Some(Address::ZERO), ..good.clone() },
        CallRequest { value: U256::from(1), ..good.clone() },
    ];
    for changed in changed {
        assert_eq!(refusal(ask(&chain, &changed)), CallDataRefusal::Signer);
    }
    let future = query(&chain, &|leash| leash.block_number = base + 2);
    assert_eq!(refusal(ask(&chain, &future)), CallDataRefusal::BaseBlock);
    let fork = query(&chain, &|leash| leash.block_hash = Digest([1; 32]));
    assert_eq!(refusal(ask(&chain, &fork)), CallDataRefusal::BaseHash);

    // A transaction of the signer ends what it signed before.
    let tx = chain.sign(&signer, guarded, 0, Bytes::new());
    chain.block(vec![tx]);
    assert_eq!(refusal(ask(&chain, &good)), CallDataRefusal::Nonce);
}

#[test]
fn a_leash_is_judged_by_blocks_and_by_time() {
    let (mut chain, guarded) = guarded_chain();
    let signer = key(2);
    let base = chain.tip().number;
    let query = signed(&chain, &signer, guarded, base, |_| {});
    // Many blocks in little time: fifteen blocks of Sapphire are ninety seconds.
    for _ in 0..30 {
        chain.block_now(vec![]);
    }
    assert!(ask(&chain, &query).is_ok());
    wait(&mut chain, 90);
    assert!(ask(&chain, &query).is_ok());
    wait(&mut chain, 1);
    assert_eq!(refusal(ask(&chain, &query)), CallDataRefusal::Range);
    // No leash is longer than 256 blocks.
    let long = signed(&chain, &signer, guarded, base, |leash| leash.block_range = u64::MAX);
    assert!(ask(&chain, &long).is_ok());
    for _ in 0..230 {
        chain.block_now(vec![]);
    }
    wait(&mut chain, 256 * 6);
    assert_eq!(refusal(ask(&chain, &long)), CallDataRefusal::Range);
}

#[test]
fn the_subcall_gives_the_key_that_the_chain_opens_with() {
    let chain = new_chain();
    let (public, epoch) = epoch_key(&chain);
    // What Sapphire's client for JavaScript sends, whole.
    let asked = hex!(
        "0000000000000000000000000000000000000000000000000000000000000040000000000000000000000000000000000000000000000000"
        "00000000000000800000000000000000000000000000000000000000000000000000000000000016636f72652e43616c6c44617461507562"
        "6c69634b6579000000000000000000000000000000000000000000000000000000000000000000000000000000000001f600000000000000"
        "000000000000000000000000000000000000000000000000"
    );
    let subcall: Address = "0x0100000000000000000000000000000000000103".parse().unwrap();
    let answer = chain.call(Address::ZERO, subcall, asked);
    assert!(answer.is_success());
    assert!(answer.output.windows(32).any(|part| part == public.as_bytes()));
    let epoch = u32::try_from(epoch).unwrap().to_be_bytes();
    assert!(answer.output.windows(4).any(|part| part == epoch));
}
