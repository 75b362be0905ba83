//! Results that no two runs give alike: who is asked, and when a result counts.

use alloy_primitives::{Address, B256, Bytes, I256, U256};
use alloy_sol_types::{SolCall as _, SolEvent as _, sol};
use freehold_ledger::Status;
use freehold_primitives::G1Point;

use crate::{
    common::{address, key},
    market::support::{Market, Reverted, STRANGER, id_of, refused},
    registry::{Draft, IApps, PROVIDER},
};

sol! {
    struct Terms { bytes21 app; uint8 asked; uint8 needed; uint8 tier; bool apart; uint32 answerS; uint256 tolerance; }
    contract AgreedAnswers {
        constructor(Terms terms);
        event RoundOpened(uint256 indexed round, bytes21 indexed app, bytes32[] candidates);
        event Drawn(uint256 indexed round, bytes32[] instances, uint64 endsAt);
        error BadTerms();
        error TooFewInstances(uint256 found);
        error NotToDraw(uint256 round);
        error OtherCandidates();
        error NoRandomness();
        error NotAsked(address caller);
        error NotOpen(uint256 round);
        error AlreadyAsked(bytes32 question);
        error NotTheHeader(uint256 height);
        function ask(bytes32 question) external returns (uint256 round);
        function draw(uint256 round, bytes32[] candidates, bytes header) external;
        function answer(uint256 round, int256 value) external;
        function read(bytes32 question) external view returns (int256 value);
    }
}

const QUESTION: B256 = B256::repeat_byte(0x51);

struct Asked {
    market: Market,
    contract: Address,
    drafts: Vec<Draft>,
}

impl Asked {
    /// Instances that can pay for their answers, and the contract.
    fn new(instances: u8, change: impl FnOnce(&mut Terms)) -> Self {
        let mut market = Market::new();
        let app = market.app();
        let mut terms =
            Terms { app, asked: 5, needed: 3, tier: 1, apart: false, answerS: 100, tolerance: U256::from(10) };
        change(&mut terms);
        let contract = market.deploy_with("AgreedAnswers", &AgreedAnswers::constructorCall { terms });
        let mut drafts = Vec::new();
        for seed in 0x21..0x21 + instances {
            let mut draft = market.registry.draft(seed);
            draft.value = 10_u128.pow(17);
            market.registry.register(&draft).unwrap();
            drafts.push(draft);
        }
        market.chain().seed = Some(G1Point([7; 48]));
        Self { market, contract, drafts }
    }

    fn ask(&mut self) -> (u64, Vec<B256>) {
        let call = AgreedAnswers::askCall { question: QUESTION };
        let block = self.market.pay(STRANGER, self.contract, call, 0).unwrap();
        let log = AgreedAnswers::RoundOpened::decode_log(&block.receipts[0].envelope.logs()[0]).unwrap();
        (block.header.number, log.candidates.clone())
    }

    fn draw(&mut self, candidates: &[B256], header: Bytes) -> Result<Vec<Draft>, Reverted> {
        let call = AgreedAnswers::drawCall { round: U256::from(1), candidates: candidates.to_vec(), header };
        let block = self.market.pay(STRANGER, self.contract, call, 0)?;
        let log = AgreedAnswers::Drawn::decode_log(&block.receipts[0].envelope.logs()[0]).unwrap();
        let drawn = |id: &B256| self.drafts.iter().find(|draft| id_of(draft) == *id).unwrap().clone();
        Ok(log.instances.iter().map(drawn).collect())
    }

    /// Asks, and draws with the header of the next block.
    fn drawn(&mut self) -> Vec<Draft> {
        let (height, candidates) = self.ask();
        self.market.pass(1);
        let header = self.market.header(height + 1);
        self.draw(&candidates, header).unwrap()
    }

    fn answer(&mut self, draft: &Draft, value: i64) -> Result<(), Reverted> {
        let value = I256::try_from(value).unwrap();
        let call = AgreedAnswers::answerCall { round: U256::from(1), value };
        self.market.pay(draft.signer, self.contract, call, 0).map(|_| ())
    }

    fn read(&self) -> Option<i64> {
        let outcome = self.market.registry.view(self.contract, AgreedAnswers::readCall { question: QUESTION });
        (outcome.status == Status::Success)
            .then(|| AgreedAnswers::readCall::abi_decode_returns(&outcome.output).unwrap().as_i64())
    }
}

#[test]
fn enough_near_answers_of_drawn_instances_make_a_result() {
    let mut asked = Asked::new(8, |_| {});
    let drawn = asked.drawn();
    assert_eq!(drawn.len(), 5);
    asked.answer(&drawn[0], 100).unwrap();
    let twice = asked.answer(&drawn[0], 100);
    let caller = address(&key(drawn[0].signer));
    refused(twice, AgreedAnswers::NotAsked { caller });
    asked.answer(&drawn[1], 5_000).unwrap();
    asked.answer(&drawn[2], 109).unwrap();
    assert_eq!(asked.read(), None);
    // Near to one of them and not to all.
    asked.answer(&drawn[3], 111).unwrap();
    assert_eq!(asked.read(), None);
    asked.answer(&drawn[4], 103).unwrap();
    assert_eq!(asked.read(), Some(103));
}

