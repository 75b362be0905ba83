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
    /// Instances receive this generation of a context from now on, and the one before until the given time.
    event ContextRotated(bytes21 indexed app, string context, uint32 generation, uint64 previousUntil);
    /// The rule of a context changed: seconds after which a generation is replaced (0: by hand only), and for which the one
    /// before is kept.
    event ContextRule(bytes21 indexed app, string context, uint64 maxAgeS, uint64 keepS);
    /// The generation before the newest one is served no more.
    event ContextRetired(bytes21 indexed app, string context, uint32 generation);
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
    /// How many grants were ever made for an app, and how many of them are live now.
    function grantCount(bytes21 app) external view returns (uint64 made, uint64 live);

    /// Sets how a context that the policy lists is rotated. Owner of the app only.
    function setContext(bytes21 app, string calldata context, uint64 maxAgeS, uint64 keepS) external;
    /// Begins a new generation of a context: by the owner at any time, by anybody once the newest one has reached its age.
    /// Refused while the generation before the newest one is served.
    function rotate(bytes21 app, string calldata context) external returns (uint32 generation);
    /// Ends the generation before the newest one now. Owner of the app only.
    function retire(bytes21 app, string calldata context) external;
    /// Canonical bytes of the entry that says which generations of a context are served.
    function keyContext(bytes21 app, string calldata context) external view returns (bytes memory entry);

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
