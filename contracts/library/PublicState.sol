// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.20;

import {IVisibility} from "../interfaces/IVisibility.sol";

/// A contract whose storage everyone may read, and check by proof. It must stand first in the list of bases, and state
/// variables must get their values in constructors, not where they are declared: the choice is refused once a slot is
/// written (spec/confidential-state.md).
abstract contract PublicState {
    constructor() {
        IVisibility(0x0000000000000000000000000000000000f4ee07).makePublic();
    }
}
