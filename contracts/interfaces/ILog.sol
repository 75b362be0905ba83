// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.20;

/// Roots of the receipt logs of instances, and counters that never fall: a system module at
/// 0x0000000000000000000000000000000000f4ee03. Formats: spec/log.md, spec/leases.md.
interface ILog {
    /// A counter, and the value that it is raised to.
    struct Raise {
        string name;
        uint64 value;
    }

    /// The root of a log stands on chain.
    event Anchored(bytes32 indexed instance, uint64 indexed index, uint64 size, bytes32 root, bytes32 anchoredBy);

    /// A batch of counters under a lease was raised.
    event CountersRaised(
        bytes21 indexed app, bytes32 indexed instance, string lease, uint64 fence, uint64 sequence, bytes32 entry
    );

    /// Codes: spec/log.md and spec/leases.md.
    error Refused(uint16 code, uint16 detail);

    /// Anchors the root over size receipts of instance's log. The caller is the account of that instance, or of a live
    /// instance of the same app where that instance is no longer live (adopted).
    function anchor(uint64 size, bytes32 root, bytes32 instance) external returns (uint64 index);
    /// Canonical bytes of the newest state of a log.
    function log(bytes32 instance) external view returns (bytes memory entry);
    /// Canonical bytes of one anchor.
    function anchorAt(bytes32 instance, uint64 index) external view returns (bytes memory entry);
    /// Raises counters under a lease that the caller's instance holds with this fence: one batch, which follows the batch
    /// with number previous (0 for the first). The id of the batch is the writer's choice.
    function raiseCounters(
        string calldata lease, uint64 fence, uint64 previous, bytes32 batch, Raise[] calldata raises
    ) external returns (uint64 sequence);
    /// Canonical bytes of all counters under a lease of an app.
    function counters(bytes21 app, string calldata lease) external view returns (bytes memory entry);
    /// Value of one counter; 0 where it was never raised.
    function counter(bytes21 app, string calldata lease, string calldata name) external view returns (uint64 value);
}
