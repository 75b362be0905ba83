// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.20;

import {PublicState} from "../library/PublicState.sol";

/// A contract for tests that does what it is told, and more when it is paid: it calls back, or refuses.
contract OddAccount is PublicState {
    address public target;
    bytes public data;
    bool public refuses;
    /// How often it was paid, and whether the call back succeeded the last time.
    uint256 public paid;
    bool public calledBack;

    function set(address newTarget, bytes calldata newData, bool newRefuses) external {
        (target, data, refuses) = (newTarget, newData, newRefuses);
    }

    function run(address to, bytes calldata input) external payable {
        (bool ok, bytes memory answer) = to.call{value: msg.value}(input);
        if (ok) return;
        assembly {
            revert(add(answer, 32), mload(answer))
        }
    }

    receive() external payable {
        if (refuses) revert("no");
        paid += 1;
        if (target != address(0)) (calledBack,) = target.call(data);
    }
}
