//! The client in JavaScript with its types for TypeScript: node's own modules alone, and nothing to be built.

use std::fmt::Write as _;

use super::model::{Answer, Api, Member, Operation, Type};

/// The program.
pub(super) fn client(api: &Api) -> String {
    let mut out = HEAD.to_owned();
    for operation in &api.operations {
        out += &method(operation);
    }
    out += "}\n";
    out
}

/// `generate_key` as `generateKey`.
fn camel(name: &str) -> String {
    let mut words = name.split('_');
    let mut out = words.next().unwrap_or_default().to_owned();
    for word in words {
        let (first, rest) = word.split_at(word.len().min(1));
        out += &first.to_uppercase();
        out += rest;
    }
    out
}

fn arguments(operation: &Operation) -> Vec<String> {
    let mut arguments = operation.places.clone();
    if operation.asks.is_some() {
        arguments.push("body".to_owned());
    }
    if !operation.query.is_empty() {
        arguments.push("query = {}".to_owned());
    }
    arguments
}

fn method(operation: &Operation) -> String {
    let mut path = operation.path.clone();
    for place in &operation.places {
        path = path.replace(&format!("{{{place}}}"), &format!("${{encodeURIComponent({place})}}"));
    }
    let query = if operation.query.is_empty() { "" } else { " + search(query)" };
    let body = if operation.asks.is_some() { "body" } else { "undefined" };
    let (kind, call) = match &operation.gives {
        Answer::Nothing => ("async ", "await this.#send"),
        Answer::Text => ("async ", "return await this.#send"),
        Answer::Json(_) => ("async ", "return JSON.parse(await this.#send"),
        Answer::Lines(_) => ("async *", "yield* this.#lines"),
    };
    let unready = if operation.answers_unready { ", true" } else { "" };
    let end = if matches!(operation.gives, Answer::Json(_)) { "))" } else { ")" };
    format!(
        "\n  /** {} `{} {}` */\n  {kind}{}({}) {{\n    {call}(\"{}\", `{path}`{query}, {body}{unready}{end};\n  }}\n",
        operation.about,
        operation.method,
        operation.path,
        camel(&operation.name),
        arguments(operation).join(", "),
        operation.method,
    )
}

/// Its types.
pub(super) fn types(api: &Api) -> String {
    let mut out = TYPES.to_owned();
    for shape in &api.shapes {
        let _ = write!(out, "\n/** {} */\nexport interface {} {{\n", shape.about, shape.name);
        for Member { name, of, is_required } in &shape.members {
            let mark = if *is_required { "" } else { "?" };
            let _ = writeln!(out, "  {name}{mark}: {};", written(of));
        }
        out += "}\n";
    }
    out += CLASS_TYPES;
    for operation in &api.operations {
        let _ = write!(out, "\n  /** {} `{} {}` */\n", operation.about, operation.method, operation.path);
        let _ = writeln!(out, "  {};", signature(operation));
    }
    out += "}\n";
    out
}

fn signature(operation: &Operation) -> String {
    let mut arguments: Vec<String> = operation.places.iter().map(|place| format!("{place}: string")).collect();
    arguments.extend(operation.asks.iter().map(|asks| format!("body: {}", written(asks))));
    if !operation.query.is_empty() {
        let parts = operation.query.iter().map(|part| format!("{}?: {}", part.name, written(&part.of)));
        arguments.push(format!("query?: {{ {} }}", parts.collect::<Vec<_>>().join("; ")));
    }
    let gives = match &operation.gives {
        Answer::Nothing => "Promise<void>".to_owned(),
        Answer::Text => "Promise<string>".to_owned(),
        Answer::Json(of) => format!("Promise<{}>", written(of)),
        Answer::Lines(of) => format!("AsyncGenerator<{}, void, void>", written(of)),
    };
    format!("{}({}): {gives}", camel(&operation.name), arguments.join(", "))
}

fn written(of: &Type) -> String {
    match of {
        Type::Any => "unknown".to_owned(),
        Type::Text => "string".to_owned(),
        Type::Hex => "Hex".to_owned(),
        Type::Base64 => "Base64".to_owned(),
        Type::Integer => "number".to_owned(),
        Type::Boolean => "boolean".to_owned(),
        Type::Words(words) => words.iter().map(|word| format!("\"{word}\"")).collect::<Vec<_>>().join(" | "),
        Type::List(of) => format!("Array<{}>", written(of)),
        Type::ByName(of) => format!("Record<string, {}>", written(of)),
        Type::Named(name) => name.clone(),
        Type::Nullable(of) => format!("{} | null", written(of)),
    }
}

