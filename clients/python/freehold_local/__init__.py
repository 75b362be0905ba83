# Made by `cargo xtask clients` of spec/openapi.json: change that, not this.
"""A client of Freehold's local API: what an app may ask of the guest agent of its instance.

`Client()` finds the socket in FREEHOLD_LOCAL_API. Bodies are JSON: hex and base64 stay texts. A refusal is `Refused`.
"""

import http.client
import json
import os
import socket
import time
import urllib.parse
from typing import Any, Iterator, Literal, NotRequired, Optional, TypedDict

__version__ = "0.1.0"

Hex = str
Base64 = str

# What a guest refuses with that passes: somebody else holds the lease, or the chain, or a new guest, is not heard of yet.
_PASSING = ("lease_held", "lease_lost", "not_serving", "unavailable")
_PAUSE_S = 0.2

# The batch that the app's data are of.
AdoptAsk = TypedDict("AdoptAsk", {
    "sequence": int,
})

# Where the chain holds a log's root.
Anchor = TypedDict("Anchor", {
    "height": int,
    "index": int,
})

# A durable receipt (spec/receipt.md).
AppendedReceipt = TypedDict("AppendedReceipt", {
    "receipt": Any,
    "sequence": int,
})

# What protects an instance.
Capabilities = TypedDict("Capabilities", {
    "encrypted_disk": bool,
    "hardware": bool,
    "isolation": str,
    "measured": bool,
    "provider": str,
    "tee": str,
})

# All counters under a lease.
Counters = TypedDict("Counters", {
    "fence": int,
    "header": "Header",
    "lease": str,
    "sequence": int,
    "values": dict[str, int],
})

# What the owner set, as environment variables.
Environment = TypedDict("Environment", {
    "environment": dict[str, Base64],
    "generation": int,
    "missing": NotRequired[list[str]],
})

# All that was asked for up to and with this header was told; or why the stream ends.
EventLine = TypedDict("EventLine", {
    "error": NotRequired["RefusalReason"],
    "header": NotRequired["Header"],
    "life": NotRequired[list["LifeEvent"]],
    "logs": NotRequired[list["Log"]],
})

# What to fetch over HTTPS.
FetchAsk = TypedDict("FetchAsk", {
    "body": NotRequired[Optional[Base64]],
    "body_bytes_max": NotRequired[Optional[int]],
    "headers": NotRequired[list[list[str]]],
    "method": NotRequired[Literal["GET", "POST"]],
    "roots": NotRequired[list[Base64]],
    "timeout_ms": NotRequired[Optional[int]],
    "url": str,
})

# What an instance says of one exchange (spec/fetch.md).
FetchRecord = TypedDict("FetchRecord", {
    "app_id": str,
    "block_hash": Hex,
    "certificates": Hex,
    "chain_id": int,
    "genesis_hash": Hex,
    "height": int,
    "instance_id": Hex,
    "method": Literal["GET", "POST"],
    "request_body": Hex,
    "request_headers": Hex,
    "response_body": Hex,
    "roots": Hex,
    "status": int,
    "time_unix_s": int,
    "url": str,
})

# What came, and the account's signature under the record.
Fetched = TypedDict("Fetched", {
    "body": Base64,
    "format": str,
    "headers": list[list[str]],
    "record": "FetchRecord",
    "signature": Hex,
})

# Generations of the app's root key.
Generations = TypedDict("Generations", {
    "newest": int,
    "previous": Optional[int],
    "previous_until": int,
})

# A certified header.
Header = TypedDict("Header", {
    "block_hash": Hex,
    "height": int,
    "time_unix_s": int,
})

# Whether the instance serves, and what it waits for.
Health = TypedDict("Health", {
    "anchored": int,
    "expires_at": int,
    "ready": bool,
    "reason": Optional[str],
    "receipts": int,
    "stage": Literal["waiting-for-chain", "registering", "waiting-for-keys", "disk-refused", "serving", "stopped"],
})

