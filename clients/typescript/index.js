// Made by `cargo xtask clients` of spec/openapi.json: change that, not this.
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

  /** Raises a counter. `POST /freehold/v1/counters/increment` */
  async increment(body) {
    return JSON.parse(await this.#send("POST", `/freehold/v1/counters/increment`, body));
  }

  /** All counters under a lease. `GET /freehold/v1/counters/{lease}` */
  async counters(lease) {
    return JSON.parse(await this.#send("GET", `/freehold/v1/counters/${encodeURIComponent(lease)}`, undefined));
  }

  /** What the owner set, as environment variables. `GET /freehold/v1/environment` */
  async environment() {
    return JSON.parse(await this.#send("GET", `/freehold/v1/environment`, undefined));
  }

  /** Verified logs and the app's own life, from a height on and as they come. `GET /freehold/v1/events` */
  async *events(query = {}) {
    yield* this.#lines("GET", `/freehold/v1/events` + search(query), undefined);
  }

  /** Fetches over HTTPS, and signs what came. `POST /freehold/v1/fetch` */
  async fetch(body) {
    return JSON.parse(await this.#send("POST", `/freehold/v1/fetch`, body));
  }

  /** Whether the instance serves, and what it waits for. `GET /freehold/v1/health` */
  async health() {
    return JSON.parse(await this.#send("GET", `/freehold/v1/health`, undefined, true));
  }

  /** The key that bodies are sealed to. `GET /freehold/v1/hpke/config` */
  async hpkeConfig() {
    return JSON.parse(await this.#send("GET", `/freehold/v1/hpke/config`, undefined));
  }

  /** Opens a sealed body. `POST /freehold/v1/hpke/open` */
  async hpkeOpen(body) {
    return JSON.parse(await this.#send("POST", `/freehold/v1/hpke/open`, body));
  }

  /** Who the instance is, and what protects it. `GET /freehold/v1/instance` */
  async instance() {
    return JSON.parse(await this.#send("GET", `/freehold/v1/instance`, undefined));
  }

  /** A key of a scope, under a generation of the root key. `POST /freehold/v1/keys/generate` */
  async generateKey(body) {
    return JSON.parse(await this.#send("POST", `/freehold/v1/keys/generate`, body));
  }

  /** Generations of the app's root key; with `after`, once there is a newer one, or after a while. `GET /freehold/v1/keys/generations` */
  async keyGenerations(query = {}) {
    return JSON.parse(await this.#send("GET", `/freehold/v1/keys/generations` + search(query), undefined));
  }

  /** A lease. `GET /freehold/v1/leases/{name}` */
  async lease(name) {
    return JSON.parse(await this.#send("GET", `/freehold/v1/leases/${encodeURIComponent(name)}`, undefined));
  }

  /** Takes a lease, or renews it. `POST /freehold/v1/leases/{name}/acquire` */
  async acquireLease(name, body) {
    return JSON.parse(await this.#send("POST", `/freehold/v1/leases/${encodeURIComponent(name)}/acquire`, body));
  }

  /** Says that the app's data are the newest. `POST /freehold/v1/leases/{name}/adopt` */
  async adoptCounters(name, body) {
    return JSON.parse(await this.#send("POST", `/freehold/v1/leases/${encodeURIComponent(name)}/adopt`, body));
  }

  /** Lets a lease go. `POST /freehold/v1/leases/{name}/release` */
  async releaseLease(name) {
    return JSON.parse(await this.#send("POST", `/freehold/v1/leases/${encodeURIComponent(name)}/release`, undefined));
  }

  /** This document. `GET /freehold/v1/openapi.json` */
  async document() {
    return JSON.parse(await this.#send("GET", `/freehold/v1/openapi.json`, undefined));
  }

  /** The other live instances of the app. `GET /freehold/v1/peers` */
  async peers() {
    return JSON.parse(await this.#send("GET", `/freehold/v1/peers`, undefined));
  }

  /** Opens a message of a peer, once. `POST /freehold/v1/peers/open` */
  async openFromPeer(body) {
    return JSON.parse(await this.#send("POST", `/freehold/v1/peers/open`, body));
  }

  /** Seals a message for a peer. `POST /freehold/v1/peers/{id}/seal` */
  async sealForPeer(id, body) {
    return JSON.parse(await this.#send("POST", `/freehold/v1/peers/${encodeURIComponent(id)}/seal`, body));
  }

  /** A quote over the keyset, for a nonce. `POST /freehold/v1/quote` */
  async quote(body) {
    return JSON.parse(await this.#send("POST", `/freehold/v1/quote`, body));
  }

  /** Signs and keeps a receipt. `POST /freehold/v1/receipts/append` */
  async appendReceipt(body) {
    return JSON.parse(await this.#send("POST", `/freehold/v1/receipts/append`, body));
  }

  /** A receipt. `GET /freehold/v1/receipts/{id}` */
  async receipt(id) {
    return JSON.parse(await this.#send("GET", `/freehold/v1/receipts/${encodeURIComponent(id)}`, undefined));
  }

  /** Where a receipt stands in the log. `GET /freehold/v1/receipts/{id}/inclusion` */
  async inclusion(id) {
    return JSON.parse(await this.#send("GET", `/freehold/v1/receipts/${encodeURIComponent(id)}/inclusion`, undefined));
  }

  /** Looks at the chain for a newer set, now. `POST /freehold/v1/reload` */
  async reloadSettings() {
    return JSON.parse(await this.#send("POST", `/freehold/v1/reload`, undefined));
  }

  /** What the owner set, without values; with `after`, once there is a newer set, or after a while. `GET /freehold/v1/settings` */
  async settings(query = {}) {
    return JSON.parse(await this.#send("GET", `/freehold/v1/settings` + search(query), undefined));
  }

  /** One value. `GET /freehold/v1/settings/{name}` */
  async setting(name) {
    return JSON.parse(await this.#send("GET", `/freehold/v1/settings/${encodeURIComponent(name)}`, undefined));
  }

  /** The app's id. `GET /rofl/v1/app/id` */
  async roflAppId() {
    return await this.#send("GET", `/rofl/v1/app/id`, undefined);
  }

  /** A key of the app by its name. `POST /rofl/v1/keys/generate` */
  async roflGenerateKey(body) {
    return JSON.parse(await this.#send("POST", `/rofl/v1/keys/generate`, body));
  }

  /** Removes metadata by its keys. `DELETE /rofl/v1/metadata` */
  async roflRemoveMetadata(body) {
    await this.#send("DELETE", `/rofl/v1/metadata`, body);
  }

  /** The instance's metadata. `GET /rofl/v1/metadata` */
  async roflMetadata() {
    return JSON.parse(await this.#send("GET", `/rofl/v1/metadata`, undefined));
  }

  /** Replaces all metadata. `POST /rofl/v1/metadata` */
  async roflSetMetadata(body) {
    await this.#send("POST", `/rofl/v1/metadata`, body);
  }

  /** Adds or changes metadata. `PUT /rofl/v1/metadata` */
  async roflChangeMetadata(body) {
    await this.#send("PUT", `/rofl/v1/metadata`, body);
  }

  /** Asks the chain; the answer is proven. `POST /rofl/v1/query` */
  async roflQuery(body) {
    return JSON.parse(await this.#send("POST", `/rofl/v1/query`, body));
  }

  /** Signs and submits a transaction, within the owner's limits. `POST /rofl/v1/tx/sign-submit` */
  async roflSignSubmit(body) {
    return JSON.parse(await this.#send("POST", `/rofl/v1/tx/sign-submit`, body));
  }
}
