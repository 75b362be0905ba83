// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.28;

import {IApps} from "../interfaces/IApps.sol";
import {IMarket} from "../interfaces/IMarket.sol";
import {Headers} from "../library/Headers.sol";
import {Tokens} from "../library/Tokens.sol";

/// The market for machines that run attested apps (spec/market.md). It stands in block 0 without a constructor and without
/// an owner; whoever wants other rules deploys another.
///
/// - A rental's whole price lies here in escrow. It is paid for seconds in which an attached instance of the renter's app
///   was live in the registry, second by second, and the rest goes back: paid + refund = escrow, without rounding.
/// - An instance that ended never comes back, so one that is live now has been live since it was attached: time between two
///   settlements is known without anybody watching. What it *showed* is judged at the settlement.
/// - What is owed is written down first and taken by its owner later. No call sends anything to anybody but who asks.
/// - Faults are slashed where the registry itself proves them, and where no renter can make them happen: the code inside an
///   instance is the renter's and may show evidence in any name but the provider's.
contract Market is IMarket {
    /// What one machine is used for.
    struct Use {
        uint64 exclusive;
        uint64 shared;
    }

    /// A provider's bond.
    struct Bond {
        uint256 total;
        uint256 locked;
    }

    IApps private constant APPS = IApps(0x0000000000000000000000000000000000F4EE01);
    uint64 public constant CURE_S = 3_600;
    uint64 public constant FAULT_WINDOW_S = 86_400;
    /// Part of a slashed bond that the reporter gets; the renter gets the others.
    uint256 private constant REPORTER_PART = 8;
    uint256 private constant DETAILS_MAX = 256;
    uint8 private constant FITS = type(uint8).max;

    uint64 public offerCount;
    uint64 public rentalCount;
    mapping(uint64 => Offer) private offers;
    mapping(uint64 => Rental) private rentals;
    mapping(uint64 => mapping(uint32 => Attachment)) private attached;
    mapping(bytes32 => uint64) public servedBy;
    mapping(bytes32 => Use) private machines;
    mapping(address => Bond) private bonds;
    mapping(address => Reputation) private reputations;
    mapping(address => mapping(address => uint256)) private credits;
    bool private transient busy;

    modifier alone() {
        if (busy) revert Reentered();
        busy = true;
        _;
        busy = false;
    }

    // Providers' bonds and offers.

    function addBond() external payable alone {
        bonds[msg.sender].total += msg.value;
        noteBond(msg.sender);
    }

    function takeBond(uint256 amount) external alone {
        Bond storage bond = bonds[msg.sender];
        uint256 free = bond.total - bond.locked;
        if (amount > free) revert BondTooSmall(free, amount);
        bond.total -= amount;
        credits[msg.sender][Tokens.NATIVE] += amount;
        noteBond(msg.sender);
    }

    function offer(Terms calldata terms) external alone returns (uint64 id) {
        if (terms.token != Tokens.NATIVE && terms.token.code.length == 0) revert BadTerms(0);
        if (terms.secondsMin == 0) revert BadTerms(3);
        if (terms.secondsMax < terms.secondsMin) revert BadTerms(4);
        if (terms.capacity == 0) revert BadTerms(5);
        if (terms.evidenceKind == 0 || terms.evidenceKind > 6) revert BadTerms(6);
        if (terms.trustDomain == 0 || terms.trustDomain > 5) revert BadTerms(7);
        if (terms.tier > 8) revert BadTerms(8);
        if (bytes(terms.details).length > DETAILS_MAX) revert BadTerms(14);
        id = ++offerCount;
        Offer storage made = offers[id];
        (made.provider, made.open, made.terms) = (msg.sender, true, terms);
        emit Offered(id, msg.sender);
    }

    function closeOffer(uint64 id) external alone {
        Offer storage made = openOffer(id);
        if (made.provider != msg.sender) revert NotYours();
        made.open = false;
        emit OfferClosed(id);
    }

    // Renters.

    function rent(uint64 offerId, bytes21 app, bytes32 measurement, uint32 secondsAhead)
        external
        payable
        alone
        returns (uint64 id)
    {
        Offer storage made = openOffer(offerId);
        if (made.rented >= made.terms.capacity) revert OfferFull(offerId);
        if (secondsAhead < made.terms.secondsMin || secondsAhead > made.terms.secondsMax) revert BadLength(secondsAhead);
        lockBond(made.provider, made.terms.bond);
        made.rented += 1;
        reputations[made.provider].rentals += 1;
        id = ++rentalCount;
        Rental storage rental = rentals[id];
        (rental.offer, rental.renter, rental.app, rental.measurement) = (offerId, msg.sender, app, measurement);
        (rental.startsAt, rental.endsAt) = (time(), time() + secondsAhead);
        rental.bonded = true;
        emit Rented(id, offerId, msg.sender, app, rental.endsAt);
        takePrice(made.terms, secondsAhead);
    }

    function topUp(uint64 id, uint32 secondsMore) external payable alone {
        (Rental storage rental, Offer storage made) = running(id);
        if (rental.renter != msg.sender) revert NotYours();
        if (time() >= rental.endsAt) revert Over(rental.endsAt);
        if (!made.open) revert OfferNotOpen(rental.offer);
        uint256 ahead = uint256(rental.endsAt) - time() + secondsMore;
        if (secondsMore == 0 || ahead > made.terms.secondsMax) revert BadLength(ahead);
        rental.endsAt += secondsMore;
        emit ToppedUp(id, rental.endsAt);
        takePrice(made.terms, secondsMore);
    }

    function cancel(uint64 id) external alone {
        (Rental storage rental, Offer storage made) = running(id);
        if (rental.renter != msg.sender) revert NotYours();
        settleNow(id, rental, made);
        reputations[made.provider].cancels += 1;
        end(id, rental, made, End.Cancelled);
    }

    function release(uint64 id) external alone {
        (Rental storage rental, Offer storage made) = running(id);
        if (made.provider != msg.sender) revert NotYours();
        settleNow(id, rental, made);
        reputations[made.provider].releases += 1;
        end(id, rental, made, End.Released);
    }

    function finish(uint64 id) external alone {
        (Rental storage rental, Offer storage made) = running(id);
        if (time() < rental.endsAt) revert NotOverYet(rental.endsAt);
        settleNow(id, rental, made);
        end(id, rental, made, End.Expired);
    }

    // Serving, and payment for it.

    function attach(uint64 id, bytes32 instance) external alone {
        (Rental storage rental, Offer storage made) = running(id);
        if (made.provider != msg.sender) revert NotYours();
        if (time() >= rental.endsAt) revert Over(rental.endsAt);
        settleNow(id, rental, made);
        if (rental.instance != 0) revert AlreadyServing(id);
        if (servedBy[instance] != 0) revert AlreadyServing(servedBy[instance]);
        IApps.Standing memory found = APPS.standing(instance);
        if (!found.isLive || found.app != rental.app || found.provider != msg.sender) revert NotServing(instance);
        uint8 fact = misfit(made.terms, found);
        if (fact != FITS) revert NotAsOffered(instance, fact);
        if (rental.measurement != 0 && rental.measurement != found.measurement) revert NotAsOffered(instance, 5);
        bytes32 machine = machineOf(found);
        Use storage use = machines[machine];
        if (use.exclusive != 0 || (made.terms.exclusive && use.shared != 0)) revert MachineTaken(machine);
        if (made.terms.exclusive) use.exclusive = id;
        else use.shared += 1;
        servedBy[instance] = id;
        attached[id][rental.attachments] =
            Attachment({instance: instance, machine: machine, fromHeight: uint64(block.number), toHeight: 0});
        emit Attached(id, instance, rental.attachments);
        rental.attachments += 1;
        (rental.instance, rental.settledAt, rental.unfitSince) = (instance, time(), 0);
    }

    function detach(uint64 id) external alone {
        (Rental storage rental, Offer storage made) = running(id);
        if (made.provider != msg.sender) revert NotYours();
        settleNow(id, rental, made);
        drop(id, rental, uint64(block.number));
    }

    function settle(uint64 id) external alone {
        (Rental storage rental, Offer storage made) = running(id);
        settleNow(id, rental, made);
    }

    function settleClosed(uint64 id, bytes calldata header) external alone {
        (Rental storage rental, Offer storage made) = running(id);
        if (rental.instance == 0) revert NothingToShow();
        IApps.Standing memory found = APPS.standing(rental.instance);
        if (found.closedAt == 0) revert NothingToShow();
        (uint64 closedAt,) = Headers.read(found.closedAt, header);
        if (!found.isDenied) pay(id, rental, made, found, least(closedAt, found.expiresAt));
        drop(id, rental, found.closedAt);
    }

    // Faults, and the end of what is at stake for them.

    function reportDoubleLease(uint64 id, uint32 attachment, bytes32 other) external alone {
        Rental storage rental = rentals[id];
        Offer storage made = offers[rental.offer];
        Attachment storage served = attached[id][attachment];
        if (!rental.bonded || !made.terms.exclusive || attachment >= rental.attachments) revert NoFault();
        IApps.Standing memory own = APPS.standing(served.instance);
        IApps.Standing memory found = APPS.standing(other);
        // Registered by the provider itself: an instance can be made to show the machine under any other account.
        if (found.openedAt == 0 || found.provider != made.provider || found.app == rental.app) revert NoFault();
        if (machineOf(found) != served.machine) revert NoFault();
        // Its newest evidence came while the renter's instance was attached and live.
        if (found.renewedAt <= served.fromHeight || found.judgedAt >= own.expiresAt) revert NoFault();
        if (served.toHeight != 0 && found.renewedAt > served.toHeight) revert NoFault();
        if (own.closedAt != 0 && found.renewedAt >= own.closedAt) revert NoFault();
        slash(id, rental, made, Fault.DoubleLease);
    }

    function reportFalseCapability(uint64 id) external alone {
        (Rental storage rental, Offer storage made) = running(id);
        if (rental.instance == 0 || rental.unfitSince == 0 || time() < rental.unfitSince + CURE_S) revert NoFault();
        IApps.Standing memory found = APPS.standing(rental.instance);
        if (!found.isLive || misfit(made.terms, found) == FITS) revert NoFault();
        slash(id, rental, made, Fault.FalseCapability);
    }

    function freeBond(uint64 id) external alone {
        Rental storage rental = rentals[id];
        if (!rental.bonded || rental.endedAt == 0) revert RentalNotOpen(id);
        if (time() < rental.endedAt + FAULT_WINDOW_S) revert StillLocked(rental.endedAt + FAULT_WINDOW_S);
        unlockBond(rental, offers[rental.offer]);
    }

    function withdraw(address token, address to) external alone {
        uint256 amount = credits[msg.sender][token];
        if (amount == 0) revert NothingToTake();
        credits[msg.sender][token] = 0;
        emit Withdrawn(msg.sender, token, amount, to);
        if (!Tokens.give(token, to, amount)) revert NotSent(to);
    }

    // Views.

    function offerOf(uint64 id) external view returns (Offer memory) {
        return offers[id];
    }

    function rentalOf(uint64 id) external view returns (Rental memory) {
        return rentals[id];
    }

    function attachmentOf(uint64 id, uint32 number) external view returns (Attachment memory) {
        return attached[id][number];
    }

    function reputationOf(address provider) external view returns (Reputation memory) {
        return reputations[provider];
    }

    function bondOf(address provider) external view returns (uint256 bond, uint256 locked) {
        return (bonds[provider].total, bonds[provider].locked);
    }

    function creditOf(address account, address token) external view returns (uint256) {
        return credits[account][token];
    }

    // What it is made of.

    /// Settles what is attached, as the registry has it now.
    function settleNow(uint64 id, Rental storage rental, Offer storage made) private {
        if (rental.instance == 0) return;
        IApps.Standing memory found = APPS.standing(rental.instance);
        if (found.isDenied) return drop(id, rental, uint64(block.number));
        if (found.closedAt != 0 && found.closedAt != block.number) {
            // The renter may have closed it a moment ago: what was served before is the provider's, by the block's time.
            if (block.number - found.closedAt <= Headers.AGE_MAX) revert ShowHeader(found.closedAt);
            return drop(id, rental, found.closedAt);
        }
        pay(id, rental, made, found, least(time(), found.expiresAt));
        if (!found.isLive || time() >= rental.endsAt) drop(id, rental, uint64(block.number));
    }

    /// Pays the attached instance up to a time, where it is what is offered; otherwise counts the time as settled, unpaid.
    function pay(uint64 id, Rental storage rental, Offer storage made, IApps.Standing memory found, uint64 until) private {
        until = least(until, rental.endsAt);
        uint64 from = rental.settledAt;
        if (until <= from) return;
        rental.settledAt = until;
        if (misfit(made.terms, found) != FITS) {
            if (rental.unfitSince == 0) {
                rental.unfitSince = until;
                emit Unfit(id, rental.instance, until);
            }
            return;
        }
        rental.unfitSince = 0;
        uint64 served = until - from;
        uint256 amount = uint256(served) * made.terms.pricePerSecond;
        rental.secondsPaid += served;
        reputations[made.provider].secondsServed += served;
        credits[made.provider][made.terms.token] += amount;
        emit Settled(id, served, amount);
    }

    /// Ends the attachment that serves, if any.
    function drop(uint64 id, Rental storage rental, uint64 height) private {
        bytes32 instance = rental.instance;
        if (instance == 0) return;
        Attachment storage last = attached[id][rental.attachments - 1];
        last.toHeight = height;
        Use storage use = machines[last.machine];
        if (use.exclusive == id) use.exclusive = 0;
        else use.shared -= 1;
        delete servedBy[instance];
        (rental.instance, rental.unfitSince) = (0, 0);
        emit Detached(id, instance);
    }

    /// Ends a rental that is settled: what is not paid goes back.
    function end(uint64 id, Rental storage rental, Offer storage made, End how) private {
        drop(id, rental, uint64(block.number));
        rental.endedAt = time();
        made.rented -= 1;
        uint64 elapsed = least(time(), rental.endsAt) - rental.startsAt;
        reputations[made.provider].secondsMissed += elapsed - rental.secondsPaid;
        uint256 unpaid = uint256(rental.endsAt) - rental.startsAt - rental.secondsPaid;
        uint256 refund = unpaid * made.terms.pricePerSecond;
        credits[rental.renter][made.terms.token] += refund;
        emit Ended(id, how, refund);
        // Nothing served, so nothing can have been served falsely.
        if (rental.bonded && rental.attachments == 0) unlockBond(rental, made);
    }

    /// Takes the bond at stake for a rental, and ends it where it runs. What is not settled yet is lost to the provider.
    function slash(uint64 id, Rental storage rental, Offer storage made, Fault fault) private {
        uint256 amount = made.terms.bond;
        unlockBond(rental, made);
        bonds[made.provider].total -= amount;
        uint256 reward = amount / REPORTER_PART;
        credits[msg.sender][Tokens.NATIVE] += reward;
        credits[rental.renter][Tokens.NATIVE] += amount - reward;
        reputations[made.provider].slashes += 1;
        noteBond(made.provider);
        emit Slashed(id, made.provider, fault, msg.sender, amount);
        if (made.open) {
            made.open = false;
            emit OfferClosed(rental.offer);
        }
        if (rental.endedAt == 0) end(id, rental, made, End.Slashed);
    }

    function takePrice(Terms storage terms, uint256 length) private {
        uint256 amount = length * terms.pricePerSecond;
        uint256 value = terms.token == Tokens.NATIVE ? amount : 0;
        if (msg.value != value) revert WrongValue(msg.value, value);
        if (value != amount && !Tokens.take(terms.token, msg.sender, amount)) revert TokenRefused(terms.token, amount);
    }

    function lockBond(address provider, uint256 amount) private {
        Bond storage bond = bonds[provider];
        uint256 free = bond.total - bond.locked;
        if (amount > free) revert BondTooSmall(free, amount);
        bond.locked += amount;
        noteBond(provider);
    }

    function unlockBond(Rental storage rental, Offer storage made) private {
        rental.bonded = false;
        bonds[made.provider].locked -= made.terms.bond;
        noteBond(made.provider);
    }

    function noteBond(address provider) private {
        emit BondChanged(provider, bonds[provider].total, bonds[provider].locked);
    }

    function openOffer(uint64 id) private view returns (Offer storage made) {
        made = offers[id];
        if (!made.open) revert OfferNotOpen(id);
    }

    function running(uint64 id) private view returns (Rental storage rental, Offer storage made) {
        rental = rentals[id];
        if (rental.renter == address(0) || rental.endedAt != 0) revert RentalNotOpen(id);
        made = offers[rental.offer];
    }

    /// The first fact in which an instance is not what is offered.
    function misfit(Terms storage terms, IApps.Standing memory found) private view returns (uint8) {
        if (found.evidenceKind != terms.evidenceKind) return 0;
        if (found.trustDomain != terms.trustDomain) return 1;
        if (found.tier < terms.tier) return 2;
        if (found.gpus < terms.gpus) return 3;
        if (terms.platform != 0 && found.platform != terms.platform) return 4;
        return FITS;
    }

    /// The trust domain belongs to it: evidence of the emulator can name any platform.
    function machineOf(IApps.Standing memory found) private pure returns (bytes32) {
        return keccak256(abi.encode(found.trustDomain, found.platform));
    }

    function time() private view returns (uint64) {
        return uint64(block.timestamp);
    }

    function least(uint64 one, uint64 other) private pure returns (uint64) {
        return one < other ? one : other;
    }
}
