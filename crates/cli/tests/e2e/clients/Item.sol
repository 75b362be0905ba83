// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.20;

import {ERC721} from "@openzeppelin/contracts/token/ERC721/ERC721.sol";

/// What the test auctions.
contract Item is ERC721("Item", "ITEM") {
    function mint(uint256 id) external {
        _mint(msg.sender, id);
    }
}