# The key that bodies are sealed to.
HpkeConfig = TypedDict("HpkeConfig", {
    "key_config": Hex,
})

# Encapsulated key and chunks of a sealed body.
HpkeOpenAsk = TypedDict("HpkeOpenAsk", {
    "chunks": list[Base64],
    "enc": Hex,
})

# What was sealed; secret.
HpkeOpened = TypedDict("HpkeOpened", {
    "exported_secret": Hex,
    "plaintext": Base64,
})

# Where a receipt stands in the log.
Inclusion = TypedDict("Inclusion", {
    "anchor": Optional["Anchor"],
    "instance_id": Hex,
    "leaf": Hex,
    "path": list[Hex],
    "root": Hex,
    "sequence": int,
    "size": int,
})

# Which counter, and by how much.
IncrementAsk = TypedDict("IncrementAsk", {
    "by": NotRequired[int],
    "counter": str,
    "lease": str,
})

# A counter's value that no other increment got.
Incremented = TypedDict("Incremented", {
    "fence": int,
    "header": "Header",
    "sequence": int,
    "value": int,
})

# Who the instance is, and what protects it.
Instance = TypedDict("Instance", {
    "app_id": str,
    "capabilities": "Capabilities",
    "chain_id": int,
    "expires_at": int,
    "genesis_hash": Hex,
    "header": "Header",
    "instance_id": Hex,
    "keyset": "Keyset",
    "keyset_digest": Hex,
    "network_key": Hex,
    "registered": bool,
    "subject": "Subject",
    "trust_domain": str,
})

# A key; secret.
Key = TypedDict("Key", {
    "generation": int,
    "key": Hex,
})

# Which key: of the newest generation and of scope app, where nothing else is said.
KeyAsk = TypedDict("KeyAsk", {
    "generation": NotRequired[Optional[int]],
    "key_id": str,
    "kind": Literal["raw-256", "raw-384", "ed25519", "secp256k1"],
    "scope": NotRequired[Literal["app", "provider", "instance", "service"]],
})

# Public keys of an instance (spec/keyset.md); its RFC 8785 form is what the digest covers.
Keyset = TypedDict("Keyset", {
    "e2ee_public_keys": list["PublicKey"],
    "not_after": int,
    "receipt_signing_keys": list["PublicKey"],
    "subject": str,
    "tls_public_keys": list[Any],
})

# A lease as the chain shows it, and what this instance has of it.
Lease = TypedDict("Lease", {
    "account": Optional[Hex],
    "disk": Optional["LeaseDisk"],
    "expires_at": int,
    "fence": int,
    "header": "Header",
    "held": bool,
    "holder": Optional[Hex],
    "name": str,
})

# How long, and how long to wait for it.
LeaseAsk = TypedDict("LeaseAsk", {
    "length_s": NotRequired[int],
    "wait_s": NotRequired[int],
})

# The disk's memory of a lease's counters beside the chain's.
LeaseDisk = TypedDict("LeaseDisk", {
    "chain_sequence": int,
    "disk_sequence": int,
    "state": Literal["current", "behind"],
})

# What happened to the app; members beside the kind are those of the kind (spec/events.md).
LifeEvent = TypedDict("LifeEvent", {
    "account": NotRequired[Hex],
    "code": NotRequired[int],
    "context": NotRequired[str],
    "expires_at": NotRequired[int],
    "generation": NotRequired[int],
    "instance_id": NotRequired[Hex],
    "kind": str,
    "owner": NotRequired[Hex],
    "previous_until": NotRequired[int],
    "subject": NotRequired[Hex],
    "subject_kind": NotRequired[int],
    "version": NotRequired[int],
})

# A log of a contract.
Log = TypedDict("Log", {
    "address": Hex,
    "data": Hex,
    "log_index": int,
    "topics": list[Hex],
    "transaction_hash": Hex,
})

