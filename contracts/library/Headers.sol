// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.20;

/// Facts of past blocks, out of headers that whoever calls brings along. A header is believed for its hash alone, which the
/// chain keeps for its last 8,191 blocks (EIP-2935): so nothing here trusts the caller.
library Headers {
    /// How many blocks back a header can be checked.
    uint256 internal constant AGE_MAX = 8191;
    address private constant HISTORY = 0x0000F90827F1C53a10cb7A02335B175320002935;
    uint256 private constant TIMESTAMP = 11;
    uint256 private constant MIX_HASH = 13;

    /// These bytes are not the header of the block of this height, or the chain no longer keeps its hash.
    error NotTheHeader(uint256 height);

    /// Time (unix seconds) and PREVRANDAO of the block of this height.
    function read(uint256 height, bytes calldata header) internal view returns (uint64 timestamp, bytes32 randomness) {
        (bool ok, bytes memory hash) = HISTORY.staticcall(abi.encode(height));
        if (!ok || hash.length != 32 || bytes32(hash) != keccak256(header)) revert NotTheHeader(height);
        // Bytes with this hash are RLP of a header: a list, whose own length is written in the bytes behind its first.
        uint256 start = 1 + (uint8(header[0]) - 0xf7);
        for (uint256 field = 0; field <= MIX_HASH; field++) {
            (uint256 from, uint256 to) = item(header, start);
            if (field == TIMESTAMP) timestamp = uint64(number(header[from:to]));
            if (field == MIX_HASH) randomness = bytes32(header[from:to]);
            start = to;
        }
    }

    /// Where the content of the string that begins here starts and ends.
    function item(bytes calldata header, uint256 start) private pure returns (uint256 from, uint256 to) {
        uint256 first = uint8(header[start]);
        if (first < 0x80) return (start, start + 1);
        if (first < 0xb8) return (start + 1, start + 1 + first - 0x80);
        from = start + 1 + first - 0xb7;
        return (from, from + number(header[start + 1:from]));
    }

    function number(bytes calldata digits) private pure returns (uint256 value) {
        for (uint256 i = 0; i < digits.length; i++) {
            value = (value << 8) | uint8(digits[i]);
        }
    }
}
