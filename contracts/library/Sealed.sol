// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.20;

/// Authenticated encryption for what leaves a contract in the open, such as logs: Deoxys-II-256-128. The length of a text
/// stays visible, so seal texts of one length.
library Sealed {
    address private constant SEAL = 0x0100000000000000000000000000000000000003;
    address private constant OPEN = 0x0100000000000000000000000000000000000004;

    /// The precompile refused.
    error SealingFailed();
    /// Another key, nonce or associated data, or the box was changed.
    error DoesNotOpen();

    /// The text's ciphertext and, behind it, 16 bytes of tag. A nonce that comes twice under a key shows only whether
    /// text and associated data were the same.
    function seal(bytes32 key, bytes15 nonce, bytes memory text, bytes memory associated)
        internal
        view
        returns (bytes memory box)
    {
        bool ok;
        (ok, box) = SEAL.staticcall(abi.encode(key, bytes32(nonce), text, associated));
        if (!ok || box.length != text.length + 16) revert SealingFailed();
    }

    /// The text of a box.
    function open(bytes32 key, bytes15 nonce, bytes memory box, bytes memory associated)
        internal
        view
        returns (bytes memory text)
    {
        bool ok;
        (ok, text) = OPEN.staticcall(abi.encode(key, bytes32(nonce), box, associated));
        if (!ok) revert DoesNotOpen();
    }
}
