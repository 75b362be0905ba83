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
    result = await a.sign_submit({"to": "0x" + "77" * 20, "gas": 50000, "value": 2, "data": "0x0102"}, encrypt=False)
    assert result == {"ok": b""}, result
asyncio.run(main())
result = c.sign_submit({"to": "0x" + "77" * 20, "gas": 50000, "value": 1, "data": "0x0102"})
assert result == {"ok": b""}, result
result = c.sign_submit({"gas": 100000, "value": 0, "data": "0x6000"}, encrypt=False)
assert len(result["ok"]) == 20, result
result = c.sign_submit({"gas": 100000, "value": 0, "data": "0xfe"}, encrypt=False)
assert result["fail"]["module"] == "evm" and result["fail"]["code"] == 8, result
balance = c.query("evm.Balance", bytes.fromhex("a1676164647265737354") + bytes([9] * 20))
assert balance == bytes.fromhex("40"), balance
print("client ok")
