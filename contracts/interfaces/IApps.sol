// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.20;

/// The registry of apps and of their instances: a system module at 0x0000000000000000000000000000000000f4ee01.
/// Formats: spec/apps.md, spec/registration.md. Every refusal reverts with Refused(code, detail).
interface IApps {
    /// A live instance as contracts see it; every member is zero where an account is none's (spec/apps.md §6).
    struct Caller {
        /// App that it is an instance of.
        bytes21 app;
        /// Its id.
        bytes32 instance;
        /// Account that pays for it.
        address provider;
        /// Digest of all registers of its measurement.
        bytes32 measurement;
        /// keccak-256 of the register that stands for what was launched: MRTD, MRENCLAVE, SNP launch digest or PCR0.
        bytes32 launch;
        /// SHA-256 of the model's weights that the app's policy names for this measurement; 0 where it names none.
        bytes32 model;
        /// Highest tier that its evidence satisfies; 0 for none.
        uint8 tier;
        /// 1 emulated, 2 Intel, 3 AMD, 4 AWS, 5 NVIDIA.
        uint8 trustDomain;
        /// 1 TDX, 2 SGX, 3 SEV-SNP, 4 Nitro, 6 a CPU TEE with GPUs.
        uint8 evidenceKind;
        /// Height of its first registration.
        uint64 openedAt;
        /// Unix seconds at which its lease ends.
        uint64 expiresAt;
    }

    /// What the registry holds of an instance, live or not; every member is zero where there is none. An instance that ended
    /// never comes back, so one that is open now has been open without a gap since it was opened (spec/apps.md §6).
    struct Standing {
        /// App that it is an instance of.
        bytes21 app;
        /// The instance's own account.
        address account;
        /// Account that registered it and pays for it.
        address provider;
        /// Digest of all registers of its measurement.
        bytes32 measurement;
        /// The machine: SHA-256 of PPID, chip id or module id.
        bytes32 platform;
        /// Highest tier that its newest evidence satisfied; 0 for none.
        uint8 tier;
        /// 1 emulated, 2 Intel, 3 AMD, 4 AWS, 5 NVIDIA.
        uint8 trustDomain;
        /// 1 TDX, 2 SGX, 3 SEV-SNP, 4 Nitro, 6 a CPU TEE with GPUs.
        uint8 evidenceKind;
        /// How many GPUs its newest evidence showed.
        uint8 gpus;
        /// Neither closed, past its lease nor denied by the chain.
        bool isLive;
        /// Whether the chain denies what it stands on, now.
        bool isDenied;
        /// Height of its first registration.
        uint64 openedAt;
        /// Height of its newest evidence.
        uint64 renewedAt;
        /// Unix seconds of the block before that one.
        uint64 judgedAt;
        /// Unix seconds at which its lease ends, or ended where nothing closed it before.
        uint64 expiresAt;
        /// Height that closed it; 0 where nothing did.
        uint64 closedAt;
        /// Why (spec/entries.md); 0 where nothing closed it.
        uint8 closedCode;
    }

    /// Who holds a lease of an app now. Instance, account and expiry are zero where nobody does; the fence is that of the
    /// newest taking all the same, 0 where there never was one (spec/leases.md).
    struct LeaseHolder {
        /// The instance.
        bytes32 instance;
        /// Its account.
        address account;
        /// Counts the takings: whoever shows a lower one has lost the lease.
        uint64 fence;
        /// Unix seconds at which the lease ends.
        uint64 expiresAt;
    }

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
    /// An app no longer trusts a subject; the chain itself where the app is zero.
    event Denied(bytes21 indexed app, uint8 kind, bytes subject, uint8 reason);
    /// The chain trusts a subject again from here on; what happened while it was denied stays tainted.
    event DenialLifted(uint8 kind, bytes subject);
    /// The chain has another governor.
    event GovernorChanged(address indexed previousGovernor, address indexed newGovernor);
    /// A tier has another policy.
    event TierSet(uint8 indexed tier, string name, bytes32 entry);
    /// A version of the protocol rules blocks from a height on; this release knows it.
    event ProtocolScheduled(uint32 version, uint64 fromHeight, string release);

