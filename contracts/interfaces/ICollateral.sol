// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.20;

/// What hardware vendors say about their platforms: a system module at 0x0000000000000000000000000000000000f4ee04.
/// Formats: spec/collateral.md.
interface ICollateral {
    /// Newer collateral counts from now on.
    event Accepted(uint8 indexed kind, bytes key, bytes32 digest, uint64 issuedAt, uint64 expiresAt);

    /// A version of the verifier judges evidence from a height on.
    event VerifierScheduled(uint32 version, uint64 fromHeight);

    /// Codes: spec/entries.md; detail is the refusal code of spec/evidence.md, or 0.
    error Refused(uint16 code, uint16 detail);

    /// Brings newer collateral; from anyone. Kind 1: key = trust domain (1 byte), platform family (6 bytes).
    function submit(uint8 kind, bytes calldata key, bytes calldata document) external;
    /// Announces the next version of the verifier, with notice (spec/collateral.md §4). Governor only.
    function scheduleVerifier(uint32 version, uint64 fromHeight) external;
    /// The version in force, and the one that was announced last with its first height.
    function verifier() external view returns (uint32 current, uint32 next, uint64 fromHeight);
    /// Canonical bytes of the newest entry.
    function collateral(uint8 kind, bytes calldata key) external view returns (bytes memory entry);
    /// The newest document.
    function document(uint8 kind, bytes calldata key) external view returns (bytes memory bytes_);
}
