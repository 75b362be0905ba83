// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.20;

import {Attested} from "./Attested.sol";
import {IApps} from "../interfaces/IApps.sol";

/// Checks what an instance signed of an HTTPS exchange that its guest made (spec/fetch.md). Whoever holds a record may bring
/// it: nothing here trusts the caller.
///
/// A good record says: an instance of this app, live at this very call, got this response from whom the web's authorities (or
/// the named roots) know under this URL's host, after this block and at this time. What was asked for (URL, method, headers, body)
/// is in the record; a contract that does not look at it takes any answer of any server.
library Fetched {
    /// One exchange, as spec/fetch.md has it.
    struct Record {
        uint64 chainId;
        bytes32 genesisHash;
        bytes21 app;
        bytes32 instance;
        /// Newest certified block when the request was sent, and its hash.
        uint64 height;
        bytes32 blockHash;
        /// Unix seconds when the response was whole.
        uint64 time;
        /// 1 GET, 2 POST.
        uint8 method;
        string url;
        /// Digest of the headers that the app asked for; 0 where none.
        bytes32 requestHeaders;
        /// SHA-256 of the request's body; 0 where none.
        bytes32 requestBody;
        /// Digest of the roots that the server was judged under; 0 for those of the web.
        bytes32 roots;
        /// Digest of the certificates that the server showed.
        bytes32 certificates;
        uint16 status;
        /// SHA-256 of the response's body.
        bytes32 responseBody;
    }

    /// What is asked of a record and of whoever signed it.
    struct Demand {
        /// The app.
        bytes21 app;
        /// Least tier of the instance's evidence; 0 asks for none.
        uint8 tier;
        /// Roots of the server; 0 for those of the web.
        bytes32 roots;
        /// How old the record may be, in seconds.
        uint64 ageMaxS;
    }

    /// How far ahead of the chain's time a record may be, in seconds: clocks differ.
    uint64 internal constant AHEAD_MAX_S = 30;
    bytes1 private constant VERSION = 0x01;
    address private constant HISTORY = 0x0000F90827F1C53a10cb7A02335B175320002935;

    /// The signature is none, or of an account that is no live instance of the app, or of another instance's.
    error NotSignedByInstance(address signer);
    /// The record is of another app, chain or roots than is demanded.
    error OtherRecord();
    /// The record is too old, or from the future, or its block is not one of this chain's last 8,191.
    error NotOfNow(uint64 time, uint64 height);
    /// These bytes are not the response.
    error NotTheResponse();
    /// The records do not agree, or come from too few instances.
    error NoAgreement();

    /// Reverts unless a live instance of the app signed the record and it satisfies the demand. Says who signed.
    function check(Record memory record, bytes memory signature, Demand memory demand)
        internal
        view
        returns (IApps.Caller memory signer)
    {
        bool isDemanded = record.app == demand.app && record.roots == demand.roots;
        if (!isDemanded || record.chainId != block.chainid) revert OtherRecord();
        bool isOld = uint256(record.time) + demand.ageMaxS < block.timestamp;
        if (isOld || record.time > block.timestamp + AHEAD_MAX_S || !isBlock(record.height, record.blockHash)) {
            revert NotOfNow(record.time, record.height);
        }
        address account = signerOf(record, signature);
        signer = Attested.APPS.caller(account);
        bool isInstance = account != address(0) && signer.instance != 0 && signer.instance == record.instance;
        if (!isInstance || signer.app != record.app || signer.tier < demand.tier) revert NotSignedByInstance(account);
    }

    /// Reverts unless at least `needed` distinct live instances of the app got the same response to the same request.
    /// Records stand in rising order of their instances.
    function checkMany(Record[] memory records, bytes[] memory signatures, Demand memory demand, uint256 needed)
        internal
        view
    {
        if (needed == 0 || records.length < needed || records.length != signatures.length) revert NoAgreement();
        bytes32 first = exchange(records[0]);
        for (uint256 i = 0; i < records.length; i++) {
            if (i > 0 && (records[i].instance <= records[i - 1].instance || exchange(records[i]) != first)) {
                revert NoAgreement();
            }
            check(records[i], signatures[i], demand);
        }
    }

    /// Reverts unless these bytes are the response's body.
    function checkResponse(Record memory record, bytes memory body) internal pure {
        if (sha256(body) != record.responseBody) revert NotTheResponse();
    }

    /// Whether it is a GET of this URL without headers or a body of the app's, answered with 200.
    function isPlainGet(Record memory record, string memory url) internal pure returns (bool) {
        bool isPlain = record.method == 1 && record.requestHeaders == 0 && record.requestBody == 0;
        return isPlain && record.status == 200 && keccak256(bytes(record.url)) == keccak256(bytes(url));
    }

    /// What was asked and answered: equal for two records when request and response are.
    function exchange(Record memory record) internal pure returns (bytes32) {
        return keccak256(
            abi.encode(
                record.method,
                record.url,
                record.requestHeaders,
                record.requestBody,
                record.status,
                record.responseBody
            )
        );
    }

    /// What the account signs.
    function digest(Record memory record) internal pure returns (bytes32) {
        bytes memory who = abi.encodePacked(
            VERSION,
            record.chainId,
            record.genesisHash,
            record.app,
            record.instance,
            record.height,
            record.blockHash,
            record.time
        );
        bytes memory asked = abi.encodePacked(
            record.method, uint32(bytes(record.url).length), record.url, record.requestHeaders, record.requestBody
        );
        bytes memory got = abi.encodePacked(record.roots, record.certificates, record.status, record.responseBody);
        return keccak256(abi.encodePacked("freehold fetch\n", who, asked, got));
    }

    /// The account that signed; zero where the signature is none.
    function signerOf(Record memory record, bytes memory signature) private pure returns (address) {
        if (signature.length != 65) return address(0);
        bytes32 r;
        bytes32 s;
        uint8 v;
        assembly ("memory-safe") {
            r := mload(add(signature, 32))
            s := mload(add(signature, 64))
            v := byte(0, mload(add(signature, 96)))
        }
        return ecrecover(digest(record), v, r, s);
    }

    /// Whether the chain keeps this hash for this height (EIP-2935).
    function isBlock(uint64 height, bytes32 hash) private view returns (bool) {
        (bool ok, bytes memory kept) = HISTORY.staticcall(abi.encode(uint256(height)));
        return ok && kept.length == 32 && hash != 0 && bytes32(kept) == hash;
    }
}