    /// An instance took a lease of its app, under a new fence.
    event LeaseTaken(bytes21 indexed app, bytes32 indexed instance, string name, uint64 fence, uint64 expiresAt);
    /// An instance let a lease go.
    event LeaseReleased(bytes21 indexed app, bytes32 indexed instance, string name, uint64 fence);

    /// An app has new settings for its instances.
    event SettingsChanged(bytes21 indexed app, uint64 generation, bytes32 entry);

    /// An instance says something else of itself.
    event MetadataChanged(bytes21 indexed app, bytes32 indexed instance, bytes32 entry);

    /// An app promises another rule about its upgrades.
    event UpgradeRuleSet(bytes21 indexed app, uint64 noticeS, address[] cosigners, uint32 cosignersNeeded, bytes32 entry);
    /// A change of an app is announced, and can come into force from a time on, in unix seconds.
    event UpgradeAnnounced(bytes21 indexed app, bytes32 indexed change, uint64 dueAt, bytes32 entry);
    /// A co-signer approved a change, or took that back.
    event UpgradeApproved(bytes21 indexed app, bytes32 indexed change, address indexed cosigner, bool approved);
    /// What was announced is announced no more, without having come into force.
    event UpgradeWithdrawn(bytes21 indexed app, bytes32 indexed change);
    /// An account speaks about a policy of an app: 1 sound, 2 flawed.
    event Audited(bytes21 indexed app, bytes32 indexed policy, address indexed auditor, uint8 verdict, bytes32 entry);

    /// Codes: spec/apps.md, spec/upgrades.md and spec/registration.md; detail is the refusal code of spec/evidence.md, or 0.
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
    /// Denies a subject (spec/apps.md §7) and closes the app's instances that match. Owner only. With app zero the chain
    /// itself denies it, for every app from the next call on: governor only.
    function deny(bytes21 app, uint8 kind, bytes calldata subject, uint8 reason) external;
    /// Ends a denial by the chain. Its entry keeps both heights. Governor only.
    function lift(uint8 kind, bytes calldata subject) external;
    /// Hands the chain-wide rights over, to an account or a contract. Governor only.
    function setGovernor(address newGovernor) external;
    /// Sets what evidence must show to be of a tier, whatever it runs. Governor only.
    function setTier(uint8 tier, string calldata name, bytes calldata policy) external;
    /// Takes a lease of the caller's app that nobody holds, or renews the caller's own, for lengthS seconds from the
    /// parent's time, at most to the end of the caller's own lease. The caller is the account of a live instance.
    function acquireLease(string calldata name, uint64 lengthS) external returns (uint64 fence, uint64 expiresAt);
    /// Lets go of a lease that the caller holds under this fence.
    function releaseLease(string calldata name, uint64 fence) external;

    /// Sets what instances of the app get: secrets, public values, limits on spending (spec/settings.md). The document names
    /// its generation, which is one above the newest. Owner only.
    function setSettings(bytes21 app, bytes calldata settings) external;

    /// Sets what the calling instance says of itself, for all to read: a canonical document with all its pairs, in place of
    /// those before (spec/apps.md §9). The caller is the account of a live instance.
    function setMetadata(bytes calldata metadata) external;

