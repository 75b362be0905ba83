// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.20;

/// Visibility of a contract's storage: a system module at 0x0000000000000000000000000000000000f4ee07. Storage is
/// confidential unless the contract's constructor asks for public before it writes any: spec/confidential-state.md.
interface IVisibility {
    /// Codes: spec/apps.md.
    error Refused(uint16 code, uint16 detail);

    /// Makes the storage of the calling contract public and provable, for good. Only in its constructor, and only while
    /// none of its slots holds a value.
    function makePublic() external;
    /// 1 where an account's storage is public, 2 where it is confidential, as the transaction found it. A contract that
    /// is not there yet answers 2.
    function visibilityOf(address account) external view returns (uint8 visibility);
}
