//! Payment for live time and for nothing else.

use alloy_primitives::{B256, Bytes, U256};
use alloy_sol_types::{SolEvent as _, sol};
use freehold_crypto::measurement_digest;
use freehold_ledger::MARKET;
use freehold_primitives::AppId;

use crate::{
    common::{address, key},
    market::support::{Change, IMarket, Market, NATIVE, PRICE, RENTER, STRANGER, coins, id_of, refused, terms},
    registry::{IApps, OWNER, PROVIDER, shown},
};

sol! {
    error NotTheHeader(uint256 height);
}

/// Seconds of a lease in these tests.
const LEASE: u64 = 300;

#[test]
fn what_was_served_is_paid_to_the_second_and_the_rest_goes_back() {
    let (mut market, rental) = Market::rented(terms(), 200);
    market.pass(20);
    market.serve(rental, 0x21);
    let from = market.now();
    market.pass(60);
    let block = market.settle(rental).unwrap();
    let served = market.now() - from;
    let log = IMarket::Settled::decode_log(&block.receipts[0].envelope.logs()[0]).unwrap();
    assert_eq!((log.secondsServed, log.amount), (served, coins(u128::from(served) * PRICE)));
    assert_eq!(market.credit(PROVIDER, NATIVE), log.amount);
    println!("gas: settle {}", block.header.gas_used);
    // Twice in one second pays once.
    market.chain().time_ms -= 1000;
    market.settle(rental).unwrap();
    assert_eq!(market.credit(PROVIDER, NATIVE), log.amount);
    market.pass(30);
    market.send(RENTER, IMarket::cancelCall { id: rental }).unwrap();
    let served = market.now() - from;
    let (paid, refund) = (market.credit(PROVIDER, NATIVE), market.credit(RENTER, NATIVE));
    assert_eq!(paid, coins(u128::from(served) * PRICE));
    assert_eq!(paid + refund, coins(200 * PRICE));
    let seen = market.reputation();
    assert_eq!((seen.rentals, seen.secondsServed, seen.cancels, seen.releases, seen.slashes), (1, served, 1, 0, 0));
    assert!(seen.secondsMissed >= 20, "{}", seen.secondsMissed);
    for seed in [PROVIDER, RENTER] {
        let call = IMarket::withdrawCall { token: NATIVE, to: address(&key(0x71)) };
        market.send(seed, call.clone()).unwrap();
        refused(market.send(seed, call), IMarket::NothingToTake {});
    }
    assert_eq!(market.chain().balance(&address(&key(0x71))), coins(200 * PRICE));
}

#[test]
fn one_settlement_covers_many_renewals_and_ends_with_the_paid_time() {
    let (mut market, rental) = Market::rented(terms(), 2_000);
    let draft = market.serve(rental, 0x21);
    let from = market.now();
    for _ in 0..10 {
        market.pass(LEASE - 60);
        market.renew(&draft);
    }
    market.send(STRANGER, IMarket::finishCall { id: rental }).unwrap();
    let found = market.rental(rental);
    assert_eq!(found.secondsPaid, found.endsAt - from);
    assert_eq!(market.credit(PROVIDER, NATIVE), coins(u128::from(found.secondsPaid) * PRICE));
    assert_eq!(market.credit(RENTER, NATIVE), coins(u128::from(from - found.startsAt) * PRICE));
    assert_eq!((market.reputation().cancels, market.reputation().secondsMissed), (0, from - found.startsAt));
    // The instance is free for another rental.
    assert_eq!(market.view(MARKET, IMarket::servedByCall { instance: id_of(&draft) }), 0);
}

