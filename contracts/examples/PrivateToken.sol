// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.20;

import {Padded} from "../library/Gas.sol";
import {Passes} from "../library/Passes.sol";
import {Randomness} from "../library/Randomness.sol";
import {Sealed} from "../library/Sealed.sol";

/// An ERC-20 token whose balances, allowances, recipients and amounts nobody sees but those concerned.
///
/// As with OpenZeppelin's: the same functions, a transfer that cannot be made reverts, no zero addresses. Not as there:
///
/// - `balanceOf` and `allowance` answer only to those concerned: as the sender (a contract, a signed query), or by a pass
///   (`balanceByPass`). Everyone else is refused; a zero would be a false answer.
/// - There is no `Transfer` and no `Approval` event. Each transfer logs `Moved` with two notes of one length, sealed for the
///   sender and for the recipient; who holds neither key does not learn who got what. An account reads its key once, by pass.
/// - Refusals name no figures: a spender must not learn a balance from one.
/// - An allowance is always spent, also the largest one.
/// - Every transfer costs the same gas and changes the slots of both balances, whether the recipient is new or not.
///
/// Public are: who sends a transaction, when, and whether it failed. Whoever watches a validator's disk also sees *that* a
/// sealed slot was changed again, and so that two transfers touched the same account, though not whose it is.
contract PrivateToken is Padded, Passes {
    struct Holding {
        uint128 balance;
        // Counts changes, so that a transfer of nothing changes the slot too.
        uint128 changes;
    }

    uint128 private constant TRANSFER_GAS = 90_000;
    uint128 private constant TRANSFER_FROM_GAS = 100_000;
    uint128 private constant APPROVE_GAS = 40_000;

    string public name;
    string public symbol;
    uint8 public constant decimals = 18;
    /// All tokens there are, made by the constructor.
    uint256 public immutable totalSupply;

    mapping(address => Holding) private holdings;
    mapping(address => mapping(address => uint256)) private allowances;
    bytes32 private noteSecret;
    uint256 private moves;

    /// A transfer: what the sender and what the recipient can open with their note keys. The text is abi(from, to, value); the
    /// nonce the first 15 bytes of keccak-256(number ‖ side), the associated data this address ‖ number ‖ side; number has 32
    /// bytes, side one: 0 for the sender, 1 for the recipient.
    event Moved(uint256 indexed number, bytes forSender, bytes forRecipient);

    error InvalidAccount(address account);
    error InsufficientBalance();
    error InsufficientAllowance();
    error NotYours();
    error SupplyTooLarge();

    constructor(string memory name_, string memory symbol_, uint256 supply) {
        if (supply > type(uint128).max) revert SupplyTooLarge();
        (name, symbol, totalSupply) = (name_, symbol_, supply);
        noteSecret = Randomness.word("notes");
        holdings[msg.sender] = Holding(uint128(supply), 1);
    }

    /// Moves the caller's tokens. Send it encrypted.
    function transfer(address to, uint256 value) external padded(TRANSFER_GAS) returns (bool) {
        _move(msg.sender, to, value);
        return true;
    }

    /// Lets a spender move so many of the caller's tokens, in place of what was allowed before. Send it encrypted.
    function approve(address spender, uint256 value) external padded(APPROVE_GAS) returns (bool) {
        if (spender == address(0)) revert InvalidAccount(spender);
        allowances[msg.sender][spender] = value;
        return true;
    }

    /// Moves tokens of an account that has allowed it. Send it encrypted.
    function transferFrom(address from, address to, uint256 value) external padded(TRANSFER_FROM_GAS) returns (bool) {
        uint256 allowed = allowances[from][msg.sender];
        if (allowed < value) revert InsufficientAllowance();
        allowances[from][msg.sender] = allowed - value;
        _move(from, to, value);
        return true;
    }

    /// The caller's own balance.
    function balanceOf(address account) external view returns (uint256) {
        if (msg.sender != account) revert NotYours();
        return holdings[account].balance;
    }

    /// The balance of whoever signed the pass.
    function balanceByPass(Pass calldata pass) external view returns (uint256) {
        return holdings[_holder(pass)].balance;
    }

    /// What is left of an allowance that the caller gave or got.
    function allowance(address owner, address spender) external view returns (uint256) {
        if (msg.sender != owner && msg.sender != spender) revert NotYours();
        return allowances[owner][spender];
    }

    /// What is left of an allowance that whoever signed the pass gave or got.
    function allowanceByPass(Pass calldata pass, address owner, address spender) external view returns (uint256) {
        address holder = _holder(pass);
        if (holder != owner && holder != spender) revert NotYours();
        return allowances[owner][spender];
    }

    /// The key that opens the notes of whoever signed the pass: all of them, past and future.
    function noteKey(Pass calldata pass) external view returns (bytes32) {
        return _noteKey(_holder(pass));
    }

    function _move(address from, address to, uint256 value) private {
        if (from == address(0)) revert InvalidAccount(from);
        if (to == address(0)) revert InvalidAccount(to);
        Holding storage giver = holdings[from];
        if (giver.balance < value) revert InsufficientBalance();
        // No overflow: value is at most the giver's balance, and all balances together are the supply.
        (giver.balance, giver.changes) = (giver.balance - uint128(value), giver.changes + 1);
        Holding storage taker = holdings[to];
        (taker.balance, taker.changes) = (taker.balance + uint128(value), taker.changes + 1);
        uint256 number = moves++;
        bytes memory text = abi.encode(from, to, value);
        emit Moved(number, _note(from, number, 0, text), _note(to, number, 1, text));
    }

    function _note(address reader, uint256 number, uint8 side, bytes memory text) private view returns (bytes memory) {
        bytes15 nonce = bytes15(keccak256(abi.encodePacked(number, side)));
        return Sealed.seal(_noteKey(reader), nonce, text, abi.encodePacked(address(this), number, side));
    }

    function _noteKey(address account) private view returns (bytes32) {
        return keccak256(abi.encode(noteSecret, account));
    }
}
