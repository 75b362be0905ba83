"""It tries ways out, and tells what came of each."""

import base64
import http.client
import os
import socket
import ssl
import urllib.parse

from serving import ask, serve

LISTED, OTHER = int(open("listed").read()), int(open("other").read())
CERTIFICATE = ssl.PEM_cert_to_DER_cert(open("cert.pem").read())


def fetch(url):
    return ask("POST", "/freehold/v1/fetch", {"url": url, "roots": [base64.b64encode(CERTIFICATE).decode()]})


def tried(work):
    try:
        return work()
    except Exception as error:
        return str(error)


def direct(port):
    return socket.create_connection(("127.0.0.1", port), timeout=5).close()


def proxied(host, port):
    proxy = urllib.parse.urlsplit(os.environ["HTTPS_PROXY"])
    context = ssl.create_default_context(cadata=CERTIFICATE)
    client = http.client.HTTPSConnection(proxy.hostname, proxy.port, context=context, timeout=20)
    client.set_tunnel(host, port)
    client.request("GET", "/")
    return client.getresponse().read().decode()


def answer(path, headers, _body):
    if path == "/say":
        return {"said": headers["x-secret"]}
    return {
        "fetched": fetch(f"https://127.0.0.1:{LISTED}/price"),
        "refused": fetch(f"https://127.0.0.1:{OTHER}/price"),
        "name": fetch(f"https://localhost:{LISTED}/price"),
        "proxied": tried(lambda: proxied("127.0.0.1", LISTED)),
        "proxied_other": tried(lambda: proxied("127.0.0.1", OTHER)),
        "proxied_name": tried(lambda: proxied("localhost", LISTED)),
        "direct": tried(lambda: direct(LISTED)),
        "resolved": tried(lambda: socket.getaddrinfo("example.org", 443)),
        "all_proxy": os.environ["ALL_PROXY"],
    }


serve(answer)
