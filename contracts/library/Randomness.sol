// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.20;

/// Random bytes that nobody knows before the block is final (spec/sapphire.md §4): not who proposes it, not who sends the
/// transaction. But a caller that is a contract sees what follows from a draw and may revert until it likes it. So draw
/// before the stakes are known and keep the draw secret until it is used.
library Randomness {
    address private constant RANDOM_BYTES = 0x0100000000000000000000000000000000000001;

    /// There is no randomness here: a node without state keys answers a query.
    error NoRandomness();

    /// 32 random bytes; purpose separates draws of one transaction by name.
    function word(bytes memory purpose) internal view returns (bytes32) {
        (bool ok, bytes memory drawn) = RANDOM_BYTES.staticcall(abi.encode(uint256(32), purpose));
        if (!ok || drawn.length != 32) revert NoRandomness();
        return bytes32(drawn);
    }
}
