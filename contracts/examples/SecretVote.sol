// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.20;

import {Padded} from "../library/Gas.sol";
import {Randomness} from "../library/Randomness.sol";

/// A vote with secret ballots: nobody sees a ballot, ever, and nobody a count before the end.
///
/// - A voter may vote again until the end, and the last ballot counts: what a voter was made to vote, or to show, need not
///   be the ballot that counts. No function tells a voter's ballot, not even to the voter: it would be a receipt to sell.
/// - Every ballot costs the same gas and changes the same two slots, whatever it says and whether it repeats the last one.
/// - A count of few ballots would show them, so there is none below `ballotsMin`.
/// - A tie is decided by a lot drawn when the vote was made and secret until the end, so that nobody can vote after it.
/// - Public are: who may vote, who voted, how often and when. Trusted is the chair, for whom it admits: every voter should
///   look at the `Admitted` logs.
contract SecretVote is Padded {
    struct Voter {
        bool admitted;
        // 0: no ballot; else the option and 1.
        uint8 ballot;
        uint64 ballots;
    }

    /// Most options: seven counts of 32 bits, and the number of ballots in the eighth place, fill a slot.
    uint256 public constant OPTIONS_MAX = 7;
    uint256 private constant BITS = 32;
    uint128 private constant VOTE_GAS = 60_000;

    /// Who admits voters.
    address public immutable chair;
    /// From when on ballots are taken and nobody is admitted any more, unix seconds.
    uint64 public immutable opensAt;
    /// From when on no ballots are taken and the count is public, unix seconds.
    uint64 public immutable closesAt;
    /// How many options there are.
    uint8 public immutable options;
    /// Fewest voters for a count.
    uint32 public immutable ballotsMin;
    /// How many voters there are.
    uint32 public voters;

    mapping(address => Voter) private roll;
    uint256 private counts;
    bytes32 private lot;

    /// A voter was admitted.
    event Admitted(address indexed voter);
    /// A voter voted, or voted again.
    event Voted(address indexed voter);

    error BadTerms();
    error NotTheChair();
    error NotAVoter();
    error NoSuchOption();
    error TooEarly();
    error TooLate();
    error TooFewBallots();

    constructor(uint8 options_, uint64 opensAt_, uint64 closesAt_, uint32 ballotsMin_) {
        if (options_ < 2 || options_ > OPTIONS_MAX || opensAt_ >= closesAt_ || closesAt_ <= block.timestamp) {
            revert BadTerms();
        }
        (chair, options, opensAt, closesAt, ballotsMin) = (msg.sender, options_, opensAt_, closesAt_, ballotsMin_);
        lot = Randomness.word("lot");
    }

    /// Admits voters before the vote opens. Chair only; whoever is admitted stays so.
    function admit(address[] calldata newVoters) external {
        if (msg.sender != chair) revert NotTheChair();
        if (block.timestamp >= opensAt) revert TooLate();
        for (uint256 i = 0; i < newVoters.length; i++) {
            Voter storage voter = roll[newVoters[i]];
            if (voter.admitted) continue;
            voter.admitted = true;
            voters += 1;
            emit Admitted(newVoters[i]);
        }
    }

    /// Votes for an option (from 0), in place of the voter's ballot before. Send it encrypted.
    function vote(uint8 option) external padded(VOTE_GAS) {
        if (block.timestamp < opensAt) revert TooEarly();
        if (block.timestamp >= closesAt) revert TooLate();
        Voter storage voter = roll[msg.sender];
        if (!voter.admitted) revert NotAVoter();
        if (option >= options) revert NoSuchOption();
        // The number of ballots changes with each, so both slots change also when the ballot does not.
        uint256 next = counts + (1 << (BITS * OPTIONS_MAX)) + (1 << (BITS * option));
        if (voter.ballot != 0) next -= 1 << (BITS * (voter.ballot - 1));
        counts = next;
        (voter.ballot, voter.ballots) = (option + 1, voter.ballots + 1);
        emit Voted(msg.sender);
    }

    /// Whether somebody may vote.
    function isVoter(address account) external view returns (bool) {
        return roll[account].admitted;
    }

    /// After the end: how many voters chose each option, and the option with the most, by lot among equals.
    function result() external view returns (uint32[] memory ballots, uint8 winner) {
        if (block.timestamp < closesAt) revert TooEarly();
        ballots = new uint32[](options);
        (uint256 turnout, uint256 most, uint256 equals) = (0, 0, 0);
        for (uint256 i = 0; i < options; i++) {
            ballots[i] = uint32(counts >> (BITS * i));
            turnout += ballots[i];
            if (ballots[i] > most) (most, equals) = (ballots[i], 0);
            if (ballots[i] == most) equals += 1;
        }
        if (turnout == 0 || turnout < ballotsMin) revert TooFewBallots();
        uint256 place = uint256(lot) % equals;
        for (uint8 i = 0; i < options; i++) {
            if (ballots[i] != most) continue;
            if (place == 0) return (ballots, i);
            place -= 1;
        }
    }
}
