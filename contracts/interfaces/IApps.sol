// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.20;

/// The registry of apps and of their instances: a system module at 0x0000000000000000000000000000000000f4ee01.
/// Formats: spec/apps.md, spec/registration.md. Every refusal reverts with Refused(code, detail).
interface IApps {
    /// An app was created.
    event AppCreated(bytes21 indexed app, address indexed owner, bytes32 entry);
    /// An app has a new policy.
    event AppUpdated(bytes21 indexed app, uint32 version, bytes32 entry);
    /// An app has a new owner.
    event OwnerChanged(bytes21 indexed app, address indexed previousOwner, address indexed newOwner);
    /// An app was closed, and all its instances with it.
    event AppClosed(bytes21 indexed app);
    /// An instance was registered.
    event InstanceRegistered(
        bytes21 indexed app, bytes32 indexed instance, address indexed account, uint64 expiresAt, bytes32 entry
    );
    /// An instance brought fresh evidence before its lease ended.
    event InstanceRenewed(
        bytes21 indexed app, bytes32 indexed instance, address indexed account, uint64 expiresAt, bytes32 entry
    );
    /// An instance was closed; code as in spec/entries.md, reason as its owner gave it (0 where there is none).
    event InstanceClosed(bytes21 indexed app, bytes32 indexed instance, uint8 code, uint8 reason);
    /// An app no longer trusts a subject.
    event Denied(bytes21 indexed app, uint8 kind, bytes subject, uint8 reason);

    /// Codes: spec/apps.md and spec/registration.md; detail is the refusal code of spec/evidence.md, or 0.
    error Refused(uint16 code, uint16 detail);

    /// Creates an app owned by the caller. Scheme 0: id from caller, height and index of the transaction; scheme 1: id
    /// from the account that sent this transaction, and its nonce.
    function create(uint8 scheme, bytes calldata policy) external returns (bytes21 app);
    /// Replaces the policy; instances that no longer satisfy it are closed at once. Owner only.
    function update(bytes21 app, bytes calldata policy) external;
    /// Hands the app over. Owner only.
    function setOwner(bytes21 app, address newOwner) external;
    /// Closes the app for good, and its instances. Owner only.
    function close(bytes21 app) external;
    /// Registers or renews an instance; the caller is its provider. Value goes on to the instance's account.
    function register(bytes calldata registration, bytes calldata evidence, bytes calldata signature) external payable;
    /// Closes the instance that the caller is, or provides.
    function deregister(bytes32 instance) external;
    /// Closes an instance. Owner only.
    function revoke(bytes21 app, bytes32 instance, uint8 reason) external;
    /// Denies a platform, a family, a measurement or an instance, and closes the instances that match. Owner only.
    function deny(bytes21 app, uint8 kind, bytes calldata subject, uint8 reason) external;

    /// Canonical bytes of the app's entry.
    function app(bytes21 id) external view returns (bytes memory entry);
    /// Canonical bytes of the instance's entry.
    function instance(bytes32 id) external view returns (bytes memory entry);
    /// Ids of the app's instances that are not closed, from a cursor that starts at 0; next is 0 at the end.
    function instances(bytes21 id, uint64 cursor) external view returns (bytes32[] memory ids, uint64 next);
    /// Whether caller is the account of a live instance of an open app.
    function isAuthorized(bytes21 id, address caller) external view returns (bool);
    /// Canonical bytes of a deny entry.
    function denied(bytes21 id, uint8 kind, bytes calldata subject) external view returns (bytes memory entry);
}
