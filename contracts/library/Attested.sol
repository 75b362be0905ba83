// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.20;

import {IApps} from "../interfaces/IApps.sol";

/// Asks the chain's registry whether an account is a live instance of an attested app. The answer is that of the state
/// at this very call: an instance that was revoked, denied or has expired is none from the next call on. Nothing is
/// remembered here, and a contract that remembers an answer gives that up.
library Attested {
    IApps internal constant APPS = IApps(0x0000000000000000000000000000000000F4EE01);

    /// The account is no live instance of the app.
    error NotAnInstance(bytes21 app, address account);

    /// Whether the account is a live instance of an app that is open.
    function isInstance(bytes21 app, address account) internal view returns (bool) {
        return APPS.isAuthorized(app, account);
    }

    /// Reverts unless the account is a live instance of the app.
    function check(bytes21 app, address account) internal view {
        if (!isInstance(app, account)) revert NotAnInstance(app, account);
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