const HEAD: &str = r#"// Made by `cargo xtask clients` of spec/openapi.json: change that, not this.
// A client of Freehold's local API: what an app may ask of the guest agent of its instance.
import http from "node:http";

/** The guest refused: a status, a stable code (empty on Oasis's paths), and a sentence. */
export class Refused extends Error {
  constructor(status, text) {
    let error = { code: "", message: text };
    try {
      const told = JSON.parse(text).error;
      if (typeof told.code === "string") error = told;
    } catch {}
    super(`${status} ${error.code}: ${error.message}`);
    this.name = "Refused";
    this.status = status;
    this.code = error.code;
  }
}

// What a guest refuses with that passes: somebody else holds the lease, or the chain, or a new guest, is not heard of yet.
const PASSING = ["lease_held", "lease_lost", "not_serving", "unavailable"];
const PAUSE_MS = 200;

function search(query) {
  const given = Object.entries(query).filter(([, value]) => value !== undefined);
  const text = new URLSearchParams(given.map(([name, value]) => [name, String(value)])).toString();
  return text && `?${text}`;
}

async function whole(answer) {
  const pieces = [];
  for await (const piece of answer) pieces.push(piece);
  return Buffer.concat(pieces).toString();
}

/** A client of one guest; without a path, of the socket that FREEHOLD_LOCAL_API names. */
export class Client {
  #path;
  #timeout;

  constructor(path = process.env.FREEHOLD_LOCAL_API, timeout = 60_000) {
    if (!path) throw new Error("FREEHOLD_LOCAL_API names no socket");
    this.#path = path;
    this.#timeout = timeout;
  }

  async #open(method, path, body, unready = false) {
    const text = method === "GET" ? undefined : JSON.stringify(body ?? {});
    const headers = text === undefined ? {} : { "content-type": "application/json", "content-length": Buffer.byteLength(text) };
    const answer = await new Promise((resolve, reject) => {
      const request = http.request({ socketPath: this.#path, method, path, headers, agent: false, timeout: this.#timeout });
      request.on("timeout", () => request.destroy(new Error("the guest does not answer in time")));
      request.on("error", reject);
      request.on("response", resolve);
      request.end(text);
    });
    const isGood = (answer.statusCode >= 200 && answer.statusCode < 300) || (unready && answer.statusCode === 503);
    if (!isGood) throw new Refused(answer.statusCode, await whole(answer));
    return answer;
  }

  async #send(method, path, body, unready) {
    return await whole(await this.#open(method, path, body, unready));
  }

  async *#lines(method, path, body) {
    const answer = await this.#open(method, path, body);
    let rest = "";
    answer.setEncoding("utf8");
    try {
      for await (const piece of answer) {
        const lines = (rest + piece).split("\n");
        rest = lines.pop();
        for (const line of lines) yield JSON.parse(line);
      }
    } finally {
      answer.destroy();
    }
  }

  async *leading(name, lengthS = 60) {
    const waitS = Math.floor(Math.min(25, this.#timeout / 2000));
    for (;;) {
      let isLeft = false;
      try {
        let lease = await this.acquireLease(name, { length_s: lengthS, wait_s: waitS });
        while (lease.held) {
          isLeft = true;
          yield lease;
          isLeft = false;
          lease = await this.lease(name);
        }
      } catch (error) {
        // An error without a code of ours is the socket's: a guest that is replaced.
        if (error instanceof Refused && !PASSING.includes(error.code)) throw error;
      } finally {
        if (isLeft) await this.releaseLease(name);
      }
      await new Promise((resolve) => setTimeout(resolve, PAUSE_MS));
    }
  }
"#;

const TYPES: &str = r"// Made by `cargo xtask clients` of spec/openapi.json: change that, not this.

/** Bytes in hex, without 0x in answers. */
export type Hex = string;
/** Bytes in padded standard base64. */
export type Base64 = string;
";

const CLASS_TYPES: &str = r#"
/** The guest refused: a status, a stable code (empty on Oasis's paths), and a sentence. */
export class Refused extends Error {
  readonly status: number;
  readonly code: string;
}

/** A client of one guest. */
export class Client {
  /** Without a path, of the socket that FREEHOLD_LOCAL_API names; the longest silence in milliseconds. */
  constructor(path?: string, timeout?: number);
  /**
   * Waits until this instance holds a lease, and gives the lease at each step for as long as it is held; where it is lost, waits anew.
   * Of all instances of the app one is in such a loop at a time, but for the step that it is in when the lease ends: look at `fence`,
   * which rises with each holder. Whoever leaves the loop lets the lease go.
   */
  leading(name: string, lengthS?: number): AsyncGenerator<Lease, void, void>;
"#;
