// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.20;

import {IApps} from "../interfaces/IApps.sol";
import {Headers} from "./Headers.sol";

/// Accepts a result that no two runs give alike: `needed` of `asked` instances of one app, drawn by lot, must agree within
/// a tolerance. A result is one number; a digest is one too, with tolerance 0.
///
/// - The instances among which the lot falls are frozen when the round opens. The lot is the randomness of the *next* block,
///   which nobody knows then, proven by that block's header: who asks cannot ask again until the lot pleases.
/// - An instance that was not drawn, answers twice or late, or is no longer live when it comes to a decision, does not count.
/// - Answers are public as they come. The app is attested, so its own code decides whether it looks at others' answers.
/// - What agreement says of truth is the app's matter: equal programs can err alike.
abstract contract Quorum {
    /// What a round asks for.
    struct Terms {
        /// App whose instances are asked.
        bytes21 app;
        /// How many are asked, 1 to ASKED_MAX.
        uint8 asked;
        /// How many must agree: more than half of those asked, so that no two results can be accepted.
        uint8 needed;
        /// Least tier of their evidence (spec/policy.md §6).
        uint8 tier;
        /// Whether no two of one provider are asked.
        bool apart;
        /// How long they have to answer after the draw, in seconds.
        uint32 answerS;
        /// How far apart the lowest and the highest of the agreeing results may be.
        uint256 tolerance;
    }

    /// A round as it stands.
    struct Round {
        Terms terms;
        /// Digest of the instances among which the lot falls.
        bytes32 candidates;
        /// Height at which it opened; the lot is the next block's.
        uint64 openedAt;
        /// Until when answers are taken, unix seconds; 0 before the draw.
        uint64 endsAt;
        /// Whether a result was accepted.
        bool accepted;
        /// The median of the results that agreed.
        int256 result;
    }

    /// One answer.
    struct Answer {
        bytes32 instance;
        int256 value;
    }

    /// Most instances of one round.
    uint8 public constant ASKED_MAX = 16;
    /// Blocks after its opening in which a round can be drawn, so that nobody waits until the live ones suit.
    uint64 internal constant DRAW_BLOCKS = 600;
    /// Most instances among which a lot falls: as many as an app has at most.
    uint256 private constant CANDIDATES_MAX = 64;
    IApps private constant APPS = IApps(0x0000000000000000000000000000000000F4EE01);

    /// How many rounds were opened; they are numbered from 1.
    uint256 public roundCount;
    mapping(uint256 => Round) private rounds;
    /// 1: drawn in this round; 2: has answered as well.
    mapping(uint256 => mapping(bytes32 => uint8)) private standing;
    mapping(uint256 => Answer[]) private answers;

    /// A round opened; among these instances the lot will fall.
    event RoundOpened(uint256 indexed round, bytes21 indexed app, bytes32[] candidates);
    /// These were drawn.
    event Drawn(uint256 indexed round, bytes32[] instances, uint64 endsAt);
    /// One of them answered.
    event Answered(uint256 indexed round, bytes32 indexed instance, int256 value);
    /// A result was accepted.
    event Accepted(uint256 indexed round, int256 result);

    /// The terms are out of bounds.
    error BadTerms();
    /// Fewer live instances than must agree.
    error TooFewInstances(uint256 found);
    /// There is no such round, it was drawn already, or it is too late to.
    error NotToDraw(uint256 round);
    /// These are not the instances that were frozen.
    error OtherCandidates();
    /// The block has no randomness.
    error NoRandomness();
    /// The caller is no instance that was drawn and has not answered yet.
    error NotAsked(address caller);
    /// The round is not drawn, decided, or its time is over.
    error NotOpen(uint256 round);

    /// A round as it stands.
    function roundOf(uint256 round) public view returns (Round memory) {
        return rounds[round];
    }

    /// What was answered so far.
    function answersOf(uint256 round) external view returns (Answer[] memory) {
        return answers[round];
    }

    /// Opens a round among the app's instances of now. Its number.
    function open(Terms memory terms) internal returns (uint256 round) {
        if (terms.asked == 0 || terms.asked > ASKED_MAX || terms.needed > terms.asked || terms.answerS == 0) {
            revert BadTerms();
        }
        if (uint256(terms.needed) * 2 <= terms.asked) revert BadTerms();
        bytes32[] memory candidates = instancesOf(terms.app);
        if (candidates.length < terms.needed) revert TooFewInstances(candidates.length);
        round = ++roundCount;
        Round storage opened = rounds[round];
        (opened.terms, opened.candidates, opened.openedAt) =
            (terms, keccak256(abi.encode(candidates)), uint64(block.number));
        emit RoundOpened(round, terms.app, candidates);
    }

    /// Draws the instances of a round: anyone, with the candidates as they were logged and the header of the block behind the
    /// one that opened the round. Those that are not live now, or below the tier, are passed over.
    function draw(uint256 round, bytes32[] memory candidates, bytes calldata header) external {
        Round storage opened = rounds[round];
        bool late = block.number > uint256(opened.openedAt) + DRAW_BLOCKS;
        if (opened.openedAt == 0 || opened.endsAt != 0 || late) revert NotToDraw(round);
        if (keccak256(abi.encode(candidates)) != opened.candidates) revert OtherCandidates();
        (, bytes32 lot) = Headers.read(uint256(opened.openedAt) + 1, header);
        if (lot == 0) revert NoRandomness();
        bytes32[] memory drawn = pick(opened.terms, candidates, keccak256(abi.encode(lot, address(this), round)));
        if (drawn.length < opened.terms.needed) revert TooFewInstances(drawn.length);
        for (uint256 i = 0; i < drawn.length; i++) {
            standing[round][drawn[i]] = 1;
        }
        opened.endsAt = uint64(block.timestamp) + opened.terms.answerS;
        emit Drawn(round, drawn, opened.endsAt);
    }

    /// Answers. An instance that was drawn, once. The result is accepted with the answer that makes the quorum.
    function answer(uint256 round, int256 value) external {
        Round storage opened = rounds[round];
        if (opened.accepted || block.timestamp > opened.endsAt) revert NotOpen(round);
        IApps.Caller memory caller = APPS.caller(msg.sender);
        if (caller.instance == 0 || standing[round][caller.instance] != 1 || caller.tier < opened.terms.tier) {
            revert NotAsked(msg.sender);
        }
        standing[round][caller.instance] = 2;
        answers[round].push(Answer(caller.instance, value));
        emit Answered(round, caller.instance, value);
        (bool agreed, int256 result) = agreement(liveValues(round), opened.terms.needed, opened.terms.tolerance);
        if (!agreed) return;
        (opened.accepted, opened.result) = (true, result);
        emit Accepted(round, result);
        accepted(round, result);
    }

    /// What follows from a result.
    function accepted(uint256 round, int256 result) internal virtual;

    /// Whether so many of these lie within a tolerance, and the median of the first that do, from below; of an even number
    /// the lower one.
    function agreement(int256[] memory values, uint256 needed, uint256 tolerance)
        internal
        pure
        returns (bool agreed, int256 result)
    {
        for (uint256 i = 1; i < values.length; i++) {
            for (uint256 j = i; j > 0 && values[j - 1] > values[j]; j--) {
                (values[j - 1], values[j]) = (values[j], values[j - 1]);
            }
        }
        for (uint256 i = 0; i + needed <= values.length; i++) {
            uint256 spread;
            unchecked {
                // Sorted, so this is the true distance even where it exceeds int256.
                spread = uint256(values[i + needed - 1]) - uint256(values[i]);
            }
            if (spread <= tolerance) return (true, values[i + (needed - 1) / 2]);
        }
    }

    function liveValues(uint256 round) private view returns (int256[] memory values) {
        Answer[] storage given = answers[round];
        values = new int256[](given.length);
        uint256 count;
        for (uint256 i = 0; i < given.length; i++) {
            if (APPS.standing(given[i].instance).isLive) values[count++] = given[i].value;
        }
        assembly ("memory-safe") {
            mstore(values, count)
        }
    }

    function pick(Terms memory terms, bytes32[] memory candidates, bytes32 seed)
        private
        view
        returns (bytes32[] memory drawn)
    {
        drawn = new bytes32[](terms.asked);
        address[] memory providers = new address[](terms.asked);
        uint256 count;
        for (uint256 left = candidates.length; left > 0 && count < terms.asked; left--) {
            uint256 place = uint256(keccak256(abi.encode(seed, left))) % left;
            bytes32 instance = candidates[place];
            candidates[place] = candidates[left - 1];
            IApps.Standing memory found = APPS.standing(instance);
            if (!found.isLive || found.tier < terms.tier) continue;
            if (terms.apart && holds(providers, count, found.provider)) continue;
            (drawn[count], providers[count]) = (instance, found.provider);
            count += 1;
        }
        assembly ("memory-safe") {
            mstore(drawn, count)
        }
    }

    function holds(address[] memory list, uint256 count, address wanted) private pure returns (bool) {
        for (uint256 i = 0; i < count; i++) {
            if (list[i] == wanted) return true;
        }
        return false;
    }

    function instancesOf(bytes21 app) private view returns (bytes32[] memory all) {
        all = new bytes32[](CANDIDATES_MAX);
        uint256 count;
        uint64 cursor;
        do {
            bytes32[] memory page;
            (page, cursor) = APPS.instances(app, cursor);
            for (uint256 i = 0; i < page.length && count < CANDIDATES_MAX; i++) {
                all[count++] = page[i];
            }
        } while (cursor != 0 && count < CANDIDATES_MAX);
        assembly ("memory-safe") {
            mstore(all, count)
        }
    }
}
