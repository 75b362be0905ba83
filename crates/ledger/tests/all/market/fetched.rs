//! Fetch records in a contract: taken from live instances of the app alone, fresh, unchanged, and enough of them.

use alloy_primitives::{Address, B256, Bytes, FixedBytes, U256};
use alloy_sol_types::sol;
use freehold_crypto::{sha256, sign_fetch};
use freehold_primitives::{Digest, FetchMethod, FetchRecord};

use crate::{
    common::{CHAIN_ID, address, key},
    market::support::{Market, Reverted, STRANGER, id_of, refused},
    registry::{Draft, IApps, OWNER, PROVIDER},
};

sol! {
    struct Record {
        uint64 chainId; bytes32 genesisHash; bytes21 app; bytes32 instance; uint64 height; bytes32 blockHash; uint64 time;
        uint8 method; string url; bytes32 requestHeaders; bytes32 requestBody; bytes32 roots; bytes32 certificates;
        uint16 status; bytes32 responseBody;
    }
    struct Demand { bytes21 app; uint8 tier; bytes32 roots; uint64 ageMaxS; }
    contract FetchedPrice {
        constructor(string url, Demand demand, uint256 needed);
        error NotSignedByInstance(address signer);
        error OtherRecord();
        error NotOfNow(uint64 time, uint64 height);
        error NotTheResponse();
        error NoAgreement();
        error NotAsked();
        error NoPrice();
        function bring(Record[] records, bytes[] signatures, bytes response) external;
        function price() external view returns (uint256 price);
        function fetchedAt() external view returns (uint64 at);
    }
}

const URL: &str = "https://prices.example/eth";
const BODY: &[u8] = br#"{"pair":"ETH/USD","price":"1234.5","n":3}"#;
const AGE_MAX_S: u64 = 60;

struct Brought {
    market: Market,
    contract: Address,
    drafts: Vec<Draft>,
}

impl Brought {
    fn new(instances: u8, needed: u64) -> Self {
        let mut market = Market::new();
        let demand = Demand { app: market.app(), tier: 1, roots: B256::ZERO, ageMaxS: AGE_MAX_S };
        let arguments = FetchedPrice::constructorCall { url: URL.to_owned(), demand, needed: U256::from(needed) };
        let contract = market.deploy_with("FetchedPrice", &arguments);
        let mut drafts: Vec<Draft> = (0x21..0x21 + instances).map(|seed| market.register(seed)).collect();
        drafts.sort_by_key(id_of);
        Self { market, contract, drafts }
    }

    /// What an instance would sign now of a response.
    fn record(&self, draft: &Draft, body: &[u8]) -> FetchRecord {
        let tip = self.market.registry.chain.tip();
        FetchRecord {
            chain_id: CHAIN_ID,
            genesis_hash: draft.registration.subject.genesis_hash,
            app_id: self.market.registry.app,
            instance_id: draft.instance_id(),
            height: tip.number,
            block_hash: Digest(tip.hash_slow().0),
            time_unix_s: tip.timestamp,
            method: FetchMethod::Get,
            url: URL.to_owned(),
            request_headers: Digest([0; 32]),
            request_body: Digest([0; 32]),
            roots: Digest([0; 32]),
            certificates: Digest([5; 32]),
            status: 200,
            response_body: sha256(body),
        }
    }

    fn signed(&self, draft: &Draft, body: &[u8]) -> (FetchRecord, Vec<u8>) {
        let record = self.record(draft, body);
        let signature = sign_fetch(&key(draft.signer), &record).to_vec();
        (record, signature)
    }

    fn bring(&mut self, records: &[(FetchRecord, Vec<u8>)], body: &[u8]) -> Result<(), Reverted> {
        let call = FetchedPrice::bringCall {
            records: records.iter().map(|(record, _)| in_solidity(record)).collect(),
            signatures: records.iter().map(|(_, signature)| Bytes::from(signature.clone())).collect(),
            response: Bytes::copy_from_slice(body),
        };
        self.market.pay(STRANGER, self.contract, call, 0).map(|_| ())
    }

    fn price(&self) -> u64 {
        self.market.view(self.contract, FetchedPrice::priceCall {}).to()
    }
}

