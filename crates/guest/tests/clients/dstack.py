"""The unmodified PyPI client dstack-sdk against a guest: argument 1 is its socket. What it gives is checked here by other
libraries: certificates by `cryptography`, signature chains by `eth_keys`."""

import asyncio
import hashlib
import sys
import warnings

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_private_key
from dstack_sdk import AsyncDstackClient, DstackClient, TappdClient
from eth_keys import keys
from eth_utils import keccak

socket = sys.argv[1]
warnings.simplefilter("ignore")
c = DstackClient(socket)
assert c.is_reachable()
assert c.version().rev == "freehold"


def recovered(message: bytes, signature: bytes) -> keys.PublicKey:
    return keys.Signature(signature).recover_public_key_from_msg_hash(keccak(message))


# Info: registers, events, and who gives keys.
info = c.info()
assert len(bytes.fromhex(info.app_id)) == 20 and info.app_name.startswith("rofl1")
registers = [info.tcb_info.mrtd, info.tcb_info.rtmr0, info.tcb_info.rtmr1, info.tcb_info.rtmr2, info.tcb_info.rtmr3]
assert all(len(bytes.fromhex(register)) == 48 for register in registers)
assert info.mr_aggregated == hashlib.sha256(bytes.fromhex("".join(registers))).hexdigest()
assert len(bytes.fromhex(info.compose_hash)) == 32

# Keys: the same path, the same key; the chain leads over the app key to the instance's account.
key = c.get_key("wallet", "ethereum")
assert key.decode_key() == c.get_key("wallet", "other").decode_key() != c.get_key("wallets").decode_key()
public = keys.PrivateKey(key.decode_key()).public_key.to_compressed_bytes()
by_app, by_account = key.decode_signature_chain()
app_key = recovered(f"ethereum:{public.hex()}".encode(), by_app)
account = recovered(b"dstack-kms-issued:" + bytes.fromhex(info.app_id) + app_key.to_compressed_bytes(), by_account)
for algorithm in ("ed25519", "k256"):
    assert len(c.get_key("wallet", algorithm=algorithm).decode_key()) == 32

# Signatures.
for algorithm, data in (("ed25519", b"text"), ("secp256k1", b"text"), ("secp256k1_prehashed", bytes(range(32)))):
    signed = c.sign(algorithm, data)
    signature, key_chain, issued = signed.decode_signature_chain()
    assert signature == signed.decode_signature()
    assert recovered(f"signing:{signed.public_key}".encode(), key_chain) == app_key
    assert recovered(b"dstack-kms-issued:" + bytes.fromhex(info.app_id) + app_key.to_compressed_bytes(), issued) == account
    assert c.verify(algorithm, data, signed.decode_signature(), signed.decode_public_key()).valid
    assert not c.verify(algorithm, data[:-1] + b"!", signed.decode_signature(), signed.decode_public_key()).valid
    if algorithm == "ed25519":
        ed25519.Ed25519PublicKey.from_public_bytes(signed.decode_public_key()).verify(signature, data)

# Quotes: what is bound, and a log that replays to the register.
for data in (b"hello", "text", bytes(range(64))):
    quote = c.get_quote(data)
    wanted = (data.encode() if isinstance(data, str) else data).ljust(64, b"\0")
    assert quote.decode_quote()[568:632] == wanted == bytes.fromhex(quote.report_data)
    assert quote.replay_rtmrs()[3] == info.tcb_info.rtmr3
try:
    c.get_quote(hashlib.sha256(b"x").digest())
    raise AssertionError("32 bytes could be the statement of a keyset")
except Exception as error:
    assert "400" in str(error), error
c.emit_event("started", b"\x01")
later = c.get_quote(b"hello")
assert [event.event for event in later.decode_event_log()][-1] == "started"
assert later.replay_rtmrs()[3] == info.tcb_info.rtmr3
assert c.attest(b"hello").decode_attestation()[:2] == b"\0\0"

# Certificates.
tls = c.get_tls_key("example", ["example.com", "127.0.0.1"], usage_ra_tls=True, usage_client_auth=True, with_app_info=True)
leaf, authority = (x509.load_pem_x509_certificate(text.encode()) for text in tls.certificate_chain)
leaf.verify_directly_issued_by(authority)
authority.verify_directly_issued_by(authority)
assert x509.load_pem_x509_certificate(info.app_cert.encode()).public_key() == authority.public_key()
private = load_pem_private_key(tls.key.encode(), None)
assert isinstance(private, ec.EllipticCurvePrivateKey) and private.public_key() == leaf.public_key()
names = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
assert names.get_values_for_type(x509.DNSName) == ["example.com"] and len(names) == 2


def extension(tail: int) -> bytes:
    oid = x509.ObjectIdentifier(f"1.3.6.1.4.1.62397.1.{tail}")
    der = leaf.extensions.get_extension_for_oid(oid).value.value
    long = der[1] & 0x80
    return der[2 + (der[1] & 0x7F if long else 0) :]


spki = leaf.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
assert extension(1)[568:632] == hashlib.sha512(b"ratls-cert:" + spki).digest()
assert extension(3).hex() == info.app_id
assert c.get_tls_key("example").key != tls.key
assert c.get_tls_key("example", not_after=1_900_000_000).as_uint8array(32)

# The older API.
t = TappdClient(socket)
old = t.derive_key("/", "example", ["example.com"])
assert old.key == t.derive_key("/").key != t.derive_key("/other").key
hashed = t.tdx_quote(b"hello", "sha512")
assert hashed.decode_quote()[568:632] == hashlib.sha512(b"app-data:hello").digest()
assert t.tdx_quote(b"hello").decode_quote()[568:632] == b"hello".ljust(64, b"\0")
assert t.tdx_quote(b"hello", "raw").decode_quote()[568:632] == b"hello".rjust(64, b"\0")
assert t.info().tcb_info.rtmr3 == info.tcb_info.rtmr3


async def main() -> None:
    async with AsyncDstackClient(socket) as a:
        assert (await a.get_key("wallet")).decode_key() == key.decode_key()


asyncio.run(main())
print("dstack-sdk ok")
