//! Offers, bonds and rentals: who may do what, and within which bounds.

use alloy_primitives::{B256, U256, keccak256};
use freehold_ledger::{MARKET, Visibility, read_account};

use crate::{
    common::{address, key},
    market::support::{
        BOND, Change, IMarket, Market, NATIVE, PRICE, RENTER, Reverted, STRANGER, coins, refused, terms,
    },
    registry::PROVIDER,
};

#[test]
fn the_market_stands_in_block_0_as_its_artefact_says() {
    let market = Market::new();
    let account = read_account(&market.registry.chain.state, &MARKET).unwrap();
    let code = include_bytes!("../../../../../contracts/artifacts/Market.bin");
    assert_eq!((account.code_hash, account.visibility), (keccak256(code), Visibility::Public));
    // The code that a deployment would leave is the same: it ends the artefact's init code.
    assert!(crate::market::support::artefact("Market").ends_with(code));
}

#[test]
fn terms_out_of_bounds_are_refused_by_their_number() {
    let mut market = Market::new();
    let changes: [(u8, Change); 11] = [
        (0, |terms| terms.token = address(&key(7))),
        (3, |terms| terms.secondsMin = 0),
        (4, |terms| terms.secondsMax = 9),
        (5, |terms| terms.capacity = 0),
        (6, |terms| terms.evidenceKind = 0),
        (6, |terms| terms.evidenceKind = 7),
        (7, |terms| terms.trustDomain = 0),
        (7, |terms| terms.trustDomain = 6),
        (8, |terms| terms.tier = 9),
        (14, |terms| terms.details = "x".repeat(257)),
        (3, |terms| (terms.secondsMin, terms.secondsMax) = (0, 0)),
    ];
    for (member, change) in changes {
        let mut terms = terms();
        change(&mut terms);
        refused(market.offer(terms), IMarket::BadTerms { member });
    }
    assert_eq!(market.view(MARKET, IMarket::offerCountCall {}), 0);
    let mut longest = terms();
    longest.details = "x".repeat(256);
    let offer = market.offer(longest.clone()).unwrap();
    let found = market.view(MARKET, IMarket::offerOfCall { id: offer });
    assert_eq!((found.provider, found.open, found.rented), (address(&key(PROVIDER)), true, 0));
    assert_eq!((found.terms.details, found.terms.memoryMib), (longest.details, 4096));
}

#[test]
fn a_rental_keeps_to_the_offer() {
    let mut market = Market::new();
    let mut narrow = terms();
    (narrow.capacity, narrow.secondsMax) = (2, 1_000);
    let offer = market.offer(narrow).unwrap();
    refused(market.rent(offer + 1, 100), IMarket::OfferNotOpen { offer: offer + 1 });
    refused(market.rent(offer, 9), IMarket::BadLength { secondsAhead: U256::from(9) });
    refused(market.rent(offer, 1_001), IMarket::BadLength { secondsAhead: U256::from(1_001) });
    for value in [0, 100 * PRICE - 1, 100 * PRICE + 1] {
        let sent = market.pay(RENTER, MARKET, market.rent_call(offer, 100), value);
        refused(sent, IMarket::WrongValue { sent: coins(value), needed: coins(100 * PRICE) });
    }
    let rental = market.rent(offer, 100).unwrap();
    let found = market.rental(rental);
    assert_eq!((found.offer, found.renter), (offer, address(&key(RENTER))));
    assert_eq!((found.startsAt, found.endsAt), (market.now(), market.now() + 100));
    market.rent(offer, 100).unwrap();
    refused(market.rent(offer, 100), IMarket::OfferFull { offer });
    assert_eq!(market.holds(), coins(200 * PRICE + 10 * BOND));

    // For longer, within the terms, by the renter, while it runs and the offer stands.
    let more = |seconds| IMarket::topUpCall { id: rental, secondsMore: seconds };
    refused(market.pay(STRANGER, MARKET, more(10), 10 * PRICE), IMarket::NotYours {});
    refused(market.pay(RENTER, MARKET, more(0), 0), bad_length(&market, rental, 0));
    let long = market.pay(RENTER, MARKET, more(1_000), 1_000 * PRICE);
    refused(long, bad_length(&market, rental, 1_000));
    market.pay(RENTER, MARKET, more(10), 10 * PRICE).unwrap();
    assert_eq!(market.rental(rental).endsAt, found.endsAt + 10);
    refused(market.send(RENTER, IMarket::closeOfferCall { id: offer }), IMarket::NotYours {});
    market.send(PROVIDER, IMarket::closeOfferCall { id: offer }).unwrap();
    refused(market.send(PROVIDER, IMarket::closeOfferCall { id: offer }), IMarket::OfferNotOpen { offer });
    refused(market.pay(RENTER, MARKET, more(10), 10 * PRICE), IMarket::OfferNotOpen { offer });
    refused(market.rent(offer, 100), IMarket::OfferNotOpen { offer });
    market.pass(200);
    let late = market.pay(RENTER, MARKET, more(10), 10 * PRICE);
    refused(late, IMarket::Over { endsAt: found.endsAt + 10 });
}