fn in_solidity(record: &FetchRecord) -> Record {
    let word = |digest: Digest| B256::from(digest.0);
    Record {
        chainId: record.chain_id,
        genesisHash: word(record.genesis_hash),
        app: FixedBytes(*record.app_id.as_bytes()),
        instance: word(record.instance_id),
        height: record.height,
        blockHash: word(record.block_hash),
        time: record.time_unix_s,
        method: record.method as u8,
        url: record.url.clone(),
        requestHeaders: word(record.request_headers),
        requestBody: word(record.request_body),
        roots: word(record.roots),
        certificates: word(record.certificates),
        status: record.status,
        responseBody: word(record.response_body),
    }
}

#[test]
fn a_record_of_a_live_instance_is_taken_from_anybody() {
    let mut brought = Brought::new(1, 1);
    let signed = brought.signed(&brought.drafts[0].clone(), BODY);
    brought.bring(std::slice::from_ref(&signed), BODY).unwrap();
    assert_eq!(brought.price(), 123_450_000_000);
    // The same again is not newer.
    refused(brought.bring(&[signed], BODY), FetchedPrice::NotAsked {});
    brought.market.pass(5);
    let other = br#"{"price": 1234.123456789}"#;
    let signed = brought.signed(&brought.drafts[0].clone(), other);
    brought.bring(&[signed], other).unwrap();
    assert_eq!(brought.price(), 123_412_345_678);
}

#[test]
fn a_record_that_was_changed_is_refused() {
    let mut brought = Brought::new(1, 1);
    let (record, signature) = brought.signed(&brought.drafts[0].clone(), BODY);
    let other = Digest([9; 32]);
    let changed = [
        FetchRecord { genesis_hash: other, ..record.clone() },
        FetchRecord { time_unix_s: record.time_unix_s - 1, ..record.clone() },
        FetchRecord { url: format!("{URL}?x"), ..record.clone() },
        FetchRecord { method: FetchMethod::Post, ..record.clone() },
        FetchRecord { request_headers: other, ..record.clone() },
        FetchRecord { request_body: other, ..record.clone() },
        FetchRecord { certificates: other, ..record.clone() },
        FetchRecord { status: 201, ..record.clone() },
        FetchRecord { response_body: sha256(b"other"), ..record.clone() },
    ];
    for changed in changed {
        let Err(Reverted(why)) = brought.bring(&[(changed.clone(), signature.clone())], BODY) else {
            panic!("{changed:?} is taken");
        };
        let selector = <FetchedPrice::NotSignedByInstance as alloy_sol_types::SolError>::SELECTOR;
        assert_eq!(why[..4], selector, "{changed:?}");
    }
    let none = |signature: Vec<u8>| (record.clone(), signature);
    for damaged in [Vec::new(), signature[..64].to_vec(), [signature.clone(), vec![0]].concat(), vec![0; 65]] {
        let refusal = FetchedPrice::NotSignedByInstance { signer: Address::ZERO };
        refused(brought.bring(&[none(damaged)], BODY), refusal);
    }
    refused(brought.bring(&[(record, signature)], b"{\"price\":1}"), FetchedPrice::NotTheResponse {});
}

