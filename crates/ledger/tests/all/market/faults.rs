//! Faults that the registry proves, and those that it does not.

use alloy_primitives::B256;
use freehold_ledger::MARKET;
use freehold_primitives::{AppId, Canonical as _};

use crate::{
    common::{address, key},
    market::support::{BOND, IMarket, Market, NATIVE, PRICE, RENTER, STRANGER, coins, id_of, refused, terms},
    registry::{Draft, IApps, OWNER, PROVIDER, policy},
};

fn exclusive() -> IMarket::Terms {
    IMarket::Terms { exclusive: true, ..terms() }
}

/// Another app of the same owner; `market` speaks of it from here on. Answers which it was before.
fn other_app(market: &mut Market) -> AppId {
    let registry = &mut market.registry;
    let before = registry.app;
    let nonce = registry.chain.nonce(&key(OWNER));
    registry.app = freehold_crypto::app_id_from_creator_nonce(&key(OWNER).account(), nonce);
    registry.apps(OWNER, IApps::createCall { scheme: 1, policy: policy().to_canonical().into() }).unwrap();
    before
}

fn report(market: &mut Market, rental: u64, other: &Draft) -> Result<(), crate::market::support::Reverted> {
    let call = IMarket::reportDoubleLeaseCall { id: rental, attachment: 0, other: id_of(other) };
    market.send(STRANGER, call).map(|_| ())
}

#[test]
fn a_machine_let_twice_costs_the_bond() {
    let (mut market, rental) = Market::rented(exclusive(), 10_000);
    market.serve(rental, 0x21);
    market.pass(100);
    market.settle(rental).unwrap();
    let paid = market.credit(PROVIDER, NATIVE);
    other_app(&mut market);
    let other = market.register(0x22);
    market.pass(10);
    report(&mut market, rental, &other).unwrap();
    let found = market.rental(rental);
    assert!(found.endedAt == market.now() && !found.bonded && found.instance == B256::ZERO);
    // What was settled stays paid, what was not is lost; an eighth of the bond is the reporter's.
    assert_eq!(market.credit(PROVIDER, NATIVE), paid);
    assert_eq!(market.credit(STRANGER, NATIVE), coins(BOND / 8));
    assert_eq!(market.credit(RENTER, NATIVE), coins(10_000 * PRICE) - paid + coins(BOND - BOND / 8));
    assert_eq!((market.bond(), market.reputation().slashes), ((9 * BOND, 0), 1));
    assert!(!market.view(MARKET, IMarket::offerOfCall { id: 1 }).open);
    refused(report(&mut market, rental, &other), IMarket::NoFault {});
}

#[test]
fn a_double_lease_is_proven_after_the_fact_until_the_bond_is_free() {
    let (mut market, rental) = Market::rented(exclusive(), 10_000);
    market.serve(rental, 0x21);
    other_app(&mut market);
    let other = market.register(0x22);
    // Both are gone again before anybody looks.
    market.registry.apps(PROVIDER, IApps::deregisterCall { instance: id_of(&other) }).unwrap();
    market.send(PROVIDER, IMarket::releaseCall { id: rental }).unwrap();
    let refund = market.credit(RENTER, NATIVE);
    market.pass(86_000);
    report(&mut market, rental, &other).unwrap();
    assert_eq!(market.credit(RENTER, NATIVE), refund + coins(BOND - BOND / 8));
    assert_eq!(market.bond(), (9 * BOND, 0));
    refused(market.send(STRANGER, IMarket::freeBondCall { id: rental }), IMarket::RentalNotOpen { rental });
}

#[test]
fn what_is_no_double_lease_costs_nothing() {
    let (mut market, rental) = Market::rented(exclusive(), 10_000);
    let own = market.registry.app;
    other_app(&mut market);
    let before = market.register(0x22);
    market.registry.app = own;
    let served = market.serve(rental, 0x21);
    let none = || IMarket::NoFault {};
    // Left over from before, and not renewed since.
    refused(report(&mut market, rental, &before), none());
    // The renter's own second instance.
    let second = market.register(0x23);
    refused(report(&mut market, rental, &second), none());
    // Evidence from this machine in another provider's name: the renter's own code can show that.
    other_app(&mut market);
    let mut forged = market.registry.draft(0x24);
    forged.registration.subject.provider = key(RENTER).account();
    forged.sender = RENTER;
    let forged = forged.quoted();
    market.registry.register(&forged).unwrap();
    refused(report(&mut market, rental, &forged), none());
    // No such attachment, no such instance.
    let call = IMarket::reportDoubleLeaseCall { id: rental, attachment: 1, other: id_of(&forged) };
    refused(market.send(STRANGER, call), none());
    let call = IMarket::reportDoubleLeaseCall { id: rental, attachment: 0, other: B256::repeat_byte(1) };
    refused(market.send(STRANGER, call), none());
    // After the renter's instance has ended, whether or not anybody has said so: by deregistration, by detachment.
    market.registry.apps(PROVIDER, IApps::deregisterCall { instance: id_of(&served) }).unwrap();
    let after = market.register(0x25);
    refused(report(&mut market, rental, &after), none());
    // A shared offer promises nothing of the kind.
    let offer = market.offer(terms()).unwrap();
    let shared = market.rent(offer, 100).unwrap();
    let draft = market.register(0x26);
    refused(report(&mut market, shared, &draft), none());
    assert_eq!(market.reputation().slashes, 0);
}

