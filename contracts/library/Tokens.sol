// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.20;

/// The two functions of ERC-20 that move what is one's own, or was allowed.
interface IERC20Moves {
    function balanceOf(address account) external view returns (uint256);
    function transfer(address to, uint256 amount) external returns (bool);
    function transferFrom(address from, address to, uint256 amount) external returns (bool);
}

/// Moves tokens of any make, and the native coin under the zero address. A token that answers nothing counts as one that
/// moved; one that answers anything but true, has no code, or brings another amount than it was asked for (a fee on
/// transfer) does not.
library Tokens {
    /// The native coin.
    address internal constant NATIVE = address(0);

    /// Takes exactly this amount from an account that allowed it. False where anything else came.
    function take(address token, address from, uint256 amount) internal returns (bool) {
        uint256 before = balance(token);
        bool moved = call(token, abi.encodeCall(IERC20Moves.transferFrom, (from, address(this), amount)));
        uint256 afterwards = balance(token);
        return moved && afterwards >= before && afterwards - before == amount;
    }

    /// Gives an amount away. False where it did not go.
    function give(address token, address to, uint256 amount) internal returns (bool ok) {
        if (token == NATIVE) {
            assembly ("memory-safe") {
                // Without its answer: what a receiver returns costs the caller nothing.
                ok := call(gas(), to, amount, 0, 0, 0, 0)
            }
            return ok;
        }
        return call(token, abi.encodeCall(IERC20Moves.transfer, (to, amount)));
    }

    function balance(address token) private view returns (uint256) {
        (bool ok, bytes memory answer) = token.staticcall(abi.encodeCall(IERC20Moves.balanceOf, (address(this))));
        return ok && answer.length >= 32 ? abi.decode(answer, (uint256)) : 0;
    }

    function call(address token, bytes memory data) private returns (bool) {
        if (token.code.length == 0) return false;
        (bool ok, bytes memory answer) = token.call(data);
        return ok && (answer.length == 0 || (answer.length == 32 && uint256(bytes32(answer)) == 1));
    }
}
