// Floods of filters, subscriptions, batches and traces: each gets an error that says why, and the node goes on.
// Usage: node floods.mjs RPC_URL
import assert from "node:assert/strict";
import WebSocket from "ws";

const [url] = process.argv.slice(2);
const step = (name) => console.log(`floods: ${name}`);
const post = async (body) => {
  const answer = await fetch(url, { method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify(body) });
  return answer.json();
};
const request = (method, params = [], id = 1) => ({ jsonrpc: "2.0", id, method, params });
const ask = (method, params) => post(request(method, params));
const height = async () => Number((await ask("eth_blockNumber")).result);
const begun = await height();

step("batches");
const batch = (count, method) => Array.from({ length: count }, (_, id) => request(method, [], id));
assert.equal((await post(batch(256, "eth_chainId"))).length, 256);
assert.ok((await post(batch(257, "eth_chainId"))).error.code < 0);

step("filters");
const first = (await ask("eth_newBlockFilter")).result;
let last;
for (let round = 0; round < 5; round++) last = (await post(batch(256, "eth_newPendingTransactionFilter"))).at(-1);
assert.equal(last.error.code, -32005);
assert.match(last.error.message, /filters are in use/);
assert.ok(Array.isArray((await ask("eth_getFilterChanges", [first])).result), "nobody loses a filter to a flood");
const names = Array.from({ length: 1025 }, (_, index) => `0x${index.toString(16).padStart(40, "0")}`);
assert.equal((await ask("eth_getLogs", [{ address: names }])).error.code, -32005);
assert.equal((await ask("eth_getLogs", [{ fromBlock: "0x9", toBlock: "0x1" }])).error.code, -32602);

step("subscriptions");
const sockets = [];
const connect = () => new Promise((done, fail) => {
  const socket = new WebSocket(url.replace("http", "ws"));
  socket.waiting = new Map();
  socket.on("message", (data) => {
    const answer = JSON.parse(data);
    socket.waiting.get(answer.id)?.(answer);
  });
  socket.on("open", () => done(socket));
  socket.on("error", fail);
  sockets.push(socket);
});
const over = (socket, method, params, id) => new Promise((done) => {
  socket.waiting.set(id, done);
  socket.send(JSON.stringify(request(method, params, id)));
});
const eventually = async (what, socket, first) => {
  for (let id = first; !(await over(socket, "eth_subscribe", ["newHeads"], id)).result; id++) {
    assert.ok(id < first + 100, what);
    await new Promise((go) => setTimeout(go, 100));
  }
};
const topics = ["newHeads", "logs", "newPendingTransactions"];
const subscribe = (socket, count) =>
  Promise.all(Array.from({ length: count }, (_, id) => over(socket, "eth_subscribe", [topics[id % 3]], id + 1)));
const one = await connect();
const answers = await subscribe(one, 65);
assert.equal(answers.filter((answer) => answer.result).length, 64, "of one connection");
assert.ok(answers.find((answer) => answer.error).error.code < 0);
assert.equal((await over(one, "eth_unsubscribe", [answers[0].result], 99)).result, true);
await eventually("there is room again", one, 100);
assert.equal((await over(await connect(), "eth_subscribe", ["nonsense"], 999)).error.code, -32602);
let refused;
for (let count = 0; count < 40 && !refused; count++) {
  refused = (await subscribe(await connect(), 64)).find((answer) => answer.error);
}
assert.equal(refused.error.code, -32005, "of all connections");
assert.match(refused.error.message, /too many subscriptions/);

step("traces and simulations");
const endless = { to: `0x${"ab".repeat(20)}`, gas: "0x5f5e100" };
const code = { [endless.to]: { code: "0x5b5f56" } };
assert.equal((await ask("debug_traceCall", [endless, "latest", { stateOverrides: code }])).error.code, -32005);
const busy = await Promise.all(Array.from({ length: 24 }, () => ask("debug_traceCall", [endless, "latest", { stateOverrides: code }])));
assert.ok(busy.every((answer) => answer.error.code === -32005));
const calls = Array.from({ length: 1025 }, () => ({}));
assert.equal((await ask("eth_simulateV1", [{ blockStateCalls: [{ calls }] }, "latest"])).error.code, -38026);

step("the node goes on");
sockets.forEach((socket) => socket.terminate());
for (const end = Date.now() + 60_000; (await height()) < begun + 2; await new Promise((go) => setTimeout(go, 100))) {
  assert.ok(Date.now() < end, "the chain stands still");
}
await eventually("subscriptions of those who left are freed", await connect(), 1000);
step("done");
process.exit(0);
