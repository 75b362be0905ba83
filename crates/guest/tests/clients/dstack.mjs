// The unmodified npm client @phala/dstack-sdk against a guest: argument 1 is the folder of its node_modules, 2 the socket.
import assert from "node:assert/strict";
import { createHash, createPrivateKey, X509Certificate } from "node:crypto";
import { createRequire } from "node:module";
import { join } from "node:path";

const [modules, socket] = process.argv.slice(2);
const load = createRequire(join(modules, "package.json"));
const { DstackClient, TappdClient } = load("@phala/dstack-sdk");
const { secp256k1 } = load("@noble/curves/secp256k1");
const hex = (bytes) => Buffer.from(bytes).toString("hex");
console.warn = () => {};

const client = new DstackClient(socket);
assert.equal(await client.isReachable(), true);
assert.equal((await client.version()).rev, "freehold");
const info = await client.info();
assert.equal(info.tcb_info.rtmr3.length, 96);

const key = await client.getKey("wallet", "ethereum");
assert.equal(key.key.length, 32);
assert.deepEqual(key.key, (await client.getKey("wallet")).key);
assert.notDeepEqual(key.key, (await client.getKey("wallet", "", "ed25519")).key);
assert.deepEqual(key.signature_chain.map((signature) => signature.length), [65, 65]);

const digest = createHash("sha256").update("text").digest();
const signed = await client.sign("secp256k1", "text");
assert.equal(secp256k1.verify(signed.signature, digest, signed.public_key), true);
assert.deepEqual((await client.sign("secp256k1_prehashed", digest)).signature, signed.signature);
assert.equal(signed.signature_chain.length, 3);
assert.equal((await client.verify("secp256k1", "text", signed.signature, signed.public_key)).valid, true);
assert.equal((await client.verify("secp256k1", "tex", signed.signature, signed.public_key)).valid, false);

const quote = await client.getQuote("hello");
assert.equal(quote.quote.slice(568 * 2, 632 * 2), hex("hello").padEnd(128, "0"));
assert.equal(quote.replayRtmrs()[3], info.tcb_info.rtmr3);
await assert.rejects(client.getQuote(digest), /statement of a keyset/);
await client.emitEvent("from node", "payload");
const log = JSON.parse((await client.getQuote("hello")).event_log);
assert.equal(log.at(-1).event_payload, hex("payload"));
assert.equal((await client.attest("hello")).attestation.slice(0, 4), "0000");

const tls = await client.getTlsKey({ subject: "example", altNames: ["example.com"], usageRaTls: true });
const [leaf, authority] = tls.certificate_chain.map((text) => new X509Certificate(text));
assert.equal(leaf.verify(authority.publicKey), true);
assert.equal(leaf.checkHost("example.com"), "example.com");
assert.equal(leaf.checkPrivateKey(createPrivateKey(tls.key)), true);
assert.equal(tls.asUint8Array(32).length, 32);

const tappd = new TappdClient(socket);
assert.equal(await tappd.isReachable(), true);
assert.equal((await tappd.deriveKey("/")).key, (await tappd.deriveKey("/")).key);
const hashed = await tappd.tdxQuote("hello", "sha512");
assert.equal(hashed.quote.slice(568 * 2, 632 * 2), createHash("sha512").update("app-data:hello").digest("hex"));
console.log("@phala/dstack-sdk ok");
