// Our own client against a guest: argument 1 is its socket, 2 the client's file.
import assert from "node:assert/strict";
import { pathToFileURL } from "node:url";

const { Client, Refused } = await import(pathToFileURL(process.argv[3]).href);
const client = new Client(process.argv[2]);

const info = await client.instance();
assert.equal((await client.health()).ready, true);
const key = await client.generateKey({ key_id: "demo key", kind: "raw-256" });
assert.equal(key.key.length, 64);
assert.equal((await client.roflGenerateKey({ key_id: "demo key", kind: "raw-256" })).key, key.key);
assert.equal(await client.roflAppId(), info.app_id);
await client.roflSetMetadata({ a: "1" });
assert.deepEqual(await client.roflMetadata(), { a: "1" });
const refused = async (call, status, code) =>
  assert.rejects(call, (error) => error instanceof Refused && error.status === status && error.code === code);
await refused(client.generateKey({ key_id: "k", kind: "raw-256", generation: 9 }), 404, "not_found");
await refused(client.receipt("none"), 404, "not_found");
await refused(client.sealForPeer("00".repeat(32), { plaintext: "aGk=" }), 409, "peer_not_live");
await refused(client.openFromPeer({ envelope: "AAAA" }), 400, "invalid_request");
assert.ok(Array.isArray((await client.peers()).peers));
await refused(client.events().next(), 400, "invalid_request");
const fences = [];
while (fences.length < 2) {
  for await (const lease of client.leading("chief", 10)) {
    fences.push(lease.fence);
    break;
  }
}
assert.deepEqual(fences, [1, 2]);
assert.equal((await client.lease("chief")).held, false);
await refused(client.leading("no name").next(), 400, "invalid_request");
let seen = -1;
for await (const line of client.events({ from: 0, address: ["c0".repeat(20), "c1".repeat(20)], life: true })) {
  assert.equal(line.error, undefined);
  assert.ok(line.header.height > seen);
  seen = line.header.height;
  if (seen >= info.header.height) break;
}
console.log("node client ok");
process.exit(0);