fn bad_length(market: &Market, rental: u64, more: u64) -> IMarket::BadLength {
    IMarket::BadLength { secondsAhead: U256::from(market.rental(rental).endsAt - market.now() + more) }
}

#[test]
fn bonds_are_locked_while_they_are_at_stake() {
    let (mut market, rental) = Market::rented(terms(), 100);
    assert_eq!(market.bond(), (10 * BOND, BOND));
    let too_much = market.send(PROVIDER, IMarket::takeBondCall { amount: coins(9 * BOND + 1) });
    refused(too_much, IMarket::BondTooSmall { free: coins(9 * BOND), needed: coins(9 * BOND + 1) });
    market.send(PROVIDER, IMarket::takeBondCall { amount: coins(9 * BOND) }).unwrap();
    assert_eq!((market.bond(), market.credit(PROVIDER, NATIVE)), ((BOND, BOND), coins(9 * BOND)));
    refused(market.rent(1, 100), IMarket::BondTooSmall { free: U256::ZERO, needed: coins(BOND) });
    market.serve(rental, 0x21);
    market.send(RENTER, IMarket::cancelCall { id: rental }).unwrap();
    // After the end a fault can still be proven, so the bond stays a while.
    let until = market.rental(rental).endedAt + 86_400;
    let free = IMarket::freeBondCall { id: rental };
    refused(market.send(STRANGER, free.clone()), IMarket::StillLocked { until });
    market.pass(86_400);
    market.send(STRANGER, free.clone()).unwrap();
    assert_eq!(market.bond(), (BOND, 0));
    refused(market.send(STRANGER, free), IMarket::RentalNotOpen { rental });
    // Where nothing ever served it is free at once.
    let other = market.rent(1, 100).unwrap();
    refused(market.send(STRANGER, IMarket::freeBondCall { id: other }), IMarket::RentalNotOpen { rental: other });
    market.send(RENTER, IMarket::cancelCall { id: other }).unwrap();
    assert_eq!(market.bond(), (BOND, 0));
}

#[test]
fn nobody_acts_for_another() {
    let (mut market, rental) = Market::rented(terms(), 100);
    let instance = B256::repeat_byte(1);
    for stranger in [STRANGER, PROVIDER] {
        refused(market.send(stranger, IMarket::cancelCall { id: rental }), IMarket::NotYours {});
    }
    for stranger in [STRANGER, RENTER] {
        refused(market.send(stranger, IMarket::releaseCall { id: rental }), IMarket::NotYours {});
        refused(market.send(stranger, IMarket::attachCall { id: rental, instance }), IMarket::NotYours {});
        refused(market.send(stranger, IMarket::detachCall { id: rental }), IMarket::NotYours {});
    }
    let end = market.rental(rental).endsAt;
    refused(market.send(STRANGER, IMarket::finishCall { id: rental }), IMarket::NotOverYet { endsAt: end });
    let take = IMarket::withdrawCall { token: NATIVE, to: address(&key(STRANGER)) };
    refused(market.send(STRANGER, take), IMarket::NothingToTake {});
    let none = IMarket::RentalNotOpen { rental: 9 };
    refused(market.settle(9), none.clone());
    refused(market.send(RENTER, IMarket::cancelCall { id: 9 }), none);
    // Coins that nobody said a word about do not stay, and no function can be guessed.
    let empty = market.pay(STRANGER, MARKET, crate::market::support::OddAccount::paidCall {}, 5);
    assert_eq!(empty.unwrap_err(), Reverted(Default::default()));
    market.send(RENTER, IMarket::cancelCall { id: rental }).unwrap();
    refused(market.send(RENTER, IMarket::cancelCall { id: rental }), IMarket::RentalNotOpen { rental });
}
