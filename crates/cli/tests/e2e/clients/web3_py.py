"""web3.py, unmodified, against a running network: transfers, a contract, logs, filters, blocks, fees, refusals.

Usage: python web3_py.py RPC_URL COUNTER_JSON
"""

import json
import sys
import time

from eth_account import Account
from web3 import Web3
from web3.exceptions import ContractCustomError, ContractLogicError, TransactionNotFound, Web3RPCError

URL, COUNTER = sys.argv[1], sys.argv[2]
MNEMONIC = "test test test test test test test test test test test junk"
UNIT = 10**18
Account.enable_unaudited_hdwallet_features()


def step(name):
    print(f"web3.py: {name}", flush=True)


def account(index):
    return Account.from_mnemonic(MNEMONIC, account_path=f"m/44'/60'/0'/0/{index}")


def refused(text, call):
    try:
        call()
    except (Web3RPCError, ContractLogicError) as error:
        assert text in str(error), f"{text} wanted: {error}"
        return error
    raise AssertionError(f"must be refused: {text}")


def until(what, holds):
    end = time.monotonic() + 60
    while time.monotonic() < end:
        found = holds()
        if found:
            return found
        time.sleep(0.1)
    raise AssertionError(f"{what}: not within 60 s")


w3 = Web3(Web3.HTTPProvider(URL))
with open(COUNTER, encoding="utf-8") as file:
    artefact = json.load(file)
alice, bob = account(4), account(5)


def send(key, transaction):
    signed = key.sign_transaction(transaction)
    return w3.eth.send_raw_transaction(signed.raw_transaction)


def receipt_of(tx_hash):
    return w3.eth.wait_for_transaction_receipt(tx_hash, timeout=60)


def transfer(**more):
    fee = {} if "gasPrice" in more else {"maxFeePerGas": 3 * 10**9, "maxPriorityFeePerGas": 10**6}
    base = {"to": bob.address, "value": 1, "gas": 30_000, "chainId": 23293, **fee}
    base["nonce"] = w3.eth.get_transaction_count(alice.address)
    return {**base, **more}


step("transfer")
assert w3.is_connected()
assert w3.eth.chain_id == 23293
assert w3.net.version == "23293"
assert w3.client_version.startswith("freehold/")
assert w3.eth.syncing is False
assert w3.eth.get_balance(bob.address) == 10_000 * UNIT
before = w3.eth.get_balance(alice.address)
sent = send(alice, transfer(value=3 * UNIT))
receipt = receipt_of(sent)
assert receipt["status"] == 1 and receipt["gasUsed"] == 21_000
assert w3.eth.get_balance(bob.address) == 10_003 * UNIT
assert w3.eth.get_balance(alice.address) == before - 3 * UNIT - 21_000 * receipt["effectiveGasPrice"]
assert w3.eth.get_balance(bob.address, receipt["blockNumber"] - 1) == 10_000 * UNIT
transaction = w3.eth.get_transaction(sent)
assert transaction["from"] == alice.address and transaction["value"] == 3 * UNIT
assert transaction["blockHash"] == receipt["blockHash"]
block = w3.eth.get_block(receipt["blockHash"], full_transactions=True)
assert block["transactions"][receipt["transactionIndex"]]["hash"] == sent
assert w3.eth.get_block(block["number"] - 1)["hash"] == block["parentHash"]
assert w3.eth.get_block_transaction_count(block["hash"]) == len(block["transactions"])
assert w3.eth.get_transaction_by_block(block["hash"], receipt["transactionIndex"])["hash"] == sent
assert w3.eth.get_raw_transaction(sent)
assert any(found["transactionHash"] == sent for found in w3.eth.get_block_receipts(block["number"]))
for tag in ("latest", "pending", "earliest", "safe", "finalized"):
    assert w3.eth.get_block(tag)["hash"], tag

step("every type of transaction")
assert receipt_of(send(alice, transfer(gasPrice=w3.eth.gas_price)))["type"] == 0
access = [{"address": bob.address, "storageKeys": ["0x" + "00" * 32]}]
assert receipt_of(send(alice, transfer(gasPrice=w3.eth.gas_price, accessList=access)))["type"] == 1
assert receipt_of(send(alice, transfer()))["type"] == 2

step("contract")
factory = w3.eth.contract(abi=artefact["abi"], bytecode=artefact["bytecode"])
made = factory.constructor(41).build_transaction(
    {"from": alice.address, "nonce": w3.eth.get_transaction_count(alice.address)}
)
address = receipt_of(send(alice, made))["contractAddress"]
counter = w3.eth.contract(address=address, abi=artefact["abi"])
assert w3.eth.get_code(address)
assert counter.functions.get().call() == 41
# Contracts are confidential by default: their storage shows nothing, as on Sapphire.
assert int.from_bytes(w3.eth.get_storage_at(address, 0), "big") == 0

