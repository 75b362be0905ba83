// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.20;

import {Sapphire, sha384, sha512, sha512_256} from "@oasisprotocol/sapphire-contracts/contracts/Sapphire.sol";
import {StakingAddress, StakingSecretKey, ConsensusUtils} from "@oasisprotocol/sapphire-contracts/contracts/ConsensusUtils.sol";
import {EthereumUtils, SignatureRSV} from "@oasisprotocol/sapphire-contracts/contracts/EthereumUtils.sol";
import {EIP155Signer} from "@oasisprotocol/sapphire-contracts/contracts/EIP155Signer.sol";
import {EIP1559Signer} from "@oasisprotocol/sapphire-contracts/contracts/EIP1559Signer.sol";
import {EIP2930Signer} from "@oasisprotocol/sapphire-contracts/contracts/EIP2930Signer.sol";
import {SiweAuth} from "@oasisprotocol/sapphire-contracts/contracts/auth/SiweAuth.sol";
import {Subcall, SubcallReceiptKind} from "@oasisprotocol/sapphire-contracts/contracts/Subcall.sol";
import {WrappedROSE} from "@oasisprotocol/sapphire-contracts/contracts/WrappedROSE.sol";
import {encryptCallData} from "@oasisprotocol/sapphire-contracts/contracts/CalldataEncryption.sol";
import {hmac_sha512_256} from "@oasisprotocol/sapphire-contracts/contracts/hmac_sha512_256.sol";

/// Every function of Sapphire.sol and of the helpers about keys.
contract Precompiles {
    function random(uint256 count) external view returns (bytes memory, bytes memory) {
        return (Sapphire.randomBytes(count, "a"), Sapphire.randomBytes(count, "a"));
    }

    /// Two parties derive one key; a box opens with it, and not with other associated data.
    function box(bytes calldata text, bytes calldata associated) external view returns (bytes memory sealed_) {
        (Sapphire.Curve25519PublicKey hers, Sapphire.Curve25519SecretKey her) = Sapphire.generateCurve25519KeyPair("her");
        (Sapphire.Curve25519PublicKey his, Sapphire.Curve25519SecretKey him) = Sapphire.generateCurve25519KeyPair("him");
        bytes32 key = Sapphire.deriveSymmetricKey(his, her);
        require(key == Sapphire.deriveSymmetricKey(hers, him), "one key");
        bytes32 nonce = bytes32(Sapphire.randomBytes(32, "nonce"));
        sealed_ = Sapphire.encrypt(key, nonce, text, associated);
        require(keccak256(Sapphire.decrypt(key, nonce, sealed_, associated)) == keccak256(text), "opens");
        try this.open(key, nonce, sealed_, "other") {
            revert("must not open");
        } catch {}
    }

    function open(bytes32 key, bytes32 nonce, bytes calldata sealed_, bytes calldata associated)
        external
        view
        returns (bytes memory)
    {
        return Sapphire.decrypt(key, nonce, sealed_, associated);
    }

    function signs(Sapphire.SigningAlg algorithm, bytes calldata seed, bytes calldata context, bytes calldata message)
        external
        view
        returns (bytes memory publicKey, bytes memory signature)
    {
        bytes memory secretKey;
        (publicKey, secretKey) = Sapphire.generateSigningKeyPair(algorithm, seed);
        signature = Sapphire.sign(algorithm, secretKey, context, message);
        require(Sapphire.verify(algorithm, publicKey, context, message, signature), "verifies");
        bytes memory other = context.length == 0 ? bytes("") : abi.encodePacked(~context[0], context[1:]);
        require(!Sapphire.verify(algorithm, publicKey, other, abi.encodePacked(message, "x"), signature), "another");
    }

    function hashes(bytes calldata text) external view returns (bytes32, bytes memory, bytes memory, bytes32) {
        return (sha512_256(text), sha512(text), sha384(text), hmac_sha512_256("key", text));
    }

    function pads(uint128 amount) external view returns (uint64 before, uint64 behind) {
        before = Sapphire.gasUsed();
        Sapphire.padGas(amount);
        behind = Sapphire.gasUsed();
    }

    /// A signature that the EVM's own ecrecover accepts.
    function ethereum(bytes32 digest) external view returns (bool) {
        (address account, bytes32 secret) = EthereumUtils.generateKeypair();
        SignatureRSV memory rsv = EthereumUtils.sign(account, secret, digest);
        return ecrecover(digest, uint8(rsv.v), rsv.r, rsv.s) == account;
    }

    function staking() external view returns (bytes21) {
        (StakingAddress account,) = ConsensusUtils.generateStakingAddress("staking");
        return StakingAddress.unwrap(account);
    }
}

