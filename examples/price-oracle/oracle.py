"""A price oracle: it asks several sources, takes the median, and feeds a contract that accepts this app's instances alone.

The contract is contracts/examples/AttestedOracle.sol. The first instance makes it, if nobody names one, and keeps its address. What the
chain has to know of this program is its measurement: who reads the contract relies on these very lines.
"""

import http.client
import http.server
import json
import math
import os
import pathlib
import socket
import socketserver
import statistics
import sys
import threading
import time
import urllib.request

LOCAL_API = os.environ["FREEHOLD_LOCAL_API"]
NAME = os.environ.get("PRICE_NAME", "BTC/USD")
PERIOD_S = float(os.environ.get("PRICE_PERIOD_S", "10"))
SOURCES = os.environ.get("PRICE_SOURCES", "").split()
# Where it serves without a port of its own: as a process.
SOCKET = os.environ.get("FREEHOLD_APP_SOCKET")
KEPT = pathlib.Path("/tmp/contract" if SOCKET else "/data/contract")
# Values have eight decimals.
UNIT = 10**8
# First four bytes of keccak-256 of `feed(bytes32,int256,uint64)`.
FEED = bytes.fromhex("a17d432d")
TIER_VERIFIED = 1
ANSWER_BYTES_MAX = 1 << 20

STATE = {"name": NAME, "contract": None, "value": None, "observed_at": None, "fed": 0, "sources": {}, "trouble": None}


class Guest(http.client.HTTPConnection):
    """The local API: HTTP over a UNIX socket."""

    def __init__(self):
        super().__init__("guest", timeout=90)

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.connect(LOCAL_API)


def ask(method, path, body=None):
    guest = Guest()
    guest.request(method, path, body and json.dumps(body), {"content-type": "application/json"})
    answer = guest.getresponse()
    text = answer.read().decode()
    if answer.status != 200:
        raise RuntimeError(f"{path}: {answer.status} {text}")
    return text


def when_ready():
    while True:
        try:
            return ask("GET", "/freehold/v1/health")
        except (OSError, RuntimeError):
            time.sleep(0.1)


def send(to, data):
    """Sends a transaction of the instance's account; the address of the contract that it made, if it made one."""
    call = {"gas_limit": 0, "to": to, "value": 0, "data": data.hex()}
    answer = json.loads(ask("POST", "/rofl/v1/tx/sign-submit", {"tx": {"kind": "eth", "data": call}, "encrypt": False}))
    # CBOR: {"ok": bytes} or {"fail": …}.
    outcome = bytes.fromhex(answer["data"])
    if not outcome.startswith(b"\xa1\x62ok"):
        raise RuntimeError(f"the transaction failed: {outcome!r}")
    return outcome[-20:].hex()


def app_name():
    """The app's id as its text, `rofl1…`."""
    return ask("GET", "/rofl/v1/app/id")


def app_id():
    """The 21 bytes of the app's id, from its text (BIP 173)."""
    letters = "qpzry9x8gf2tvdw0s3jn54khce6mua7l"
    words = [letters.index(letter) for letter in app_name().rsplit("1", 1)[1][:-6]]
    number = 0
    for word in words:
        number = number << 5 | word
    bits = len(words) * 5
    return (number >> bits % 8).to_bytes(bits // 8, "big")


def contract():
    """The contract to feed: the owner's, or the one that was made here before, or a new one."""
    named = os.environ.get("ORACLE_CONTRACT") or (KEPT.read_text() if KEPT.exists() else "")
    if not named:
        code = bytes.fromhex(json.loads(pathlib.Path("/app/AttestedOracle.json").read_text())["bytecode"][2:])
        model = bytes(32)
        made = send("", code + app_id().ljust(32, b"\0") + TIER_VERIFIED.to_bytes(32, "big") + model)
        named = "0x" + made
        KEPT.write_text(named)
    return named


def price(source):
    """The price that a source says now. `URL#a.0.b` names the place in its JSON; without one the whole answer is the number."""
    url, _, place = source.partition("#")
    request = urllib.request.Request(url, headers={"user-agent": "freehold-price-oracle"})
    with urllib.request.urlopen(request, timeout=5) as answer:
        found = json.loads(answer.read(ANSWER_BYTES_MAX))
    for step in filter(None, place.split(".")):
        found = found[int(step)] if isinstance(found, list) else found[step]
    value = float(found)
    if not (math.isfinite(value) and 0 < value < 1e18):
        raise ValueError(f"{value} is no price")
    return value


def observe():
    """The median of what the sources say, where more than half of them answer."""
    said = {}
    for source in SOURCES:
        try:
            said[source] = price(source)
        except (OSError, ValueError, LookupError, TypeError) as error:
            said[source] = f"{type(error).__name__}: {error}"
    STATE["sources"] = said
    values = [value for value in said.values() if isinstance(value, float)]
    if 2 * len(values) <= len(SOURCES):
        raise RuntimeError(f"{len(values)} of {len(SOURCES)} sources answer: too few")
    return round(statistics.median(values) * UNIT)


def feed():
    value, observed_at = observe(), int(time.time())
    name = NAME.encode().ljust(32, b"\0")
    words = name + value.to_bytes(32, "big", signed=True) + observed_at.to_bytes(32, "big")
    send(STATE["contract"], FEED + words)
    STATE.update(value=value, observed_at=observed_at, fed=STATE["fed"] + 1, trouble=None)
    print(f"{NAME} = {value / UNIT} fed to {STATE['contract']}", flush=True)


def feed_for_ever():
    while True:
        try:
            if STATE["contract"] is None:
                STATE["contract"] = contract()
            feed()
        except (OSError, RuntimeError, ValueError) as error:
            STATE["trouble"] = str(error)
            print(f"not fed: {error}", file=sys.stderr, flush=True)
        time.sleep(PERIOD_S)


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        body = json.dumps(STATE).encode()
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def address_string(self):
        return "client"

    def log_message(self, *_):
        pass


class Server(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
    daemon_threads = True


def main():
    if not SOURCES:
        sys.exit("there is no source: freehold app env set PRICE_SOURCES \"URL#PLACE …\"")
    if SOCKET:
        # The host closes standard input when a process is to end.
        threading.Thread(target=lambda: (sys.stdin.read(), os._exit(0)), daemon=True).start()
    when_ready()
    threading.Thread(target=feed_for_ever, daemon=True).start()
    if SOCKET:
        Server(SOCKET, Handler).serve_forever()
    http.server.ThreadingHTTPServer(("0.0.0.0", 8080), Handler).serve_forever()


if __name__ == "__main__":
    main()
