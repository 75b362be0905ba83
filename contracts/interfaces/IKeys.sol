// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.20;

/// Grants of derived keys: a system module at 0x0000000000000000000000000000000000f4ee02. Formats: spec/entries.md.
interface IKeys {
    /// Validators may deliver shares of a key, encrypted to transportKey, until the given time; again at every renewal.
    event Granted(
        bytes32 indexed grant,
        bytes21 indexed app,
        bytes32 indexed instance,
        string context,
        uint32 generation,
        bytes transportKey,
        uint64 until
    );
    /// A grant was closed, with its instance.
    event GrantClosed(bytes32 indexed grant);
    /// The next block begins this generation of the state root key.
    event StateKeyRotation(uint32 indexed generation);

    /// Codes: spec/apps.md.
    error Refused(uint16 code, uint16 detail);

    /// Grants the calling instance a key of its app that the app's policy lists; the same grant when asked again.
    function request(string calldata context) external returns (bytes32 grant);
    /// Canonical bytes of a grant's entry.
    function grant(bytes32 id) external view returns (bytes memory entry);
    /// Ids of an instance's grants.
    function grants(bytes32 instance) external view returns (bytes32[] memory ids);

    /// The next block begins a new generation of the state root key. Development networks only, and only the first
    /// account of the genesis; refused while values under an older generation are left.
    function rotateStateKey() external returns (uint32 generation);
    /// Canonical bytes of the entry that says which generations are in use and how far re-encryption is.
    function stateKeyStatus() external view returns (bytes memory entry);
    /// Canonical bytes of a generation's entry, with the commitment to its state root key.
    function stateKey(uint32 generation) external view returns (bytes memory entry);
    /// Canonical bytes of an epoch's entry, with the public key that call data is encrypted to.
    function callDataKey(uint64 epoch) external view returns (bytes memory entry);
}