# An event that extended a runtime register.
MeasuredEvent = TypedDict("MeasuredEvent", {
    "digest": Hex,
    "event": str,
    "event_payload": Hex,
    "event_type": int,
    "imr": int,
})

# Another live instance, as the chain proves it.
Peer = TypedDict("Peer", {
    "account": Hex,
    "expires_at": int,
    "instance_id": Hex,
    "keyset": Optional["Keyset"],
    "keyset_digest": Hex,
    "measurement": Hex,
    "opened_at": int,
    "provider": Hex,
    "trust_domain": str,
})

# A message of a peer.
PeerOpenAsk = TypedDict("PeerOpenAsk", {
    "envelope": Base64,
})

# The message, and whose it is.
PeerOpened = TypedDict("PeerOpened", {
    "from": Hex,
    "plaintext": Base64,
    "sealed_at": int,
    "sequence": int,
})

# A message for a peer.
PeerSealAsk = TypedDict("PeerSealAsk", {
    "plaintext": Base64,
})

# The message, for nobody but the peer.
PeerSealed = TypedDict("PeerSealed", {
    "envelope": Base64,
    "sequence": int,
})

# The other live instances of the app.
Peers = TypedDict("Peers", {
    "header": "Header",
    "peers": list["Peer"],
})

# A public key of a keyset.
PublicKey = TypedDict("PublicKey", {
    "algo": str,
    "key_id": str,
    "public_key": Hex,
})

# Evidence that binds the keyset.
Quote = TypedDict("Quote", {
    "event_log": list["MeasuredEvent"],
    "quote": Hex,
    "report_data": Hex,
    "tee_type": str,
})

# A nonce of 32 bytes, or none.
QuoteAsk = TypedDict("QuoteAsk", {
    "nonce": Optional[Hex],
})

# What a receipt shall say.
ReceiptAsk = TypedDict("ReceiptAsk", {
    "access": Optional[Hex],
    "chat_id": Optional[str],
    "endpoint": str,
    "events": list[Any],
    "method": str,
    "model": Optional[str],
    "receipt_id": str,
})

# Why nothing was done.
Refusal = TypedDict("Refusal", {
    "error": "RefusalReason",
})

# A stable code, and a sentence for people.
RefusalReason = TypedDict("RefusalReason", {
    "code": str,
    "message": str,
})

# An answer in CBOR.
RoflData = TypedDict("RoflData", {
    "data": Hex,
})

# A key; secret.
RoflKey = TypedDict("RoflKey", {
    "key": Hex,
})

# Which key.
RoflKeyAsk = TypedDict("RoflKeyAsk", {
    "key_id": str,
    "kind": Literal["raw-256", "raw-384", "ed25519", "secp256k1"],
})

# A question to the chain, its arguments in CBOR.
RoflQueryAsk = TypedDict("RoflQueryAsk", {
    "args": Hex,
    "method": str,
})

# A transaction to sign and submit.
RoflTransactionAsk = TypedDict("RoflTransactionAsk", {
    "encrypt": NotRequired[bool],
    "tx": Any,
})

# A setting without its value.
Setting = TypedDict("Setting", {
    "name": str,
    "secret": bool,
    "set_at": int,
    "state": Literal["open", "unreadable"],
})

# One value; secret where the setting is.
SettingValue = TypedDict("SettingValue", {
    "generation": int,
    "name": str,
    "secret": bool,
    "set_at": int,
    "value": Base64,
})

# What the owner set, without values.
Settings = TypedDict("Settings", {
    "changed_at": int,
    "generation": int,
    "header": "Header",
    "settings": list["Setting"],
    "spending": Optional["Spending"],
})

# Limits on what the account spends for its app; amounts in decimal.
Spending = TypedDict("Spending", {
    "contracts": list[Hex],
    "may_create": bool,
    "per_day_count": int,
    "per_day_wei": str,
    "per_transaction_wei": str,
})

# A receipt, and whose it is.
StoredReceipt = TypedDict("StoredReceipt", {
    "access": Optional[Hex],
    "receipt": Any,
})

