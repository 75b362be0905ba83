// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.20;

/// Says who asks in a view. A call is signed by nobody, so its sender is the zero address (docs/contracts.md); a pass is an
/// EIP-712 signature of the account that goes along in the encrypted arguments.
///
/// Whoever holds a pass reads as the account until the pass ends, and nothing but reads: an account can hand one to its
/// auditor. Passes are signed by keys, not by contract wallets.
abstract contract Passes {
    /// What an account signed, and the signature (65 bytes, r ‖ s ‖ v).
    struct Pass {
        address account;
        uint64 series;
        uint64 until;
        bytes signature;
    }

    bytes32 private constant DOMAIN_TYPE =
        keccak256("EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)");
    bytes32 private constant PASS_TYPE = keccak256("Pass(address account,uint64 series,uint64 until)");
    bytes32 private constant NAME = keccak256("Freehold pass");
    bytes32 private constant VERSION = keccak256("1");

    /// The series of an account's passes that counts.
    mapping(address => uint64) public passSeries;

    /// The account did not sign this.
    error PassNotSigned();
    /// The pass has ended, or its series was withdrawn.
    error PassEnded();

    /// Withdraws all passes that the caller has signed so far.
    function withdrawPasses() external {
        passSeries[msg.sender] += 1;
    }

    /// The account that the pass speaks for.
    function _holder(Pass calldata pass) internal view returns (address) {
        if (pass.until < block.timestamp || pass.series != passSeries[pass.account]) revert PassEnded();
        if (pass.signature.length != 65) revert PassNotSigned();
        bytes32 domain = keccak256(abi.encode(DOMAIN_TYPE, NAME, VERSION, block.chainid, address(this)));
        bytes32 content = keccak256(abi.encode(PASS_TYPE, pass.account, pass.series, pass.until));
        bytes32 digest = keccak256(abi.encodePacked(hex"1901", domain, content));
        (bytes32 r, bytes32 s) = (bytes32(pass.signature[:32]), bytes32(pass.signature[32:64]));
        address signer = ecrecover(digest, uint8(pass.signature[64]), r, s);
        if (signer == address(0) || signer != pass.account) revert PassNotSigned();
        return signer;
    }
}