#[test]
fn an_expired_instance_shields_what_comes_after_it() {
    let (mut market, rental) = Market::rented(exclusive(), 10_000);
    let served = market.serve(rental, 0x21);
    let expires = market.standing(&served).expiresAt;
    let left = expires - market.now();
    market.pass(left + 5);
    other_app(&mut market);
    let after = market.register(0x22);
    assert!(market.standing(&after).judgedAt >= expires);
    refused(report(&mut market, rental, &after), IMarket::NoFault {});
}

#[test]
fn one_machine_serves_an_exclusive_rental_or_several_shared_ones() {
    let mut market = Market::new();
    let (alone, shared) = (market.offer(exclusive()).unwrap(), market.offer(terms()).unwrap());
    let rentals = [alone, alone, shared, shared].map(|offer| market.rent(offer, 5_000).unwrap());
    let drafts = [0x21, 0x22, 0x23].map(|seed| market.register(seed));
    market.attach(rentals[0], &drafts[0]).unwrap();
    let machine = market.view(MARKET, IMarket::attachmentOfCall { id: rentals[0], number: 0 }).machine;
    for rental in &rentals[1..3] {
        refused(market.attach(*rental, &drafts[1]), IMarket::MachineTaken { machine });
    }
    market.send(PROVIDER, IMarket::detachCall { id: rentals[0] }).unwrap();
    market.attach(rentals[2], &drafts[1]).unwrap();
    market.attach(rentals[3], &drafts[2]).unwrap();
    refused(market.attach(rentals[0], &drafts[0]), IMarket::MachineTaken { machine });
    market.send(RENTER, IMarket::cancelCall { id: rentals[2] }).unwrap();
    refused(market.attach(rentals[0], &drafts[0]), IMarket::MachineTaken { machine });
    market.send(PROVIDER, IMarket::releaseCall { id: rentals[3] }).unwrap();
    market.attach(rentals[0], &drafts[0]).unwrap();
}

/// Sets tier 1 so that what these tests show is none of it, or is again.
fn set_tier(market: &mut Market, holds: bool) {
    let mut policy = policy().evidence;
    if !holds {
        policy.dcap_mut().for_each(|platform| platform.tcb_evaluation_data_number_min = 1_000);
    }
    let policy = policy.to_canonical().into();
    market.registry.apps(OWNER, IApps::setTierCall { tier: 1, name: "ours".to_owned(), policy }).unwrap();
}

fn report_capability(market: &mut Market, rental: u64) -> Result<(), crate::market::support::Reverted> {
    market.send(STRANGER, IMarket::reportFalseCapabilityCall { id: rental }).map(|_| ())
}

#[test]
fn an_instance_below_the_offer_is_unpaid_and_in_the_end_slashed() {
    let (mut market, rental) = Market::rented(terms(), 20_000);
    let draft = market.serve(rental, 0x21);
    market.pass(50);
    market.settle(rental).unwrap();
    let paid = market.rental(rental).secondsPaid;
    set_tier(&mut market, false);
    market.renew(&draft);
    refused(report_capability(&mut market, rental), IMarket::NoFault {});
    market.settle(rental).unwrap();
    let found = market.rental(rental);
    assert_eq!((found.secondsPaid, found.unfitSince, found.settledAt), (paid, market.now(), market.now()));
    // It comes back in time: paid again from where it was seen, and nothing to report.
    set_tier(&mut market, true);
    market.renew(&draft);
    market.settle(rental).unwrap();
    let found = market.rental(rental);
    assert!(found.unfitSince == 0 && found.secondsPaid > paid);
    set_tier(&mut market, false);
    market.renew(&draft);
    market.settle(rental).unwrap();
    let (paid, since) = (market.rental(rental).secondsPaid, market.rental(rental).unfitSince);
    while market.now() < since + 3_350 {
        market.pass(200);
        market.renew(&draft);
        market.settle(rental).unwrap();
    }
    market.renew(&draft);
    let early = report_capability(&mut market, rental);
    refused(early, IMarket::NoFault {});
    market.pass(260);
    report_capability(&mut market, rental).unwrap();
    let found = market.rental(rental);
    assert_eq!((found.secondsPaid, found.endedAt), (paid, market.now()));
    assert_eq!(market.credit(STRANGER, NATIVE), coins(BOND / 8));
    let escrow = coins(20_000 * PRICE);
    assert_eq!(market.credit(PROVIDER, NATIVE) + market.credit(RENTER, NATIVE), escrow + coins(BOND - BOND / 8));
    assert_eq!((market.reputation().slashes, market.bond()), (1, (9 * BOND, 0)));
}

#[test]
fn a_provider_that_takes_the_instance_away_in_time_is_not_slashed() {
    let (mut market, rental) = Market::rented(terms(), 20_000);
    let draft = market.serve(rental, 0x21);
    set_tier(&mut market, false);
    market.renew(&draft);
    market.settle(rental).unwrap();
    market.send(PROVIDER, IMarket::detachCall { id: rental }).unwrap();
    market.pass(5_000);
    refused(report_capability(&mut market, rental), IMarket::NoFault {});
    // And it cannot be attached again as it is.
    set_tier(&mut market, false);
    let weak = market.register(0x22);
    refused(market.attach(rental, &weak), IMarket::NotAsOffered { instance: id_of(&weak), fact: 2 });
    assert_eq!(address(&key(PROVIDER)), market.view(MARKET, IMarket::offerOfCall { id: 1 }).provider);
}
