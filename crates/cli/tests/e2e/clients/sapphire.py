"""Sapphire's middleware for web3.py, unmodified, against a running network: encrypted transactions and signed queries.

Usage: python sapphire.py RPC_URL VAULT_JSON
"""

import json
import sys

from eth_account import Account
from sapphirepy import sapphire
from web3 import Web3
from web3.exceptions import ContractLogicError
from web3.middleware import SignAndSendRawMiddlewareBuilder

URL, VAULT = sys.argv[1], sys.argv[2]
MNEMONIC = "test test test test test test test test test test test junk"
Account.enable_unaudited_hdwallet_features()


def step(name):
    print(f"sapphire.py: {name}", flush=True)


def connect(index):
    account = Account.from_mnemonic(MNEMONIC, account_path=f"m/44'/60'/0'/0/{index}")
    w3 = Web3(Web3.HTTPProvider(URL))
    w3.middleware_onion.add(SignAndSendRawMiddlewareBuilder.build(account))
    w3.eth.default_account = account.address
    return sapphire.wrap(w3, account), account


with open(VAULT, encoding="utf-8") as file:
    vault_json = json.load(file)

owner, account = connect(5)
step("deploy and an encrypted transaction")
vault = owner.eth.contract(abi=vault_json["abi"], bytecode=vault_json["bytecode"])
receipt = owner.eth.wait_for_transaction_receipt(vault.constructor().transact())
assert receipt["status"] == 1
vault = owner.eth.contract(address=receipt["contractAddress"], abi=vault_json["abi"])
note = "the note of web3.py"
sent = vault.functions.write(note).transact()
assert owner.eth.wait_for_transaction_receipt(sent)["status"] == 1
data = bytes(owner.eth.get_transaction(sent)["input"])
assert data.startswith(bytes.fromhex("a264626f6479a46270")) and note.encode() not in data

step("signed queries")
assert vault.functions.read().call() == note
assert vault.functions.echo("hello").call() == ["hello", account.address]

step("a signature of another account")
other, stranger = connect(6)
theirs = other.eth.contract(address=vault.address, abi=vault_json["abi"])
assert theirs.functions.echo("hello").call() == ["hello", stranger.address]
try:
    theirs.functions.read().call()
    raise AssertionError("read by a stranger")
except ContractLogicError as error:
    assert "owner only" in str(error), error
print("sapphire.py: all passed")
