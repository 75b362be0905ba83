// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.20;

/// How much gas a transaction has used is public. What a secret decides (a branch, a slot that is new) must not show in it.
library Gas {
    address private constant GAS_USED = 0x0100000000000000000000000000000000000009;
    address private constant PAD_GAS = 0x010000000000000000000000000000000000000a;

    /// A precompile did not answer, or the padding was below what is used already.
    error PaddingFailed();

    /// Gas that the whole transaction has used so far.
    function used() internal view returns (uint128) {
        (bool ok, bytes memory answer) = GAS_USED.staticcall("");
        if (!ok || answer.length != 32) revert PaddingFailed();
        return uint128(abi.decode(answer, (uint64)));
    }

    /// Spends gas until the whole transaction has used so much.
    function padTo(uint128 amount) internal view {
        (bool ok,) = PAD_GAS.staticcall(abi.encode(amount));
        if (!ok) revert PaddingFailed();
    }
}

/// A contract whose functions cost the same whatever their secrets are.
abstract contract Padded {
    /// The function costs exactly so much gas between its first and its last statement. The budget must suffice for its
    /// dearest path: beyond it the call fails. A path that reverts is not padded, and no path may give a refund (a slot
    /// that becomes zero): refunds are subtracted after the padding.
    modifier padded(uint128 budget) {
        uint128 end = Gas.used() + budget;
        _;
        Gas.padTo(end);
    }
}