/// Subcalls that have a meaning here, and those that must fail in Sapphire's words.
contract Subcalls {
    constructor() payable {}

    function transfer(address to, uint128 value) external {
        Subcall.accountsTransfer(to, value);
    }

    function key() external view returns (uint256 epoch, bytes32 key_, bytes32 checksum) {
        Subcall.CallDataPublicKey memory found;
        (epoch, found) = Subcall.coreCallDataPublicKey();
        (key_, checksum) = (found.key, found.checksum);
    }

    function epoch() external view returns (uint256) {
        return Subcall.coreCurrentEpoch();
    }

    function onlyApp(bytes21 app) external view {
        Subcall.roflEnsureAuthorizedOrigin(app);
    }

    function app() external view returns (bytes21) {
        return Subcall.getRoflAppId();
    }

    function delegate(bytes21 to) external returns (bytes memory) {
        return Subcall.consensusDelegate(StakingAddress.wrap(to), 1);
    }

    function undelegate(bytes21 from) external {
        Subcall.consensusUndelegate(StakingAddress.wrap(from), 1);
    }

    function withdraw(bytes21 to) external {
        Subcall.consensusWithdraw(StakingAddress.wrap(to), 1);
    }

    /// The library writes every id in eight bytes, which is canonical CBOR from 2^32 on.
    function receipt() external returns (bytes memory) {
        return Subcall.consensusTakeReceipt(SubcallReceiptKind.Delegate, 1 << 32);
    }

    function unknown() external returns (uint64, bytes memory) {
        return Subcall.subcall("evm2.Nothing", hex"f6");
    }
}

/// A contract with an account of its own: it signs transactions, and encrypts call data for them.
contract Wallet {
    address public immutable account;
    bytes32 private secret;
    uint256 public pokes;

    event Poked(address by, uint256 pokes);

    constructor() {
        (account, secret) = EthereumUtils.generateKeypair();
    }

    function poke() external {
        pokes += 1;
        emit Poked(msg.sender, pokes);
    }

    /// An encrypted call of poke() in a transaction of type 0, 1 or 2.
    function signed(uint8 kind, uint64 nonce, uint256 gasPrice) external view returns (bytes memory) {
        bytes memory data = encryptCallData(abi.encodeCall(this.poke, ()));
        if (kind == 0) {
            EIP155Signer.EthTx memory old =
                EIP155Signer.EthTx(nonce, gasPrice, 200_000, address(this), 0, data, block.chainid);
            return EIP155Signer.sign(account, secret, old);
        }
        if (kind == 1) {
            EIP2930Signer.EIP2930Tx memory listed;
            (listed.nonce, listed.gasPrice, listed.gasLimit) = (nonce, gasPrice, 200_000);
            (listed.to, listed.data, listed.chainId) = (address(this), data, block.chainid);
            return EIP2930Signer.sign(account, secret, listed);
        }
        EIP1559Signer.EIP1559Tx memory priced;
        (priced.nonce, priced.maxPriorityFeePerGas, priced.maxFeePerGas) = (nonce, 1, gasPrice);
        (priced.gasLimit, priced.to, priced.data, priced.chainId) = (200_000, address(this), data, block.chainid);
        return EIP1559Signer.sign(account, secret, priced);
    }
}

/// A secret that its owner reads in a view, by logging in.
contract Diary is SiweAuth {
    address private owner;
    string private text;

    constructor(string memory domain_, string memory text_) SiweAuth(domain_) {
        (owner, text) = (msg.sender, text_);
    }

    function read(bytes memory token) external view returns (string memory) {
        require(authMsgSender(token) == owner, "not the owner");
        return text;
    }

    function who(bytes memory token) external view returns (address) {
        return authMsgSender(token);
    }

    function logout(bytes memory token) external checkRevokedAuthToken(token) {
        revokeAuthToken(keccak256(token));
    }
}

contract Rose is WrappedROSE {}
