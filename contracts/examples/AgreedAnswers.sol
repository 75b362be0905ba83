// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.20;

import {PublicState} from "../library/PublicState.sol";
import {Quorum} from "../library/Quorum.sol";

/// Questions to an app whose runs do not agree to the last digit, such as a model's score of a text: an answer stands when
/// enough instances, drawn by lot, gave nearly the same.
///
/// - Questions are digests; where their text stands is between who asks and the app.
/// - A round that comes to nothing (too few answer, or they differ) is asked again by anyone, with a new lot.
contract AgreedAnswers is PublicState, Quorum {
    Terms private asking;
    mapping(uint256 => bytes32) private questionOf;
    mapping(bytes32 => uint256) private roundBy;

    /// A question has an answer.
    event AnswerAgreed(bytes32 indexed question, int256 value);

    /// The question was answered, or a round of it still runs.
    error AlreadyAsked(bytes32 question);
    /// There is no answer yet.
    error NoAnswer(bytes32 question);

    constructor(Terms memory terms) {
        asking = terms;
    }

    /// Asks the app's instances.
    function ask(bytes32 question) external returns (uint256 round) {
        uint256 last = roundBy[question];
        if (last != 0 && !isOver(last)) revert AlreadyAsked(question);
        round = open(asking);
        (questionOf[round], roundBy[question]) = (question, round);
    }

    /// The answer on which enough instances agreed.
    function read(bytes32 question) external view returns (int256 value) {
        Round memory round = roundOf(roundBy[question]);
        if (!round.accepted) revert NoAnswer(question);
        return round.result;
    }

    function accepted(uint256 round, int256 result) internal override {
        emit AnswerAgreed(questionOf[round], result);
    }

    /// Whether a round ended without an answer, or can no longer be drawn.
    function isOver(uint256 round) private view returns (bool) {
        Round memory last = roundOf(round);
        if (last.accepted) return false;
        return last.endsAt == 0 ? block.number > uint256(last.openedAt) + DRAW_BLOCKS : block.timestamp > last.endsAt;
    }
}
