// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.20;

import {IApps} from "../interfaces/IApps.sol";

/// Asks the chain's registry whether an account is a live instance of an attested app. The answer is that of the state
/// at this very call: an instance that was revoked, denied or has expired is none from the next call on. Nothing is
/// remembered here, and a contract that remembers an answer gives that up.
library Attested {
    IApps internal constant APPS = IApps(0x0000000000000000000000000000000000F4EE01);

    /// What is asked of an instance beside being one of the app's. Zero asks for nothing.
    struct Demand {
        /// What was launched: keccak-256 of MRTD, MRENCLAVE, SNP launch digest or PCR0.
        bytes32 launch;
        /// All registers of the measurement, by their digest (spec/encoding.md).
        bytes32 measurement;
        /// SHA-256 of the model's weights, as the app's policy names it for the measurement: the owner's word.
        bytes32 model;
        /// Least tier that its evidence satisfies: 1 verified, 2 hardware, 3 hardware-strict (spec/policy.md).
        uint8 tier;
    }

    /// The account is no live instance of the app.
    error NotAnInstance(bytes21 app, address account);
    /// It is one, and not what is demanded.
    error Unfit(address account, IApps.Caller found);

    /// Whether the account is a live instance of an app that is open.
    function isInstance(bytes21 app, address account) internal view returns (bool) {
        return APPS.isAuthorized(app, account);
    }

    /// Reverts unless the account is a live instance of the app.
    function check(bytes21 app, address account) internal view {
        if (!isInstance(app, account)) revert NotAnInstance(app, account);
    }

    /// Reverts unless the account is a live instance of the app and satisfies the demand. Says what it is.
    function check(bytes21 app, address account, Demand memory demand)
        internal
        view
        returns (IApps.Caller memory found)
    {
        found = APPS.caller(account);
        if (found.instance == 0 || found.app != app) revert NotAnInstance(app, account);
        if (!fits(found, demand)) revert Unfit(account, found);
    }

    /// Whether an instance satisfies a demand.
    function fits(IApps.Caller memory found, Demand memory demand) internal pure returns (bool) {
        return found.tier >= demand.tier && (demand.launch == 0 || found.launch == demand.launch)
            && (demand.measurement == 0 || found.measurement == demand.measurement)
            && (demand.model == 0 || found.model == demand.model);
    }
}

/// A contract with functions for instances of one app only. The app stands in the code, so it is public and for good.
abstract contract ForInstances {
    /// The app whose instances may call.
    bytes21 public immutable app;

    constructor(bytes21 app_) {
        app = app_;
    }

    /// The caller, not the signer of the transaction, must be an instance: no contract in between borrows its rights.
    modifier onlyInstance() {
        Attested.check(app, msg.sender);
        _;
    }
}
