"""Our own client against a guest: argument 1 is its socket, 2 the folder of the client, 3 `chain` where a real chain is behind it."""

import base64
import sys

sys.path.insert(0, sys.argv[2])
from freehold_local import Client, Refused  # noqa: E402

client = Client(sys.argv[1])
document = client.document()


def conforms(schema, value, place):
    """Whether a value has the shape that the document says, and no member more."""
    if "$ref" in schema:
        schema = document["components"]["schemas"][schema["$ref"].rsplit("/", 1)[1]]
    if "oneOf" in schema:
        return None if value is None else conforms(schema["oneOf"][0], value, place)
    kinds = schema.get("type", [])
    kinds = [kinds] if isinstance(kinds, str) else kinds
    python = {"string": str, "integer": int, "boolean": bool, "array": list, "object": dict, "null": type(None)}
    assert not kinds or type(value) in [python[kind] for kind in kinds], (place, schema, value)
    if isinstance(value, dict) and "properties" in schema:
        missing = set(schema["required"]) - set(value)
        unknown = set(value) - set(schema["properties"])
        assert not missing and not unknown, (place, missing, unknown)
        for name, member in value.items():
            conforms(schema["properties"][name], member, f"{place}.{name}")
    if isinstance(value, dict) and "additionalProperties" in schema:
        for name, member in value.items():
            conforms(schema["additionalProperties"], member, f"{place}.{name}")
    if isinstance(value, list) and "items" in schema:
        for member in value:
            conforms(schema["items"], member, f"{place}[]")
    assert "enum" not in schema or value in schema["enum"], (place, value)


def shaped(name, value):
    conforms({"$ref": f"/{name}"}, value, name)
    return value


def refused(call, status, code):
    try:
        call()
    except Refused as error:
        assert (error.status, error.code) == (status, code), error
    else:
        raise AssertionError(f"{code} was expected")


info = shaped("Instance", client.instance())
assert shaped("Health", client.health())["ready"]
key = shaped("Key", client.generate_key({"key_id": "demo key", "kind": "raw-256"}))
assert len(bytes.fromhex(key["key"])) == 32
assert key == client.generate_key({"key_id": "demo key", "kind": "raw-256", "scope": "app", "generation": 0})
refused(lambda: client.generate_key({"key_id": "k", "kind": "raw-256", "generation": 9}), 404, "not_found")
assert client.rofl_generate_key({"key_id": "demo key", "kind": "raw-256"})["key"] == key["key"]
assert client.rofl_app_id() == info["app_id"]
client.rofl_set_metadata({"a": "1", "b": "2"})
client.rofl_change_metadata({"b": "3"})
client.rofl_remove_metadata(["a"])
assert client.rofl_metadata() == {"b": "3"}
shaped("Generations", client.key_generations())
quote = shaped("Quote", client.quote({"nonce": "07" * 32}))
assert len(bytes.fromhex(quote["report_data"])) == 64
shaped("HpkeConfig", client.hpke_config())
refused(lambda: client.hpke_open({"enc": "09" * 32, "chunks": ["AAAA"]}), 422, "decryption_failed")
refused(lambda: client.receipt("none"), 404, "not_found")
shaped("Settings", client.settings())
shaped("Settings", client.reload_settings())
shaped("Environment", client.environment())
refused(lambda: client.setting("NONE"), 404, "not_found")
shaped("Lease", client.lease("writer"))
shaped("Counters", client.counters("writer"))
# Whoever leaves the loop lets the lease go, and the next one has a higher fence.
fences = [next(client.leading("leader", 10))["fence"] for _ in range(2)]
assert fences == [1, 2] and not client.lease("leader")["held"], fences
refused(lambda: next(client.leading("no name")), 400, "invalid_request")
refused(lambda: client.fetch({"url": "http://example.org/"}), 400, "invalid_request")
peers = shaped("Peers", client.peers())
assert all(peer["instance_id"] != info["instance_id"] for peer in peers["peers"])
nobody = {"plaintext": base64.b64encode(b"hello").decode()}
refused(lambda: client.seal_for_peer("00" * 32, nobody), 409, "peer_not_live")
refused(lambda: client.open_from_peer({"envelope": "AAAA"}), 400, "invalid_request")
refused(lambda: next(client.events()), 400, "invalid_request")
told = []
for line in client.events(from_=0, life=True, address=["c0" * 20, "c1" * 20]):
    shaped("EventLine", line)
    assert "error" not in line, line
    told += line["life"]
    if line["header"]["height"] >= info["header"]["height"]:
        break
if sys.argv[3:] == ["chain"]:
    own = [event for event in told if event.get("instance_id") == info["instance_id"]]
    assert [event["kind"] for event in own] == ["instance_registered"], told
    # A call that the guest makes again over proofs: a precompile, and a module that reads its entries.

    def simulate(address, data):
        size = bytes([0x40 + len(data)]) if len(data) < 24 else bytes([0x58, len(data)])
        fields = b"\xa3\x64data" + size + data + b"\x66caller\x54" + bytes(20) + b"\x67address\x54" + address
        return bytes.fromhex(client.rofl_query({"method": "evm.SimulateCall", "args": fields.hex()})["data"])

    assert simulate(bytes(19) + b"\x04", b"hello") == b"\x45hello"
    standing = simulate(bytes(17) + b"\xf4\xee\x01", bytes.fromhex("28c7a649" + info["instance_id"]))
    assert bytes.fromhex(info["subject"]["account"]) in standing, standing.hex()
    try:
        simulate(bytes(17) + b"\xf4\xee\x01", b"none")
    except Refused as error:
        assert error.status == 500 and "Query failed" in error.message, error
    else:
        raise AssertionError("a call that reverts has no answer")
print("python client ok")
