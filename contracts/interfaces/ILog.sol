// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.20;

/// Roots of the receipt logs of instances: a system module at 0x0000000000000000000000000000000000f4ee03. Formats:
/// spec/log.md.
interface ILog {
    /// The root of a log stands on chain.
    event Anchored(bytes32 indexed instance, uint64 indexed index, uint64 size, bytes32 root, bytes32 anchoredBy);

    /// Codes: spec/log.md.
    error Refused(uint16 code, uint16 detail);

    /// Anchors the root over size receipts of instance's log. The caller is the account of that instance, or of a live
    /// instance of the same app where that instance is no longer live (adopted).
    function anchor(uint64 size, bytes32 root, bytes32 instance) external returns (uint64 index);
    /// Canonical bytes of the newest state of a log.
    function log(bytes32 instance) external view returns (bytes memory entry);
    /// Canonical bytes of one anchor.
    function anchorAt(bytes32 instance, uint64 index) external view returns (bytes memory entry);
}
