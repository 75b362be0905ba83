// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.20;

/// Notes that only whoever knows the passphrase can read, as in docs/contracts.md.
contract Note {
    mapping(bytes32 => string) private notes;
    uint256 public count;

    event Written(address indexed writer, uint256 count);

    error Empty();

    function write(string calldata passphrase, string calldata note) external {
        if (bytes(note).length == 0) revert Empty();
        notes[keccak256(bytes(passphrase))] = note;
        count += 1;
        emit Written(msg.sender, count);
    }

    function read(string calldata passphrase) external view returns (string memory) {
        return notes[keccak256(bytes(passphrase))];
    }
}
