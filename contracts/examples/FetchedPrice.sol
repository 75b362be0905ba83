// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.20;

import {Fetched} from "../library/Fetched.sol";
import {PublicState} from "../library/PublicState.sol";

/// A price that a web service publishes, brought by whoever likes, believed because instances of an attested app fetched it.
///
/// - `needed` distinct live instances must have got the very same response, byte for byte.
/// - A record counts while its instance is live and for `ageMaxS` seconds; prices move forward only.
/// - The service is asked plainly: one URL, no headers, no body, by the web's authorities or by the roots that are named here.
/// - What is not covered: whether the service tells the truth.
contract FetchedPrice is PublicState {
    /// Digits behind the point that are kept.
    uint256 public constant DECIMALS = 8;

    string public url;
    bytes21 public immutable app;
    uint8 public immutable tier;
    bytes32 public immutable roots;
    uint64 public immutable ageMaxS;
    uint256 public immutable needed;

    /// The newest price, with DECIMALS digits behind the point, and when it was fetched.
    uint256 public price;
    uint64 public fetchedAt;

    /// A newer price.
    event Priced(uint256 price, uint64 fetchedAt);

    /// The records are of another request, or not newer than the price that stands.
    error NotAsked();
    /// The response holds no `"price":` with a number behind it.
    error NoPrice();

    constructor(string memory url_, Fetched.Demand memory demand, uint256 needed_) {
        (url, app, tier) = (url_, demand.app, demand.tier);
        (roots, ageMaxS, needed) = (demand.roots, demand.ageMaxS, needed_);
    }

    /// Brings a price: records in rising order of their instances, their signatures, and the response.
    function bring(Fetched.Record[] memory records, bytes[] memory signatures, bytes memory response) external {
        Fetched.checkMany(records, signatures, Fetched.Demand(app, tier, roots, ageMaxS), needed);
        uint64 oldest = records[0].time;
        for (uint256 i = 1; i < records.length; i++) {
            if (records[i].time < oldest) oldest = records[i].time;
        }
        // Records of one exchange: what holds for the first holds for all.
        if (!Fetched.isPlainGet(records[0], url) || oldest <= fetchedAt) revert NotAsked();
        Fetched.checkResponse(records[0], response);
        (price, fetchedAt) = (priceIn(response), oldest);
        emit Priced(price, fetchedAt);
    }

    /// The number behind the first `"price":`, as a number or a text of JSON; further digits than DECIMALS are cut off.
    function priceIn(bytes memory response) internal pure returns (uint256 value) {
        bytes memory key = '"price":';
        uint256 place = indexBehind(response, key);
        while (place < response.length && (response[place] == " " || response[place] == '"')) place++;
        uint256 begin = place;
        uint256 digits;
        bool isFraction;
        for (; place < response.length && place < begin + 40; place++) {
            bytes1 letter = response[place];
            if (letter == "." && !isFraction && place > begin) {
                isFraction = true;
            } else if (letter >= "0" && letter <= "9") {
                if (isFraction && digits == DECIMALS) continue;
                value = value * 10 + uint8(letter) - 48;
                if (isFraction) digits++;
            } else {
                break;
            }
        }
        // A number that ends otherwise (an exponent, more digits than fit) is none that this contract understands.
        bool ends = place < response.length
            && (response[place] == "," || response[place] == "}" || response[place] == '"' || response[place] == " ");
        if (place == begin || !ends) revert NoPrice();
        value *= 10 ** (DECIMALS - digits);
    }

    function indexBehind(bytes memory text, bytes memory key) private pure returns (uint256) {
        for (uint256 i = 0; i + key.length <= text.length; i++) {
            uint256 j = 0;
            while (j < key.length && text[i + j] == key[j]) j++;
            if (j == key.length) return i + j;
        }
        revert NoPrice();
    }
}
