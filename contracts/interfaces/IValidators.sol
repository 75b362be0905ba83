// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.20;

/// Validators, their bonds and their terms: a system module at 0x0000000000000000000000000000000000f4ee05. Formats:
/// spec/membership.md. What the turn to a term does is no transaction and logs nothing: it stands in the entry that
/// turnOf answers.
interface IValidators {
    /// A validator waits for a seat.
    event Joined(bytes32 indexed identity, address indexed account, uint256 bond, string reachedAt);
    /// A bond grew.
    event Bonded(bytes32 indexed identity, uint256 amount, uint256 bond);
    /// A validator wants to leave: it keeps its seat until a candidate takes it.
    event Leaving(bytes32 indexed identity);
    /// A validator without a seat has left; its bond may be withdrawn from that term on.
    event Left(bytes32 indexed identity, uint64 lockedUntil);
    /// A bond was paid out.
    event Withdrawn(bytes32 indexed identity, address indexed payee, uint256 amount);
    /// A validator was jailed by a report, at least until that term.
    event Jailed(bytes32 indexed identity, uint64 jailedUntil);
    /// A validator left the jail.
    event Unjailed(bytes32 indexed identity);
    /// A validator lost its bond for two proposals in one view, or a wrong key share (view 0): a part went to the reporter, the rest is burnt.
    event Slashed(
        bytes32 indexed identity, address indexed reporter, uint64 term, uint64 view_, uint256 amount, uint256 reward
    );
    /// A validator is reached elsewhere.
    event Moved(bytes32 indexed identity, string reachedAt);
    /// Someone else receives a validator's rewards and bond.
    event PayeeSet(bytes32 indexed identity, address indexed payee);
    /// A validator runs in this instance, under this vendor's trust domain.
    event Attested(bytes32 indexed identity, bytes32 indexed instance, address indexed account, uint8 vendor);

    /// Another network key is asked for: the members of that term make it.
    event SuccessionAsked(uint64 term);

    /// Another master is asked for: the members of that term make it.
    event MasterAsked(uint64 term, uint32 generation);
    /// Apps' keys are made under this master from now on, and under the one before until the given time.
    event MasterBegun(uint32 indexed generation, bytes publicKey, uint64 previousUntil);

    /// Codes: spec/membership.md.
    error Refused(uint16 code, uint16 detail);

    /// Makes identity a candidate, with the value as its bond. possession is its signature in the caller's name. Under a
    /// genesis with a validators' app the caller is the account of a live instance of it. payee zero means the caller.
    function join(bytes32 identity, address payee, string calldata reachedAt, bytes calldata possession)
        external
        payable;
    /// Adds the value to a validator's bond.
    function bond(bytes32 identity) external payable;
    /// Asks to leave. With a seat the validator goes on until a candidate takes it.
    function resign(bytes32 identity) external;
    /// Pays the bond of a validator that has left to its payee, once it is no longer locked.
    function withdraw(bytes32 identity) external;
    /// Leaves the jail, once its terms are over and the bond is whole.
    function unjail(bytes32 identity) external;
    /// Says where others reach the validator: an IP address and a port.
    function setAddress(bytes32 identity, string calldata reachedAt) external;
    /// Says who receives rewards and bond.
    function setPayee(bytes32 identity, address payee) external;
    /// Moves a validator into the instance whose account calls: after a restart, or for a validator of the genesis.
    function attest(bytes32 identity, bytes calldata possession) external;
    /// Proves two heads of one proposer in one view, each with the proposer's signature. The validator is jailed and
    /// its bond is gone.
    function reportDoubleProposal(
        bytes calldata head1,
        bytes calldata signature1,
        bytes calldata head2,
        bytes calldata signature2
    ) external;
    /// Proves, by the canonical bytes of a report, that a validator signed a share of a key that is not its share of it. It loses its bond, an
    /// eighth of it to the caller.
    function reportWrongShare(bytes calldata report) external;
    /// Asks for another network key, by the governor of the chain: spec/succession.md.
    function succeedNetworkKey() external;
    /// Asks for another master of the derivation key, by the governor of the chain; the one before serves for so many
    /// seconds from when the new one begins: spec/key-service.md.
    function succeedMaster(uint64 keepS) external;
    /// The turn to a new term, by the chain itself: canonical bytes of what the payload says, and this module's balance.
    function turn(bytes calldata said, uint256 balance) external;

    /// Canonical bytes of a validator's entry.
    function validator(bytes32 identity) external view returns (bytes memory entry);
    /// Canonical bytes of the entry that says who signs in a term, and with which keys.
    function committee(uint64 term) external view returns (bytes memory entry);
    /// Canonical bytes of the entry that says who shall hold the keys in the term after this one.
    function players(uint64 term) external view returns (bytes memory entry);
    /// Canonical bytes of the entry that says who has a seat and who waits.
    function roster() external view returns (bytes memory entry);
    /// Canonical bytes of what the turn to a term did.
    function turnOf(uint64 term) external view returns (bytes memory entry);
    /// Canonical bytes of the entry that says what a term does about the network key; refused where it does nothing.
    function succession(uint64 term) external view returns (bytes memory entry);
    /// Canonical bytes of the entry that says what a term does about masters; refused where there is none but the genesis'.
    function masters(uint64 term) external view returns (bytes memory entry);
    /// Canonical bytes of a master's entry.
    function master(uint32 generation) external view returns (bytes memory entry);
    /// Sum of all bonds. What the module holds above it are fees of the running term.
    function bonded() external view returns (uint256 amount);
}
