#!/bin/sh
# cast (Foundry), unmodified, against a running network: transfers, a contract, logs, blocks, fees, refusals.
# Usage: sh cast.sh CAST RPC_URL COUNTER_INIT_CODE
set -eu
cast=$1
ETH_RPC_URL=$2
export ETH_RPC_URL
code=$3
mnemonic="test test test test test test test test test test test junk"

step() { echo "cast: $1"; }
same() { [ "$1" = "$2" ] || { echo "cast: $3: wanted $1, found $2" >&2; exit 1; }; }
refused() {
    wanted=$1
    shift
    if said=$("$@" 2>&1); then echo "cast: must be refused ($wanted): $*" >&2; exit 1; fi
    case $said in *"$wanted"*) ;; *) echo "cast: refused, but not with $wanted: $said" >&2; exit 1 ;; esac
}

alice_key=$("$cast" wallet private-key "$mnemonic" 10)
alice=$("$cast" wallet address "$alice_key")
bob=$("$cast" wallet address "$("$cast" wallet private-key "$mnemonic" 11)")
poor_key=$("$cast" wallet private-key "$mnemonic" 1000)

step transfer
same 23293 "$("$cast" chain-id)" "chain id"
same 10000 "$("$cast" balance --ether "$bob" | cut -d. -f1)" "balance of bob"
receipt=$("$cast" send --json --private-key "$alice_key" --value 4ether "$bob")
same 10004 "$("$cast" balance --ether "$bob" | cut -d. -f1)" "balance of bob"
field() { printf '%s' "$1" | sed -n "s/.*\"$2\":\"\([^\"]*\)\".*/\1/p"; }
hash=$(field "$receipt" transactionHash)
same 0x1 "$(field "$receipt" status)" "status"
same "$hash" "$(field "$("$cast" tx --json "$hash")" hash)" "transaction"
same "$(field "$receipt" blockHash)" "$("$cast" block "$(field "$receipt" blockNumber)" --field hash)" "block hash"
same 0x1 "$(field "$("$cast" receipt --json "$hash")" status)" "status, asked again"
same 1 "$("$cast" nonce "$alice")" "nonce"
for tag in latest finalized safe earliest; do "$cast" block "$tag" >/dev/null; done
[ "$("$cast" block-number)" -ge 1 ]

step "every type of transaction"
"$cast" send --legacy --private-key "$alice_key" --value 1 "$bob" >/dev/null
"$cast" send --access-list --private-key "$alice_key" --value 1 "$bob" >/dev/null

step contract
start=$("$cast" abi-encode "constructor(uint256)" 41 | cut -c3-)
made=$("$cast" send --json --private-key "$alice_key" --create "$code$start")
counter=$(field "$made" contractAddress)
[ "$("$cast" code "$counter")" != 0x ]
same 41 "$("$cast" call "$counter" "get()(uint256)")" "get()"
# Contracts are confidential by default: their storage shows nothing, as on Sapphire.
same 0 "$("$cast" to-dec "$("$cast" storage "$counter" 0)")" "slot 0"
[ "$("$cast" estimate --from "$alice" "$counter" "set(uint256)" 7)" -gt 21000 ]
set=$("$cast" send --json --private-key "$alice_key" "$counter" "set(uint256)" 7)
same 7 "$("$cast" call "$counter" "get()(uint256)")" "get() after set(7)"
logs=$("$cast" logs --json --from-block "$(field "$set" blockNumber)" --address "$counter" "Changed(address indexed,uint256)" "$alice")
same "$(field "$set" transactionHash)" "$(field "$logs" transactionHash)" "the log's transaction"

step refusals
refused "always refuses." "$cast" call "$counter" "fail()"
refused "always refuses." "$cast" send --private-key "$alice_key" "$counter" "fail()"
refused "insufficient funds" "$cast" send --private-key "$poor_key" --gas-limit 21000 --value 1 "$bob"
refused "nonce too low" "$cast" send --private-key "$alice_key" --nonce 0 --value 1 "$bob"
refused "chain" "$cast" send --chain 1 --private-key "$alice_key" --value 1 "$bob"
refused "-32601" "$cast" rpc eth_noSuchMethod

step fees
[ "$("$cast" gas-price)" -gt 0 ]
[ "$("$cast" base-fee)" -gt 0 ]
"$cast" rpc eth_feeHistory 0x4 latest '[25,75]' >/dev/null
step done