#[test]
fn a_record_of_others_is_refused() {
    let mut brought = Brought::new(2, 1);
    let (first, second) = (brought.drafts[0].clone(), brought.drafts[1].clone());
    let record = brought.record(&first, BODY);
    // Signed by nobody's key, and by another instance's.
    for seed in [0x7f, second.signer] {
        let signature = sign_fetch(&key(seed), &record).to_vec();
        let refusal = FetchedPrice::NotSignedByInstance { signer: address(&key(seed)) };
        refused(brought.bring(&[(record.clone(), signature)], BODY), refusal);
    }
    let resigned = |record: FetchRecord| (record.clone(), sign_fetch(&key(first.signer), &record).to_vec());
    let elsewhere = resigned(FetchRecord { chain_id: CHAIN_ID + 1, ..record.clone() });
    refused(brought.bring(&[elsewhere], BODY), FetchedPrice::OtherRecord {});
    let foreign = resigned(FetchRecord { app_id: freehold_primitives::AppId::new([7; 20]), ..record.clone() });
    refused(brought.bring(&[foreign], BODY), FetchedPrice::OtherRecord {});
    let pinned = resigned(FetchRecord { roots: Digest([1; 32]), ..record.clone() });
    refused(brought.bring(&[pinned], BODY), FetchedPrice::OtherRecord {});
    let asked_otherwise = resigned(FetchRecord { request_headers: Digest([1; 32]), ..record.clone() });
    refused(brought.bring(&[asked_otherwise], BODY), FetchedPrice::NotAsked {});
    let not_found = resigned(FetchRecord { status: 404, ..record.clone() });
    refused(brought.bring(&[not_found], BODY), FetchedPrice::NotAsked {});
    // An instance that is none any more.
    let app = brought.market.app();
    let revoke = IApps::revokeCall { app, instance: id_of(&first), reason: 0 };
    brought.market.registry.apps(OWNER, revoke).unwrap();
    let (record, signature) = brought.signed(&first, BODY);
    let refusal = FetchedPrice::NotSignedByInstance { signer: address(&key(first.signer)) };
    refused(brought.bring(&[(record, signature)], BODY), refusal);
}

#[test]
fn a_record_that_is_not_of_now_is_refused() {
    let mut brought = Brought::new(1, 1);
    let draft = brought.drafts[0].clone();
    let resigned = |record: FetchRecord| (record.clone(), sign_fetch(&key(draft.signer), &record).to_vec());
    let record = brought.record(&draft, BODY);
    let not_of_now = |record: &FetchRecord| FetchedPrice::NotOfNow { time: record.time_unix_s, height: record.height };
    let ahead = FetchRecord { time_unix_s: record.time_unix_s + 100, ..record.clone() };
    let forked = FetchRecord { block_hash: Digest([3; 32]), ..record.clone() };
    let no_block = FetchRecord { block_hash: Digest([0; 32]), height: record.height + 1_000, ..record.clone() };
    for wrong in [ahead, forked, no_block] {
        let refusal = not_of_now(&wrong);
        refused(brought.bring(&[resigned(wrong)], BODY), refusal);
    }
    brought.market.pass(AGE_MAX_S + 2);
    refused(brought.bring(&[resigned(record.clone())], BODY), not_of_now(&record));
}

#[test]
fn enough_distinct_instances_must_agree() {
    let mut brought = Brought::new(3, 2);
    let drafts = brought.drafts.clone();
    let all: Vec<_> = drafts.iter().map(|draft| brought.signed(draft, BODY)).collect();
    refused(brought.bring(&all[..1], BODY), FetchedPrice::NoAgreement {});
    let twice = [all[0].clone(), all[0].clone()];
    refused(brought.bring(&twice, BODY), FetchedPrice::NoAgreement {});
    let turned = [all[1].clone(), all[0].clone()];
    refused(brought.bring(&turned, BODY), FetchedPrice::NoAgreement {});
    let differs = [all[0].clone(), brought.signed(&drafts[1], b"{\"price\":1}")];
    refused(brought.bring(&differs, BODY), FetchedPrice::NoAgreement {});
    brought.market.registry.apps(PROVIDER, IApps::deregisterCall { instance: id_of(&drafts[1]) }).unwrap();
    let signer = address(&key(drafts[1].signer));
    refused(brought.bring(&all[..2], BODY), FetchedPrice::NotSignedByInstance { signer });
    let rest = [all[0].clone(), all[2].clone()];
    brought.bring(&rest, BODY).unwrap();
    assert_eq!(brought.price(), 123_450_000_000);
}

#[test]
fn what_is_no_number_is_no_price() {
    let mut brought = Brought::new(1, 1);
    let draft = brought.drafts[0].clone();
    let wrong: [&[u8]; 8] = [
        b"",
        b"{}",
        b"{\"price\":}",
        b"{\"price\":-1}",
        b"{\"price\":1e9}",
        b"{\"price\":12",
        b"{\"price\":1.2.3}",
        b"{\"price\":99999999999999999999999999999999999999999}",
    ];
    for body in wrong {
        let signed = brought.signed(&draft, body);
        refused(brought.bring(&[signed], body), FetchedPrice::NoPrice {});
    }
}
