"""The unmodified PyPI client oasis-rofl-client against a guest: argument 1 is its socket, 2 the app id."""

import asyncio, sys
from oasis_rofl_client import RoflClient, AsyncRoflClient, KeyKind
sock, app = sys.argv[1], sys.argv[2]
c = RoflClient(sock)
assert c.get_app_id() == app, c.get_app_id()
k = c.generate_key("demo key")
assert len(bytes.fromhex(k.removeprefix("0x"))) == 32
assert k == c.generate_key("demo key", KeyKind.SECP256K1)
assert len(bytes.fromhex(c.generate_key("demo key", KeyKind.RAW_384).removeprefix("0x"))) == 48
c.set_metadata({"key_fingerprint": "a54027bff15a8726", "version": "1.0.0"})
assert c.get_metadata() == {"key_fingerprint": "a54027bff15a8726", "version": "1.0.0"}
async def main():
    a = AsyncRoflClient(sock)
    assert await a.get_app_id() == app
    assert await a.generate_key("demo key") == k
asyncio.run(main())
print("client ok")
