"""One app in several copies: one of them leads at a time, and each answers a contract in its own way when it is told to."""

import random
import threading
import time

import freehold_local
from serving import serve

guest = freehold_local.Client()
# What was done as the leader: fence, height, and the end of the lease as it stood then.
STEPS = []
# First four bytes of keccak-256 of `answer(uint256,int256)`.
ANSWER = "476ff05e"


def lead():
    for lease in guest.leading("leader", length_s=10):
        STEPS.append([lease["fence"], lease["header"]["height"], lease["expires_at"]])
        time.sleep(0.2)


def send(to, data):
    tx = {"kind": "eth", "data": {"gas_limit": 0, "to": to, "value": 0, "data": data}}
    return guest.rofl_sign_submit({"tx": tx, "encrypt": False})


def answer(contract, number):
    # No two runs give alike.
    value = 1000 + random.randint(-2, 2)
    return send(contract, ANSWER + f"{number:064x}{value:064x}")


def reply(path, _headers, asked):
    if path == "/":
        return {"instance": guest.instance(), "steps": STEPS}
    try:
        return (answer if path == "/answer" else send)(**asked)
    except freehold_local.Refused as refused:
        return {"refused": str(refused)}


threading.Thread(target=lead, daemon=True).start()
serve(reply)
