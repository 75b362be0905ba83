//! Tokens and receivers that misbehave: nothing is lost, nothing is made, nothing runs twice.

use alloy_primitives::{Address, Bytes, U256};
use alloy_sol_types::SolCall as _;
use freehold_ledger::MARKET;

use crate::{
    common::{address, key},
    market::support::{IMarket, Market, NATIVE, OddAccount, OddToken, PRICE, RENTER, artefact, coins, refused, terms},
    registry::PROVIDER,
};

const HONEST: u8 = 0;
const CALLS_BACK: u8 = 8;

/// A market whose one offer is paid in a token that the renter has plenty of.
fn with_token() -> (Market, Address) {
    let mut market = Market::new();
    let token = market.deploy(artefact("OddToken"));
    let mint = OddToken::mintCall { to: address(&key(RENTER)), amount: coins(1_000_000 * PRICE) };
    market.pay(RENTER, token, mint, 0).unwrap();
    let approve = OddToken::approveCall { spender: MARKET, amount: U256::MAX };
    market.pay(RENTER, token, approve, 0).unwrap();
    market.offer(IMarket::Terms { token, ..terms() }).unwrap();
    (market, token)
}

fn behave(market: &mut Market, token: Address, mode: u8, data: impl Into<Bytes>) {
    let call = OddToken::setCall { newMode: mode, newTarget: MARKET, newData: data.into() };
    market.pay(RENTER, token, call, 0).unwrap();
}

fn held(market: &Market, token: Address, account: Address) -> U256 {
    market.view(token, OddToken::balanceOfCall { account })
}

#[test]
fn a_rental_in_tokens_pays_and_refunds_in_tokens() {
    for mode in [HONEST, 1] {
        let (mut market, token) = with_token();
        behave(&mut market, token, mode, Bytes::new());
        let value = market.pay(RENTER, MARKET, market.rent_call(1, 100), 5);
        refused(value, IMarket::WrongValue { sent: U256::from(5), needed: U256::ZERO });
        let rental = market.rent(1, 100).unwrap();
        assert_eq!(held(&market, token, MARKET), coins(100 * PRICE));
        market.serve(rental, 0x21);
        market.pass(30);
        market.send(RENTER, IMarket::cancelCall { id: rental }).unwrap();
        for seed in [PROVIDER, RENTER] {
            assert!(market.credit(seed, token) > U256::ZERO && market.credit(seed, NATIVE).is_zero());
            market.send(seed, IMarket::withdrawCall { token, to: address(&key(0x71)) }).unwrap();
        }
        assert_eq!(held(&market, token, address(&key(0x71))), coins(100 * PRICE));
        assert_eq!(held(&market, token, MARKET), U256::ZERO);
    }
}

#[test]
fn tokens_that_do_not_bring_exactly_what_they_should_are_refused() {
    // Says no; says neither; takes a fee; brings more; moves nothing; reverts.
    for mode in 2..=7 {
        let (mut market, token) = with_token();
        behave(&mut market, token, mode, Bytes::new());
        let amount = coins(100 * PRICE);
        refused(market.rent(1, 100).map(|_| ()), IMarket::TokenRefused { token, amount });
        assert_eq!(held(&market, token, MARKET), U256::ZERO);
        assert_eq!(market.view(MARKET, IMarket::rentalCountCall {}), 0);
        // The same of more seconds.
        behave(&mut market, token, HONEST, Bytes::new());
        let rental = market.rent(1, 100).unwrap();
        behave(&mut market, token, mode, Bytes::new());
        let more = market.send(RENTER, IMarket::topUpCall { id: rental, secondsMore: 100 });
        refused(more, IMarket::TokenRefused { token, amount });
        // What cannot be given stays owed, until the token behaves.
        market.send(RENTER, IMarket::cancelCall { id: rental }).unwrap();
        let to = address(&key(0x71));
        if matches!(mode, 2 | 3 | 7) {
            refused(market.send(RENTER, IMarket::withdrawCall { token, to }), IMarket::NotSent { to });
            assert_eq!(market.credit(RENTER, token), amount);
            behave(&mut market, token, HONEST, Bytes::new());
            market.send(RENTER, IMarket::withdrawCall { token, to }).unwrap();
            assert_eq!(held(&market, token, to), amount);
        }
    }
}

#[test]
fn a_token_that_calls_back_gets_nothing() {
    let (mut market, token) = with_token();
    let calls: [Vec<u8>; 4] = [
        IMarket::withdrawCall { token, to: token }.abi_encode(),
        IMarket::cancelCall { id: 1 }.abi_encode(),
        market.rent_call(1, 50).abi_encode(),
        IMarket::addBondCall {}.abi_encode(),
    ];
    for data in calls {
        behave(&mut market, token, CALLS_BACK, data);
        let rental = market.rent(1, 100).unwrap();
        assert!(!market.view(token, OddToken::calledBackCall {}));
        market.send(RENTER, IMarket::cancelCall { id: rental }).unwrap();
        market.send(RENTER, IMarket::withdrawCall { token, to: address(&key(RENTER)) }).unwrap();
        assert!(!market.view(token, OddToken::calledBackCall {}));
        assert_eq!(held(&market, token, MARKET), U256::ZERO);
    }
}

#[test]
fn a_receiver_that_calls_back_or_refuses_gets_what_is_its_own_once() {
    let mut market = Market::new();
    let renter = market.deploy(artefact("OddAccount"));
    market.offer(terms()).unwrap();
    market.rent(1, 100).unwrap();
    let run = |input: Vec<u8>| OddAccount::runCall { to: MARKET, input: input.into() };
    let rent = run(market.rent_call(1, 100).abi_encode());
    market.pay(RENTER, renter, rent, 100 * PRICE).unwrap();
    market.pay(RENTER, renter, run(IMarket::cancelCall { id: 2 }.abi_encode()), 0).unwrap();
    let withdraw = IMarket::withdrawCall { token: NATIVE, to: renter };
    let credit = |market: &Market| market.view(MARKET, IMarket::creditOfCall { account: renter, token: NATIVE });
    assert_eq!(credit(&market), coins(100 * PRICE));
    let set =
        |data: Vec<u8>, refuses| OddAccount::setCall { newTarget: MARKET, newData: data.into(), newRefuses: refuses };
    market.pay(RENTER, renter, set(Vec::new(), true), 0).unwrap();
    let refusal = market.pay(RENTER, renter, run(withdraw.abi_encode()), 0);
    refused(refusal, IMarket::NotSent { to: renter });
    assert_eq!(credit(&market), coins(100 * PRICE));
    market.pay(RENTER, renter, set(withdraw.abi_encode(), false), 0).unwrap();
    let before = market.holds();
    market.pay(RENTER, renter, run(withdraw.abi_encode()), 0).unwrap();
    assert_eq!(before - market.holds(), coins(100 * PRICE));
    assert_eq!(market.view(renter, OddAccount::paidCall {}), U256::from(1));
    assert!(!market.view(renter, OddAccount::calledBackCall {}));
    assert_eq!(credit(&market), U256::ZERO);
}