# What the id of an instance is the digest of.
Subject = TypedDict("Subject", {
    "account": Hex,
    "app_id": str,
    "chain_id": int,
    "config_digest": Hex,
    "genesis_hash": Hex,
    "provider": Hex,
    "transport_key": Hex,
})


class Refused(Exception):
    """The guest refused: a status, a stable code (empty on Oasis's paths), and a sentence."""

    def __init__(self, status: int, body: bytes) -> None:
        self.status = status
        try:
            error = json.loads(body)["error"]
            self.code, self.message = str(error["code"]), str(error["message"])
        except (ValueError, KeyError, TypeError):
            self.code, self.message = "", body.decode(errors="replace")
        super().__init__(f"{status} {self.code}: {self.message}")


class _Connection(http.client.HTTPConnection):
    """HTTP over a UNIX socket."""

    def __init__(self, path: str, timeout: float) -> None:
        super().__init__("localhost", timeout=timeout)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)


def _place(value: str) -> str:
    return urllib.parse.quote(value, safe="")


def _query(parts: dict[str, Any]) -> str:
    def text(value: Any) -> str:
        if isinstance(value, bool):
            return "true" if value else "false"
        return ",".join(map(str, value)) if isinstance(value, list) else str(value)

    given = {name: text(value) for name, value in parts.items() if value is not None}
    return "?" + urllib.parse.urlencode(given) if given else ""


