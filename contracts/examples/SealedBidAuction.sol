// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.20;

import {Padded} from "../library/Gas.sol";
import {Passes} from "../library/Passes.sol";

/// The part of ERC-721 that the auction uses.
interface IItem {
    function ownerOf(uint256 id) external view returns (address);
    function transferFrom(address from, address to, uint256 id) external;
}

/// A sealed-bid second-price auction of one ERC-721 item: the highest bid wins and pays the second-highest, or the reserve
/// where that is more. No reveal phase: bids stay in confidential storage, and losing ones are never shown (but the
/// second-highest, as the price).
///
/// - What a bidder sends along would tell the bid, so everybody sends the same deposit, which is also the highest bid
///   that can be made.
/// - Every bid costs the same gas and changes the same three slots, whether it leads or not.
/// - Bids can only be raised. Equal bids: the earlier one leads, and pays its own bid.
/// - Nothing is sent to anybody unasked: deposits, the price and the item are collected, so nobody can block another.
/// - Public are: who bids, how often and when; after the end the winner and the price.
/// - The reserve is in storage and not in the code, which is public: deploy with encrypted data.
/// - A bid of the seller's own works like a reserve; the sealed reserve makes it no better than that.
contract SealedBidAuction is Padded, Passes {
    struct Standing {
        uint96 best;
        uint96 second;
        uint64 bids;
        address leader;
        // Follows `bids`, so that a bid that does not lead changes this slot too.
        uint96 mark;
    }

    uint128 private constant BID_GAS = 100_000;

    /// The item's contract. Bidders must know it: a false one can keep the item.
    IItem public immutable item;
    /// Which item.
    uint256 public immutable itemId;
    /// Who sells.
    address public immutable seller;
    /// From when on no bids are taken, unix seconds.
    uint64 public immutable closesAt;
    /// What every bidder sends along with the first bid, in base units.
    uint96 public immutable deposit;
    /// Whether the item is here and bids are taken.
    bool public opened;
    /// Whether the auction has ended and winner and price are final.
    bool public settled;
    /// Whether the item was collected.
    bool public collected;
    /// Who won; zero where no bid reached the reserve.
    address public winner;
    /// What the winner pays.
    uint96 public price;

    uint96 private reserve;
    bool private priceCollected;
    Standing private standing;
    mapping(address => uint96) private bids;

    /// The item is here.
    event Opened();
    /// Somebody made or raised a bid.
    event Bid(address indexed bidder);
    /// The end: no winner where no bid reached the reserve.
    event Settled(address indexed winner, uint96 price);
    /// A deposit, or what is left of it, or the price was collected.
    event Withdrawn(address indexed account, uint256 amount);

    error BadTerms();
    error NotTheSeller();
    error NotOpen();
    error TooEarly();
    error TooLate();
    error WrongDeposit();
    error NotABid();
    error NothingToCollect();
    error NotPaid();

    constructor(IItem item_, uint256 itemId_, uint64 closesAt_, uint96 deposit_, uint96 reserve_) {
        if (closesAt_ <= block.timestamp || deposit_ == 0 || reserve_ > deposit_) revert BadTerms();
        (item, itemId, seller, closesAt, deposit) = (item_, itemId_, msg.sender, closesAt_, deposit_);
        reserve = reserve_;
    }

    /// Brings the item, which the seller has approved for this contract. Seller only.
    function open() external {
        if (msg.sender != seller) revert NotTheSeller();
        if (opened || block.timestamp >= closesAt) revert TooLate();
        opened = true;
        item.transferFrom(seller, address(this), itemId);
        if (item.ownerOf(itemId) != address(this)) revert NotOpen();
        emit Opened();
    }

    /// Bids, or raises the caller's bid. Send it encrypted; with the deposit the first time, with nothing after.
    function bid(uint96 amount) external payable padded(BID_GAS) {
        if (!opened) revert NotOpen();
        if (block.timestamp >= closesAt) revert TooLate();
        uint96 before = bids[msg.sender];
        if (msg.value != (before == 0 ? deposit : 0)) revert WrongDeposit();
        if (amount <= before || amount > deposit) revert NotABid();
        bids[msg.sender] = amount;

        Standing memory next = standing;
        next.bids += 1;
        next.mark = next.bids;
        if (amount > next.best) {
            // Who raises over its own best leaves the second where it is.
            if (msg.sender != next.leader) next.second = next.best;
            (next.best, next.leader) = (amount, msg.sender);
        } else if (amount > next.second) {
            next.second = amount;
        }
        standing = next;
        emit Bid(msg.sender);
    }

    /// Ends the auction once its time is over; anyone may. Collecting does it too.
    function settle() public {
        if (settled) return;
        if (block.timestamp < closesAt) revert TooEarly();
        settled = true;
        Standing memory last = standing;
        if (last.leader != address(0) && last.best >= reserve) {
            winner = last.leader;
            price = last.second > reserve ? last.second : reserve;
        }
        emit Settled(winner, price);
    }

    /// Collects the item: the winner, or the seller where there is none.
    function collect(address to) external {
        settle();
        if (msg.sender != (winner == address(0) ? seller : winner)) revert NothingToCollect();
        if (!opened || collected) revert NothingToCollect();
        collected = true;
        item.transferFrom(address(this), to, itemId);
    }

    /// Collects what the caller is owed: a deposit less the price of what it won, and as the seller the price.
    function withdraw(address payable to) external {
        settle();
        uint256 owed;
        if (bids[msg.sender] != 0) {
            bids[msg.sender] = 0;
            owed = msg.sender == winner ? deposit - price : deposit;
        }
        if (msg.sender == seller && !priceCollected) {
            priceCollected = true;
            owed += price;
        }
        if (owed == 0) revert NothingToCollect();
        emit Withdrawn(msg.sender, owed);
        (bool paid,) = to.call{value: owed}("");
        if (!paid) revert NotPaid();
    }

    /// The bid of whoever signed the pass; 0 after the deposit was collected.
    function bidOf(Pass calldata pass) external view returns (uint96) {
        return bids[_holder(pass)];
    }
}
