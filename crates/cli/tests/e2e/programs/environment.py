"""It answers with its environment, and with what it is told of its settings."""

import base64
import os

from serving import ask, serve


def answer(_path, _headers, _body):
    ask("POST", "/freehold/v1/reload", {})
    binary = ask("GET", "/freehold/v1/settings/BINARY").get("value", "")
    settings = ask("GET", "/freehold/v1/settings")
    return {"environment": dict(os.environ), "settings": settings, "binary": base64.b64decode(binary).hex()}


serve(answer)