class Client:
    """A client of one guest. It may be used by many threads: each call has a connection of its own."""

    def __init__(self, path: Optional[str] = None, timeout: float = 60.0) -> None:
        self._path = path or os.environ["FREEHOLD_LOCAL_API"]
        self._timeout = timeout

    def _open(
        self, method: str, path: str, body: Any, unready: bool
    ) -> tuple[_Connection, http.client.HTTPResponse]:
        connection = _Connection(self._path, self._timeout)
        try:
            text = None if method == "GET" else json.dumps({} if body is None else body)
            connection.request(method, path, text, {"Content-Type": "application/json"})
            answer = connection.getresponse()
            if answer.status // 100 != 2 and not (unready and answer.status == 503):
                raise Refused(answer.status, answer.read())
            return connection, answer
        except BaseException:
            connection.close()
            raise

    def _send(self, method: str, path: str, body: Any, unready: bool = False) -> bytes:
        connection, answer = self._open(method, path, body, unready)
        try:
            return answer.read()
        finally:
            connection.close()

    def _text(self, method: str, path: str, body: Any) -> str:
        return self._send(method, path, body).decode()

    def _json(self, method: str, path: str, body: Any, unready: bool = False) -> Any:
        return json.loads(self._send(method, path, body, unready))

    def _lines(self, method: str, path: str, body: Any) -> Iterator[Any]:
        connection, answer = self._open(method, path, body, False)
        return self._read(connection, answer)

    @staticmethod
    def _read(connection: _Connection, answer: http.client.HTTPResponse) -> Iterator[Any]:
        try:
            for line in answer:
                yield json.loads(line)
        finally:
            connection.close()

    def leading(self, name: str, length_s: int = 60) -> "Iterator[Lease]":
        """Waits until this instance holds a lease, and gives the lease at each step for as long as it is held; where it is lost, waits
        anew. Of all instances of the app one is in such a loop at a time, but for the step that it is in when the lease ends: look at
        `fence`, which rises with each holder. Whoever leaves the loop lets the lease go."""
        while True:
            try:
                wait_s = int(min(25, self._timeout / 2))
                lease = self.acquire_lease(name, {"length_s": length_s, "wait_s": wait_s})
                while lease["held"]:
                    yield lease
                    lease = self.lease(name)
            except GeneratorExit:
                self.release_lease(name)
                raise
            except (Refused, OSError) as refused:
                if isinstance(refused, Refused) and refused.code not in _PASSING:
                    raise
            time.sleep(_PAUSE_S)

    def increment(self, body: IncrementAsk) -> Incremented:
        """Raises a counter. `POST /freehold/v1/counters/increment`"""
        return self._json("POST", "/freehold/v1/counters/increment", body)

    def counters(self, lease: str) -> Counters:
        """All counters under a lease. `GET /freehold/v1/counters/{lease}`"""
        return self._json("GET", f"/freehold/v1/counters/{_place(lease)}", None)

    def environment(self) -> Environment:
        """What the owner set, as environment variables. `GET /freehold/v1/environment`"""
        return self._json("GET", "/freehold/v1/environment", None)

    def events(self, *, from_: Optional[int] = None, address: Optional[list[Hex]] = None, topic0: Optional[list[Hex]] = None, topic1: Optional[list[Hex]] = None, topic2: Optional[list[Hex]] = None, topic3: Optional[list[Hex]] = None, life: Optional[bool] = None) -> Iterator[EventLine]:
        """Verified logs and the app's own life, from a height on and as they come. `GET /freehold/v1/events`"""
        return self._lines("GET", "/freehold/v1/events" + _query({"from": from_, "address": address, "topic0": topic0, "topic1": topic1, "topic2": topic2, "topic3": topic3, "life": life}), None)

    def fetch(self, body: FetchAsk) -> Fetched:
        """Fetches over HTTPS, and signs what came. `POST /freehold/v1/fetch`"""
        return self._json("POST", "/freehold/v1/fetch", body)

    def health(self) -> Health:
        """Whether the instance serves, and what it waits for. `GET /freehold/v1/health`"""
        return self._json("GET", "/freehold/v1/health", None, unready=True)

    def hpke_config(self) -> HpkeConfig:
        """The key that bodies are sealed to. `GET /freehold/v1/hpke/config`"""
        return self._json("GET", "/freehold/v1/hpke/config", None)

    def hpke_open(self, body: HpkeOpenAsk) -> HpkeOpened:
        """Opens a sealed body. `POST /freehold/v1/hpke/open`"""
        return self._json("POST", "/freehold/v1/hpke/open", body)

    def instance(self) -> Instance:
        """Who the instance is, and what protects it. `GET /freehold/v1/instance`"""
        return self._json("GET", "/freehold/v1/instance", None)

    def generate_key(self, body: KeyAsk) -> Key:
        """A key of a scope, under a generation of the root key. `POST /freehold/v1/keys/generate`"""
        return self._json("POST", "/freehold/v1/keys/generate", body)

    def key_generations(self, *, after: Optional[int] = None) -> Generations:
        """Generations of the app's root key; with `after`, once there is a newer one, or after a while. `GET /freehold/v1/keys/generations`"""
        return self._json("GET", "/freehold/v1/keys/generations" + _query({"after": after}), None)

    def lease(self, name: str) -> Lease:
        """A lease. `GET /freehold/v1/leases/{name}`"""
        return self._json("GET", f"/freehold/v1/leases/{_place(name)}", None)

    def acquire_lease(self, name: str, body: LeaseAsk) -> Lease:
        """Takes a lease, or renews it. `POST /freehold/v1/leases/{name}/acquire`"""
        return self._json("POST", f"/freehold/v1/leases/{_place(name)}/acquire", body)

    def adopt_counters(self, name: str, body: AdoptAsk) -> Lease:
        """Says that the app's data are the newest. `POST /freehold/v1/leases/{name}/adopt`"""
        return self._json("POST", f"/freehold/v1/leases/{_place(name)}/adopt", body)

    def release_lease(self, name: str) -> Lease:
        """Lets a lease go. `POST /freehold/v1/leases/{name}/release`"""
        return self._json("POST", f"/freehold/v1/leases/{_place(name)}/release", None)

    def document(self) -> Any:
        """This document. `GET /freehold/v1/openapi.json`"""
        return self._json("GET", "/freehold/v1/openapi.json", None)

    def peers(self) -> Peers:
        """The other live instances of the app. `GET /freehold/v1/peers`"""
        return self._json("GET", "/freehold/v1/peers", None)

    def open_from_peer(self, body: PeerOpenAsk) -> PeerOpened:
        """Opens a message of a peer, once. `POST /freehold/v1/peers/open`"""
        return self._json("POST", "/freehold/v1/peers/open", body)

    def seal_for_peer(self, id: str, body: PeerSealAsk) -> PeerSealed:
        """Seals a message for a peer. `POST /freehold/v1/peers/{id}/seal`"""
        return self._json("POST", f"/freehold/v1/peers/{_place(id)}/seal", body)

    def quote(self, body: QuoteAsk) -> Quote:
        """A quote over the keyset, for a nonce. `POST /freehold/v1/quote`"""
        return self._json("POST", "/freehold/v1/quote", body)

    def append_receipt(self, body: ReceiptAsk) -> AppendedReceipt:
        """Signs and keeps a receipt. `POST /freehold/v1/receipts/append`"""
        return self._json("POST", "/freehold/v1/receipts/append", body)

    def receipt(self, id: str) -> StoredReceipt:
        """A receipt. `GET /freehold/v1/receipts/{id}`"""
        return self._json("GET", f"/freehold/v1/receipts/{_place(id)}", None)

    def inclusion(self, id: str) -> Inclusion:
        """Where a receipt stands in the log. `GET /freehold/v1/receipts/{id}/inclusion`"""
        return self._json("GET", f"/freehold/v1/receipts/{_place(id)}/inclusion", None)

    def reload_settings(self) -> Settings:
        """Looks at the chain for a newer set, now. `POST /freehold/v1/reload`"""
        return self._json("POST", "/freehold/v1/reload", None)

    def settings(self, *, after: Optional[int] = None) -> Settings:
        """What the owner set, without values; with `after`, once there is a newer set, or after a while. `GET /freehold/v1/settings`"""
        return self._json("GET", "/freehold/v1/settings" + _query({"after": after}), None)

    def setting(self, name: str) -> SettingValue:
        """One value. `GET /freehold/v1/settings/{name}`"""
        return self._json("GET", f"/freehold/v1/settings/{_place(name)}", None)

    def rofl_app_id(self) -> str:
        """The app's id. `GET /rofl/v1/app/id`"""
        return self._text("GET", "/rofl/v1/app/id", None)

    def rofl_generate_key(self, body: RoflKeyAsk) -> RoflKey:
        """A key of the app by its name. `POST /rofl/v1/keys/generate`"""
        return self._json("POST", "/rofl/v1/keys/generate", body)

    def rofl_remove_metadata(self, body: list[str]) -> None:
        """Removes metadata by its keys. `DELETE /rofl/v1/metadata`"""
        self._send("DELETE", "/rofl/v1/metadata", body)

    def rofl_metadata(self) -> dict[str, str]:
        """The instance's metadata. `GET /rofl/v1/metadata`"""
        return self._json("GET", "/rofl/v1/metadata", None)

    def rofl_set_metadata(self, body: dict[str, str]) -> None:
        """Replaces all metadata. `POST /rofl/v1/metadata`"""
        self._send("POST", "/rofl/v1/metadata", body)

    def rofl_change_metadata(self, body: dict[str, str]) -> None:
        """Adds or changes metadata. `PUT /rofl/v1/metadata`"""
        self._send("PUT", "/rofl/v1/metadata", body)

    def rofl_query(self, body: RoflQueryAsk) -> RoflData:
        """Asks the chain; the answer is proven. `POST /rofl/v1/query`"""
        return self._json("POST", "/rofl/v1/query", body)

    def rofl_sign_submit(self, body: RoflTransactionAsk) -> RoflData:
        """Signs and submits a transaction, within the owner's limits. `POST /rofl/v1/tx/sign-submit`"""
        return self._json("POST", "/rofl/v1/tx/sign-submit", body)