step("logs and filters")
events = counter.events.Changed.create_filter(from_block="latest")
blocks = w3.eth.filter("latest")
pending = w3.eth.filter("pending")
estimated = counter.functions.set(7).estimate_gas({"from": alice.address})
change = counter.functions.set(7).build_transaction(
    {"from": alice.address, "nonce": w3.eth.get_transaction_count(alice.address)}
)
changed = send(alice, change)
receipt = receipt_of(changed)
assert receipt["gasUsed"] <= estimated < receipt["gasUsed"] + 110_000
assert counter.functions.get().call() == 7
assert counter.functions.get().call(block_identifier=receipt["blockNumber"] - 1) == 41
(event,) = counter.events.Changed().process_receipt(receipt)
assert event["args"] == {"who": alice.address, "value": 7}
(event,) = counter.events.Changed.get_logs(from_block=receipt["blockNumber"], argument_filters={"who": alice.address})
assert event["transactionHash"] == changed
assert not list(counter.events.Changed.get_logs(from_block=0, argument_filters={"who": bob.address}))
assert len(w3.eth.get_logs({"blockHash": receipt["blockHash"], "address": address})) == 1
(event,) = until("the filter", events.get_new_entries)
assert event["args"]["value"] == 7
assert events.get_new_entries() == []
assert len(events.get_all_entries()) <= 1
assert receipt["blockHash"] in until("the block filter", blocks.get_new_entries)
assert changed in until("the pending filter", pending.get_new_entries)
assert w3.eth.uninstall_filter(blocks.filter_id)

step("reverts")
try:
    counter.functions.fail().call()
    raise AssertionError("fail() must revert")
except ContractLogicError as error:
    assert "always refuses." in str(error), error
try:
    counter.functions.deny(5).call()
    raise AssertionError("deny() must revert")
except ContractCustomError as error:
    assert error.data.startswith("0x7e46dab6"), error
failed = receipt_of(send(alice, transfer(to=address, value=0, data="0xa9cc4718", gas=100_000)))
assert failed["status"] == 0 and failed["logs"] == []

step("fees and nonces")
assert w3.eth.max_priority_fee >= 0
history = w3.eth.fee_history(4, "latest", [25, 75])
assert len(history["baseFeePerGas"]) == 5 and len(history["gasUsedRatio"]) == 4 and len(history["reward"]) == 4
nonce = w3.eth.get_transaction_count(alice.address)
second = send(alice, transfer(nonce=nonce + 1))
assert w3.eth.get_transaction(second)["blockNumber"] is None
assert w3.eth.get_transaction_count(alice.address, "pending") == nonce
send(alice, transfer(nonce=nonce))
assert receipt_of(second)["status"] == 1
assert w3.eth.get_transaction_count(alice.address) == nonce + 2

step("overrides, access lists, simulations, traces")
clock = "0x" + "C1" * 20
clock = Web3.to_checksum_address(clock)
told = w3.eth.call({"to": clock}, "latest", {clock: {"code": "0x425f5260205ff3"}})
assert abs(int.from_bytes(told, "big") - time.time()) < 60, told
refused("confidential", lambda: w3.eth.call({"to": address}, "latest", {address: {"code": "0x00"}}))
listed = w3.eth.create_access_list({"from": alice.address, "to": address, "data": "0x6d4ce63c"})
assert listed["accessList"] == [] and listed["gasUsed"] > 21_000, listed
simulation = {"blockStateCalls": [{"calls": [{"from": alice.address, "to": bob.address, "value": 1}]}]}
simulated = w3.eth.simulate_v1({**simulation, "traceTransfers": True}, "latest")
assert len(simulated) == 1 and simulated[0]["calls"][0]["status"] == 1, simulated
assert len(simulated[0]["calls"][0]["logs"]) == 1, simulated
assert len(w3.eth.get_block_receipts(w3.eth.get_transaction(second)["blockNumber"])) >= 1
traced = w3.provider.make_request("debug_traceTransaction", [second.to_0x_hex(), {"tracer": "callTracer"}])
assert traced["result"]["to"] == bob.address.lower(), traced

step("refusals")
refused("nonce too low", lambda: send(alice, transfer(nonce=nonce)))
refused("another chain", lambda: send(alice, transfer(chainId=1)))
refused("insufficient funds", lambda: send(account(1000), transfer(nonce=0)))
refused("already known", lambda: [send(alice, transfer(nonce=nonce + 9)) for _ in range(2)])
refused("underpriced", lambda: send(alice, transfer(nonce=nonce + 9, value=2)))
try:
    w3.eth.get_transaction("0x" + "11" * 32)
    raise AssertionError("an unknown transaction must not be found")
except TransactionNotFound:
    pass
answer = w3.provider.make_request("eth_noSuchMethod", [])
assert answer["error"]["code"] == -32601, answer
step("done")