#[test]
fn a_lease_that_lapsed_ends_the_pay_at_its_end() {
    let (mut market, rental) = Market::rented(terms(), 10_000);
    let draft = market.serve(rental, 0x21);
    let (from, until) = (market.now(), market.standing(&draft).expiresAt);
    market.pass(5_000);
    market.settle(rental).unwrap();
    let found = market.rental(rental);
    assert_eq!((found.secondsPaid, found.instance), (until - from, B256::ZERO));
    // A dead instance cannot be attached, nor its successor's time be paid backwards.
    refused(market.attach(rental, &draft), IMarket::NotServing { instance: id_of(&draft) });
    market.serve(rental, 0x22);
    let again = market.now();
    market.pass(50);
    market.send(PROVIDER, IMarket::releaseCall { id: rental }).unwrap();
    let found = market.rental(rental);
    assert_eq!(found.secondsPaid, until - from + market.now() - again);
    assert_eq!((found.attachments, market.reputation().releases), (2, 1));
    let first = market.view(MARKET, IMarket::attachmentOfCall { id: rental, number: 0 });
    let second = market.view(MARKET, IMarket::attachmentOfCall { id: rental, number: 1 });
    assert_eq!(first.machine, second.machine);
    assert!(first.toHeight != 0 && first.toHeight < second.fromHeight);
    let (paid, refund) = (market.credit(PROVIDER, NATIVE), market.credit(RENTER, NATIVE));
    assert_eq!(paid + refund, coins(10_000 * PRICE));
}

#[test]
fn a_renter_that_closes_the_instance_pays_what_it_served() {
    let (mut market, rental) = Market::rented(terms(), 10_000);
    let draft = market.serve(rental, 0x21);
    let from = market.now();
    market.pass(100);
    let revoke = IApps::revokeCall { app: market.app(), instance: id_of(&draft), reason: 0 };
    let closed_at = market.registry.apps(OWNER, revoke).unwrap().header.number;
    let closed_time = market.now();
    market.pass(40);
    // Nobody can end or settle it before it is shown when it closed.
    let show = IMarket::ShowHeader { closedAt: closed_at };
    refused(market.send(RENTER, IMarket::cancelCall { id: rental }), show.clone());
    refused(market.settle(rental), show.clone());
    refused(market.send(PROVIDER, IMarket::detachCall { id: rental }), show);
    let not_it = || NotTheHeader { height: U256::from(closed_at) };
    let prove = |header: Bytes| IMarket::settleClosedCall { id: rental, header };
    let other = market.header(closed_at + 1);
    refused(market.send(RENTER, prove(other)), not_it());
    let mut changed = market.header(closed_at).to_vec();
    *changed.last_mut().unwrap() ^= 1;
    refused(market.send(RENTER, prove(changed.into())), not_it());
    refused(market.send(RENTER, prove(Bytes::new())), not_it());
    let header = market.header(closed_at);
    market.send(STRANGER, prove(header.clone())).unwrap();
    assert_eq!(market.rental(rental).secondsPaid, closed_time - from);
    refused(market.send(STRANGER, prove(header)), IMarket::NothingToShow {});
    market.send(RENTER, IMarket::cancelCall { id: rental }).unwrap();
    assert_eq!(market.rental(rental).secondsPaid, closed_time - from);
}

#[test]
fn a_closing_that_nobody_shows_in_time_is_unpaid_and_blocks_nobody() {
    let (mut market, rental) = Market::rented(terms(), 100_000);
    let draft = market.serve(rental, 0x21);
    market.pass(10);
    market.settle(rental).unwrap();
    let paid = market.rental(rental).secondsPaid;
    market.registry.apps(PROVIDER, IApps::deregisterCall { instance: id_of(&draft) }).unwrap();
    let closed_at = market.standing(&draft).closedAt;
    for _ in 0..8_190 {
        market.chain().block_now(Vec::new());
    }
    let header = market.header(closed_at);
    // The last block in which it can be shown, and the first in which it cannot.
    let call = IMarket::settleClosedCall { id: rental, header };
    assert_eq!(market.registry.view(MARKET, call.clone()).status, freehold_ledger::Status::Success);
    market.chain().block_now(Vec::new());
    refused(market.send(PROVIDER, call), NotTheHeader { height: U256::from(closed_at) });
    market.send(RENTER, IMarket::cancelCall { id: rental }).unwrap();
    assert_eq!(market.rental(rental).secondsPaid, paid);
}

