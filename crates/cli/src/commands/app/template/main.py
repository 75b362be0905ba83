"""An app: it takes a key from its guest and answers with the key's fingerprint."""

import hashlib
import http.client
import http.server
import json
import os
import socket
import socketserver
import sys
import threading
import time


class Guest(http.client.HTTPConnection):
    """The guest's local API: HTTP over a UNIX socket."""

    def __init__(self):
        super().__init__("guest", timeout=10)

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.connect(os.environ["FREEHOLD_LOCAL_API"])


def ask(method, path, body=None):
    """Asks the guest: status and text."""
    guest = Guest()
    guest.request(method, path, body and json.dumps(body), {"content-type": "application/json"})
    answer = guest.getresponse()
    return answer.status, answer.read().decode()


def when_ready():
    """Waits until the instance is registered and holds its keys."""
    while ask("GET", "/freehold/v1/health")[0] != 200:
        time.sleep(0.1)


def fingerprint():
    """The same for every instance of this app, and nobody else's: only the app gets the key."""
    status, text = ask("POST", "/rofl/v1/keys/generate", {"key_id": "demo", "kind": "raw-256"})
    if status != 200:
        raise RuntimeError(text)
    return hashlib.sha256(json.loads(text)["key"].encode()).hexdigest()[:16]


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        body = json.dumps({"app": ask("GET", "/rofl/v1/app/id")[1], "key": KEY}).encode()
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def address_string(self):
        return "client"


class Server(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
    daemon_threads = True


# The host closes standard input when the app is to end.
threading.Thread(target=lambda: (sys.stdin.read(), os._exit(0)), daemon=True).start()
when_ready()
KEY = fingerprint()
print("serving; key", KEY, flush=True)
Server(os.environ["FREEHOLD_APP_SOCKET"], Handler).serve_forever()