    /// Sets what the app promises about its upgrades, where that protects its users as much as before (spec/upgrades.md);
    /// any other rule is announced. Owner only.
    function setUpgradeRule(bytes21 app, uint64 noticeS, address[] calldata cosigners, uint32 cosignersNeeded) external;
    /// Announces a change, in place of one that is announced: a canonical document with a policy, a rule, or both.
    /// Owner only.
    function announceUpgrade(bytes21 app, bytes calldata change) external returns (bytes32 digest);
    /// Approves the change that is announced. Its co-signers only.
    function approveUpgrade(bytes21 app, bytes32 change) external;
    /// Takes an approval back. Its co-signers only.
    function disapproveUpgrade(bytes21 app, bytes32 change) external;
    /// Withdraws what is announced. Owner only.
    function withdrawUpgrade(bytes21 app) external;
    /// Puts what is announced in force, once its notice is over and enough co-signers approved. Owner only.
    function activateUpgrade(bytes21 app) external;
    /// Brings back the policy of a version that was in force until less than one notice ago: at once, or as soon as enough
    /// co-signers approved and activateUpgrade is called. Owner only.
    function rollBack(bytes21 app, uint32 version) external returns (bool isInForce);
    /// Says about a policy of an app, by its content digest: 1 sound, 2 flawed; with the SHA-256 of a report, and its place.
    /// Anyone, in their own name; the newest word counts.
    function audit(bytes21 app, bytes32 policy, uint8 verdict, bytes32 report, string calldata place) external;

    /// Announces the next version of the protocol, with notice (spec/protocol.md). Governor only.
    function scheduleProtocol(uint32 version, uint64 fromHeight, string calldata release) external;

    /// Canonical bytes of the app's entry.
    function app(bytes21 id) external view returns (bytes memory entry);
    /// Canonical bytes of the instance's entry.
    function instance(bytes32 id) external view returns (bytes memory entry);
    /// Ids of the app's instances that are not closed, from a cursor that starts at 0; next is 0 at the end.
    function instances(bytes21 id, uint64 cursor) external view returns (bytes32[] memory ids, uint64 next);
    /// Whether caller is the account of a live instance of an open app.
    function isAuthorized(bytes21 id, address caller) external view returns (bool);
    /// The live instance of an open app whose account this is; all zero where there is none.
    function caller(address account) external view returns (Caller memory instance);
    /// What the registry holds of an instance.
    function standing(bytes32 id) external view returns (Standing memory found);
    /// Canonical bytes of a deny entry; of the chain's own where id is zero.
    function denied(bytes21 id, uint8 kind, bytes calldata subject) external view returns (bytes memory entry);
    /// Whether the chain denies now what an instance stands on.
    function isDenied(bytes32 instance) external view returns (bool);
    /// Ids of instances that ever stood on a subject, from a cursor that starts at 0; next is 0 at the end.
    function shadow(uint8 kind, bytes calldata subject, uint64 cursor)
        external
        view
        returns (bytes32[] memory instances, uint64 next);
    /// Who may deny for the whole chain and set tiers; zero where nobody may.
    function governor() external view returns (address);
    /// Name of a tier, and the canonical policy that evidence is judged by; empty where there is none.
    function tier(uint8 number) external view returns (string memory name, bytes memory policy);
    /// The version of the protocol in force, and the one that was announced last: its height and its release.
    function protocol() external view returns (uint32 current, uint32 next, uint64 fromHeight, string memory release);
    /// Canonical bytes of a lease's entry.
    function lease(bytes21 id, string calldata name) external view returns (bytes memory entry);
    /// Canonical bytes of the entry with the app's settings.
    function settings(bytes21 id) external view returns (bytes memory entry);
    /// Canonical bytes of the entry with what an instance says of itself.
    function metadata(bytes32 instance) external view returns (bytes memory entry);
    /// Canonical bytes of the entry with the app's rule about upgrades and what is announced.
    function upgrade(bytes21 id) external view returns (bytes memory entry);
    /// What an app promises about its upgrades, since when its policy is public, and when what is announced can come into
    /// force, in unix seconds; zero where it promises nothing, and where nothing is announced.
    function upgradeRule(bytes21 id)
        external
        view
        returns (uint64 noticeS, address[] memory cosigners, uint32 cosignersNeeded, uint64 publicSince, uint64 dueAt);
    /// Canonical bytes of an auditor's newest word on a policy.
    function auditOf(address auditor, bytes21 id, bytes32 policy) external view returns (bytes memory entry);
    /// Who holds a lease now.
    function leaseHolder(bytes21 id, string calldata name) external view returns (LeaseHolder memory holder);
}
