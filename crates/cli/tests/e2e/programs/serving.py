"""What programs of tests share: questions to the guest, and answers on the app's socket until the host ends."""

import http.client
import http.server
import json
import os
import socket
import socketserver
import sys
import threading


class Guest(http.client.HTTPConnection):
    """The local API: HTTP over a UNIX socket."""

    def __init__(self):
        super().__init__("guest", timeout=20)

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.connect(os.environ["FREEHOLD_LOCAL_API"])


def ask(method, path, body=None):
    """Asks the guest: its answer, read as JSON."""
    guest = Guest()
    guest.request(method, path, None if body is None else json.dumps(body))
    return json.loads(guest.getresponse().read())


def serve(answer):
    """Answers each request with what `answer` makes of its path, its headers and its body (None where there is none), as JSON."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            length = int(self.headers.get("content-length", 0))
            asked = json.loads(self.rfile.read(length)) if length else None
            body = json.dumps(answer(self.path, self.headers, asked)).encode()
            self.send_response(200)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        do_POST = do_GET

        def address_string(self):
            return "client"

        def log_message(self, *_):
            pass

    class Server(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
        daemon_threads = True

    threading.Thread(target=lambda: (sys.stdin.read(), os._exit(0)), daemon=True).start()
    Server(os.environ["FREEHOLD_APP_SOCKET"], Handler).serve_forever()
