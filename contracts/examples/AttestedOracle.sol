// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.20;

import {Attested, ForInstances} from "../library/Attested.sol";
import {PublicState} from "../library/PublicState.sol";

/// Values from outside the chain, fed by instances of one attested app and by nobody else.
///
/// - What was fed is public and can be proven to whoever follows no chain (freehold_getProof).
/// - A value counts while the instance that fed it is live: when an instance is revoked, what it said is void at once,
///   until another instance feeds. A successor should therefore feed as soon as it serves.
/// - Observations move forward only: a transaction that was held back cannot overwrite a newer value.
/// - Whoever deploys it may ask for more than the app: a least tier of evidence, and one model.
/// - What the app observed, and how, is the app's measured code; this contract says only who spoke, and when.
contract AttestedOracle is PublicState, ForInstances {
    /// One value and where it comes from.
    struct Observation {
        int256 value;
        uint64 observedAt;
        address instance;
    }

    /// How far ahead of the chain's time an observation may be, in seconds: clocks differ.
    uint64 public constant AHEAD_MAX = 30;

    /// Least tier of the evidence of whoever feeds; 0 asks for none.
    uint8 public immutable tier;
    /// SHA-256 of the weights of the model that whoever feeds must run; 0 asks for none.
    bytes32 public immutable model;

    /// The newest observation under each name.
    mapping(bytes32 => Observation) public observations;

    /// A name has a new value.
    event Fed(bytes32 indexed name, int256 value, uint64 observedAt, address indexed instance);

    /// The observation is not newer than the one that stands, or lies in the future.
    error NotNewer(uint64 observedAt);
    /// Nothing counts under this name: never fed, too old, or its instance is no longer trusted.
    error NoValue(bytes32 name);

    constructor(bytes21 app_, uint8 tier_, bytes32 model_) ForInstances(app_) {
        tier = tier_;
        model = model_;
    }

    /// Feeds an observation made at a time (unix seconds). Instances of the app only.
    function feed(bytes32 name, int256 value, uint64 observedAt) external {
        Attested.check(app, msg.sender, Attested.Demand({launch: 0, measurement: 0, model: model, tier: tier}));
        Observation storage newest = observations[name];
        // What an instance said that is trusted no longer does not hold its successor back.
        bool stands = newest.instance != address(0) && Attested.isInstance(app, newest.instance);
        if (observedAt > block.timestamp + AHEAD_MAX || (stands && observedAt <= newest.observedAt)) {
            revert NotNewer(observedAt);
        }
        observations[name] = Observation(value, observedAt, msg.sender);
        emit Fed(name, value, observedAt, msg.sender);
    }

    /// The value under a name, not older than ageMax seconds and fed by an instance that is still live.
    function read(bytes32 name, uint64 ageMax) external view returns (int256 value, uint64 observedAt) {
        Observation storage newest = observations[name];
        (value, observedAt) = (newest.value, newest.observedAt);
        if (newest.instance == address(0) || uint256(observedAt) + ageMax < block.timestamp) revert NoValue(name);
        if (!Attested.isInstance(app, newest.instance)) revert NoValue(name);
    }
}
