// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.20;

import {PublicState} from "../library/PublicState.sol";

/// An ERC-20 for tests that misbehaves as it is told: what the market meets in tokens that others wrote.
contract OddToken is PublicState {
    enum Mode {
        Honest,
        AnswersNothing,
        AnswersFalse,
        AnswersTwo,
        TakesAFee,
        BringsMore,
        MovesNothing,
        Reverts,
        CallsBack
    }

    mapping(address => uint256) public balanceOf;
    mapping(address => mapping(address => uint256)) public allowance;
    Mode public mode;
    /// What it calls in the middle of a transfer, and whether that call succeeded.
    address public target;
    bytes public data;
    bool public calledBack;

    function set(Mode newMode, address newTarget, bytes calldata newData) external {
        (mode, target, data, calledBack) = (newMode, newTarget, newData, false);
    }

    function mint(address to, uint256 amount) external {
        balanceOf[to] += amount;
    }

    function approve(address spender, uint256 amount) external returns (bool) {
        allowance[msg.sender][spender] = amount;
        return true;
    }

    function transfer(address to, uint256 amount) external {
        move(msg.sender, to, amount);
    }

    function transferFrom(address from, address to, uint256 amount) external {
        allowance[from][msg.sender] -= amount;
        move(from, to, amount);
    }

    function move(address from, address to, uint256 amount) private {
        if (mode == Mode.Reverts) revert("no");
        if (mode == Mode.CallsBack) (calledBack,) = target.call(data);
        if (mode != Mode.MovesNothing) {
            balanceOf[from] -= amount;
            balanceOf[to] += mode == Mode.TakesAFee ? amount - 1 : mode == Mode.BringsMore ? amount + 1 : amount;
        }
        if (mode == Mode.AnswersNothing) return;
        uint256 answer = mode == Mode.AnswersFalse ? 0 : mode == Mode.AnswersTwo ? 2 : 1;
        assembly {
            mstore(0, answer)
            return(0, 32)
        }
    }
}
