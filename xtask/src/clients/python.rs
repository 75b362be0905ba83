//! The client in Python: the standard library alone, typed dictionaries, one method for each operation.

use std::fmt::Write as _;

use super::model::{Answer, Api, Member, Operation, Type};

/// Words that no name in Python may be.
const KEYWORDS: [&str; 3] = ["from", "in", "is"];

/// The whole module.
pub(super) fn client(api: &Api) -> String {
    let mut out = HEAD.replace("VERSION", &api.version);
    for shape in &api.shapes {
        let _ = write!(out, "\n# {}\n{} = TypedDict(\"{}\", {{\n", shape.about, shape.name, shape.name);
        for Member { name, of, is_required } in &shape.members {
            let of = written(of, "\"");
            let of = if *is_required { of } else { format!("NotRequired[{of}]") };
            let _ = writeln!(out, "    \"{name}\": {of},");
        }
        out += "})\n";
    }
    out += CLASS;
    for operation in &api.operations {
        out += &method(operation);
    }
    out
}

/// A type; names of shapes in quotes where they may stand before their definition.
fn written(of: &Type, quote: &str) -> String {
    match of {
        Type::Any => "Any".to_owned(),
        Type::Text => "str".to_owned(),
        Type::Hex => "Hex".to_owned(),
        Type::Base64 => "Base64".to_owned(),
        Type::Integer => "int".to_owned(),
        Type::Boolean => "bool".to_owned(),
        Type::Words(words) => {
            format!("Literal[{}]", words.iter().map(|word| format!("\"{word}\"")).collect::<Vec<_>>().join(", "))
        }
        Type::List(of) => format!("list[{}]", written(of, quote)),
        Type::ByName(of) => format!("dict[str, {}]", written(of, quote)),
        Type::Named(name) => format!("{quote}{name}{quote}"),
        Type::Nullable(of) => format!("Optional[{}]", written(of, quote)),
    }
}

fn argument(name: &str) -> String {
    if KEYWORDS.contains(&name) { format!("{name}_") } else { name.to_owned() }
}

fn method(operation: &Operation) -> String {
    let mut arguments = vec!["self".to_owned()];
    arguments.extend(operation.places.iter().map(|place| format!("{}: str", argument(place))));
    arguments.extend(operation.asks.iter().map(|asks| format!("body: {}", written(asks, ""))));
    if !operation.query.is_empty() {
        arguments.push("*".to_owned());
        let optional = |part: &Member| format!("{}: Optional[{}] = None", argument(&part.name), written(&part.of, ""));
        arguments.extend(operation.query.iter().map(optional));
    }
    let gives = match &operation.gives {
        Answer::Nothing => "None".to_owned(),
        Answer::Text => "str".to_owned(),
        Answer::Json(of) => written(of, ""),
        Answer::Lines(of) => format!("Iterator[{}]", written(of, "")),
    };
    let mut path = format!("\"{}\"", operation.path);
    if !operation.places.is_empty() {
        for place in &operation.places {
            path = path.replace(&format!("{{{place}}}"), &format!("{{_place({})}}", argument(place)));
        }
        path.insert(0, 'f');
    }
    if !operation.query.is_empty() {
        let parts = operation.query.iter().map(|part| format!("\"{}\": {}", part.name, argument(&part.name)));
        let _ = write!(path, " + _query({{{}}})", parts.collect::<Vec<_>>().join(", "));
    }
    let body = if operation.asks.is_some() { "body" } else { "None" };
    let call = match &operation.gives {
        Answer::Nothing => "self._send",
        Answer::Text => "return self._text",
        Answer::Json(_) => "return self._json",
        Answer::Lines(_) => "return self._lines",
    };
    let unready = if operation.answers_unready { ", unready=True" } else { "" };
    format!(
        "\n    def {}({}) -> {gives}:\n        \"\"\"{} `{} {}`\"\"\"\n        {call}(\"{}\", {path}, {body}{unready})\n",
        operation.name,
        arguments.join(", "),
        operation.about,
        operation.method,
        operation.path,
        operation.method,
    )
}

const HEAD: &str = r#"# Made by `cargo xtask clients` of spec/openapi.json: change that, not this.
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

__version__ = "VERSION"

Hex = str
Base64 = str

# What a guest refuses with that passes: somebody else holds the lease, or the chain, or a new guest, is not heard of yet.
_PASSING = ("lease_held", "lease_lost", "not_serving", "unavailable")
_PAUSE_S = 0.2
"#;

const CLASS: &str = r#"

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
"#;