#[test]
fn who_was_not_drawn_or_no_longer_lives_does_not_count() {
    let mut asked = Asked::new(8, |_| {});
    let drawn = asked.drawn();
    let ids: Vec<B256> = drawn.iter().map(id_of).collect();
    let left_out = asked.drafts.iter().find(|draft| !ids.contains(&id_of(draft))).unwrap().clone();
    let caller = address(&key(left_out.signer));
    refused(asked.answer(&left_out, 1), AgreedAnswers::NotAsked { caller });
    for draft in &drawn[..2] {
        asked.answer(draft, 7).unwrap();
    }
    asked.market.registry.apps(PROVIDER, IApps::deregisterCall { instance: ids[0] }).unwrap();
    asked.answer(&drawn[2], 7).unwrap();
    assert_eq!(asked.read(), None);
    asked.answer(&drawn[3], 8).unwrap();
    assert_eq!(asked.read(), Some(7));
    refused(asked.answer(&drawn[4], 7), AgreedAnswers::NotOpen { round: U256::from(1) });
}

#[test]
fn a_draw_is_by_the_next_blocks_randomness_among_the_frozen_alone() {
    let mut asked = Asked::new(8, |_| {});
    let (height, candidates) = asked.ask();
    let round = U256::from(1);
    asked.market.register(0x41);
    let header = asked.market.header(height + 1);
    let mut longer = candidates.clone();
    longer.push(id_of(&asked.drafts[0]));
    refused(asked.draw(&longer, header.clone()).map(|_| ()), AgreedAnswers::OtherCandidates {});
    let wrong = asked.draw(&candidates, asked.market.header(height)).map(|_| ());
    refused(wrong, AgreedAnswers::NotTheHeader { height: U256::from(height + 1) });
    let again = asked.market.pay(STRANGER, asked.contract, AgreedAnswers::askCall { question: QUESTION }, 0);
    refused(again, AgreedAnswers::AlreadyAsked { question: QUESTION });
    let first = asked.drafts[0].clone();
    let early = asked.answer(&first, 1);
    refused(early, AgreedAnswers::NotOpen { round });
    asked.draw(&candidates, header.clone()).unwrap();
    refused(asked.draw(&candidates, header).map(|_| ()), AgreedAnswers::NotToDraw { round });
    // Too late: it can be asked anew.
    asked.market.pass(200);
    refused(asked.answer(&first, 1), AgreedAnswers::NotOpen { round });
    asked.ask();
}

#[test]
fn lots_fall_differently_and_need_randomness() {
    let mut asked = Asked::new(8, |_| {});
    asked.market.chain().seed = None;
    let (height, candidates) = asked.ask();
    asked.market.pass(1);
    let header = asked.market.header(height + 1);
    refused(asked.draw(&candidates, header).map(|_| ()), AgreedAnswers::NoRandomness {});
    let mut lots = Vec::new();
    for seed in 1..=4 {
        let mut asked = Asked::new(8, |_| {});
        asked.market.chain().seed = Some(G1Point([seed; 48]));
        lots.push(asked.drawn().iter().map(|draft| draft.signer).collect::<Vec<_>>());
    }
    lots.sort();
    lots.dedup();
    assert!(lots.len() > 1, "four seeds draw alike: {lots:?}");
}

#[test]
fn one_providers_instances_are_not_asked_together_where_that_is_demanded() {
    let mut asked = Asked::new(4, |terms| (terms.asked, terms.needed, terms.apart) = (3, 2, true));
    let (height, candidates) = asked.ask();
    asked.market.pass(1);
    let header = asked.market.header(height + 1);
    let found = U256::from(1);
    refused(asked.draw(&candidates, header).map(|_| ()), AgreedAnswers::TooFewInstances { found });
}

#[test]
fn terms_that_allow_two_results_are_refused() {
    let changes: [fn(&mut Terms); 5] = [
        |terms| (terms.asked, terms.needed) = (4, 2),
        |terms| (terms.asked, terms.needed) = (17, 9),
        |terms| (terms.asked, terms.needed) = (2, 3),
        |terms| (terms.asked, terms.needed) = (0, 0),
        |terms| terms.answerS = 0,
    ];
    for change in changes {
        let mut asked = Asked::new(1, change);
        let call = AgreedAnswers::askCall { question: QUESTION };
        refused(asked.market.pay(STRANGER, asked.contract, call, 0), AgreedAnswers::BadTerms {});
    }
    let mut few = Asked::new(2, |_| {});
    let call = AgreedAnswers::askCall { question: QUESTION };
    let found = U256::from(2);
    refused(few.market.pay(STRANGER, few.contract, call, 0), AgreedAnswers::TooFewInstances { found });
}