#[test]
fn what_the_chain_denies_is_unpaid() {
    let (mut market, rental) = Market::rented(terms(), 10_000);
    let draft = market.serve(rental, 0x21);
    market.pass(10);
    market.settle(rental).unwrap();
    let paid = market.rental(rental).secondsPaid;
    market.pass(100);
    let subject: Bytes = id_of(&draft).to_vec().into();
    let chain = AppId::CHAIN.as_bytes().into();
    market.registry.apps(OWNER, IApps::denyCall { app: chain, kind: 4, subject, reason: 1 }).unwrap();
    market.settle(rental).unwrap();
    let found = market.rental(rental);
    assert_eq!((found.secondsPaid, found.instance), (paid, B256::ZERO));
    refused(market.attach(rental, &draft), IMarket::NotServing { instance: id_of(&draft) });
}

#[test]
fn only_an_instance_of_app_and_provider_that_is_as_offered_serves() {
    let (mut market, rental) = Market::rented(terms(), 10_000);
    let draft = market.register(0x21);
    // Of another provider.
    let mut foreign = market.registry.draft(0x22);
    foreign.registration.subject.provider = key(6).account();
    foreign.sender = 6;
    let foreign = foreign.quoted();
    market.registry.register(&foreign).unwrap();
    refused(market.attach(rental, &foreign), IMarket::NotServing { instance: id_of(&foreign) });
    let unknown = B256::repeat_byte(7);
    let attach = IMarket::attachCall { id: rental, instance: unknown };
    refused(market.send(PROVIDER, attach), IMarket::NotServing { instance: unknown });
    // Of another app.
    let call = IMarket::rentCall { app: AppId::new([7; 20]).as_bytes().into(), ..market.rent_call(1, 100) };
    market.pay(RENTER, MARKET, call, 100 * PRICE).unwrap();
    refused(market.attach(rental + 1, &draft), IMarket::NotServing { instance: id_of(&draft) });
    // With another measurement than the renter named, and with the one that it named.
    for (measurement, fits) in [(B256::repeat_byte(1), false), (measurement_digest(&shown()).0.into(), true)] {
        let call = IMarket::rentCall { measurement, ..market.rent_call(1, 100) };
        market.pay(RENTER, MARKET, call, 100 * PRICE).unwrap();
        let id = market.view(MARKET, IMarket::rentalCountCall {});
        let attached = market.attach(id, &draft);
        if fits {
            attached.unwrap();
            market.send(PROVIDER, IMarket::detachCall { id }).unwrap();
        } else {
            refused(attached, IMarket::NotAsOffered { instance: id_of(&draft), fact: 5 });
        }
        market.send(RENTER, IMarket::cancelCall { id }).unwrap();
    }
    // One instance serves one rental, and one rental has one instance.
    market.attach(rental, &draft).unwrap();
    let other = market.rent(1, 100).unwrap();
    refused(market.attach(other, &draft), IMarket::AlreadyServing { rental });
    let second = market.register(0x23);
    refused(market.attach(rental, &second), IMarket::AlreadyServing { rental });
    market.attach(other, &second).unwrap();
}

#[test]
fn each_fact_of_an_offer_is_compared() {
    let mut market = Market::new();
    let draft = market.register(0x21);
    let platform = market.standing(&draft).platform;
    let changes: [(u8, Change); 5] = [
        (0, |terms| terms.evidenceKind = 3),
        (1, |terms| terms.trustDomain = 2),
        (2, |terms| terms.tier = 2),
        (3, |terms| terms.gpus = 1),
        (4, |terms| terms.platform = B256::repeat_byte(1)),
    ];
    for (fact, change) in changes {
        let mut terms = terms();
        change(&mut terms);
        let offer = market.offer(terms).unwrap();
        let rental = market.rent(offer, 100).unwrap();
        refused(market.attach(rental, &draft), IMarket::NotAsOffered { instance: id_of(&draft), fact });
    }
    let offer = market.offer(IMarket::Terms { platform, ..terms() }).unwrap();
    let rental = market.rent(offer, 100).unwrap();
    market.attach(rental, &draft).unwrap();
}
