// viem and ethers 6, unmodified, with what tools ask for: overrides, access lists, simulations, traces, watchers.
// Usage: node tools.mjs RPC_URL COUNTER_JSON
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { JsonRpcProvider } from "ethers";
import {
  concat, createPublicClient, createWalletClient, decodeFunctionResult, defineChain, encodeFunctionData, hexToBigInt, http,
  numberToHex, pad, parseEther, size, toFunctionSelector, webSocket,
} from "viem";
import { mnemonicToAccount } from "viem/accounts";

const [url, counterFile] = process.argv.slice(2);
const { abi, bytecode } = JSON.parse(readFileSync(counterFile, "utf8"));
const mnemonic = "test test test test test test test test test test test junk";
const dora = mnemonicToAccount(mnemonic, { addressIndex: 6 });
const emil = mnemonicToAccount(mnemonic, { addressIndex: 7 });
const chain = defineChain({
  id: 23293, name: "freehold", nativeCurrency: { name: "unit", symbol: "U", decimals: 18 }, rpcUrls: { default: { http: [url] } },
});
const node = createPublicClient({ chain, transport: http(url), pollingInterval: 100 });
const wallet = createWalletClient({ chain, account: dora, transport: http(url) });
const ethers = new JsonRpcProvider(url, undefined, { pollingInterval: 100, cacheTimeout: -1 });
const receiptOf = (hash) => node.waitForTransactionReceipt({ hash, timeout: 60_000 });
const step = (name) => console.log(`tools: ${name}`);
const word = (value) => pad(numberToHex(value), { size: 32 });
const until = async (what, holds) => {
  for (const end = Date.now() + 60_000; Date.now() < end; await new Promise((go) => setTimeout(go, 100))) {
    const found = await holds();
    if (found) return found;
  }
  throw new Error(`${what}: not within 60 s`);
};
const raw = async (method, params) => {
  const body = JSON.stringify({ jsonrpc: "2.0", id: 1, method, params });
  return (await fetch(url, { method: "POST", headers: { "content-type": "application/json" }, body })).json();
};
const isConfidential = ({ error }) => error?.data?.reason === "confidential";

// A public contract: without call data it answers slot 0, with a word it keeps that there. It starts with 41.
const runtime = "0x36600c575f545f5260205ff35b5f355f5500";
const ask = concat(["0x63", toFunctionSelector("makePublic()"), "0x60e01b5f525f5f60045f5f62f4ee075af150", "0x60295f55"]);
const init = concat([ask, numberToHex(0x6000n + BigInt(size(runtime)), { size: 2 }), "0x8060", numberToHex(size(ask) + 9, { size: 1 }), "0x5f395ff3", runtime]);

step("contracts");
const open = (await receiptOf(await wallet.sendTransaction({ data: init }))).contractAddress;
const secret = (await receiptOf(await wallet.deployContract({ abi, bytecode, args: [41n] }))).contractAddress;
assert.equal(hexToBigInt(await node.getStorageAt({ address: open, slot: "0x0" })), 41n);
const get = encodeFunctionData({ abi, functionName: "get" });

step("overrides of state and block");
const read = async (options) => hexToBigInt((await node.call({ to: open, ...options })).data);
assert.equal(await read({}), 41n);
assert.equal(await read({ stateOverride: [{ address: open, stateDiff: [{ slot: word(0n), value: word(5n) }] }] }), 5n);
assert.equal(await read({ stateOverride: [{ address: open, state: [{ slot: word(1n), value: word(5n) }] }] }), 0n);
const clock = { address: `0x${"c1".repeat(20)}`, code: "0x425f5260205ff3" };
const told = await node.call({ to: clock.address, stateOverride: [clock], blockOverrides: { time: 77n } });
assert.equal(hexToBigInt(told.data), 77n);
const nobody = `0x${"77".repeat(20)}`;
const rich = [{ address: nobody, balance: parseEther("5") }];
const pay = { account: nobody, to: open, value: parseEther("1") };
await assert.rejects(node.call(pay), /insufficient funds|exceeds the balance/i);
await node.call({ ...pay, stateOverride: rich });
assert.ok((await node.estimateGas({ ...pay, stateOverride: rich })) > 21_000n);
for (const stateOverride of [[{ address: secret, code: runtime }], rich, [{ address: secret, stateDiff: [{ slot: word(0n), value: word(1n) }] }]]) {
  await assert.rejects(node.call({ to: secret, data: get, stateOverride }), /confidential/);
}

step("access lists");
const listed = await node.createAccessList({ account: dora, to: open });
assert.deepEqual(listed.accessList, [{ address: open.toLowerCase(), storageKeys: [word(0n)] }]);
assert.ok(listed.gasUsed > 21_000n);
assert.deepEqual((await node.createAccessList({ account: dora, to: secret, data: get })).accessList, []);

step("simulations");
const blocks = await node.simulateBlocks({
  blocks: [
    { calls: [{ to: open, data: word(9n), account: dora }, { to: open }, { to: emil.address, value: 3n, account: dora }] },
    { blockOverrides: { time: BigInt(Math.floor(Date.now() / 1000) + 1000) }, calls: [{ to: open }, { to: secret, data: "0x12345678" }] },
  ],
  traceTransfers: true,
});
assert.equal(blocks.length, 2);
assert.equal(blocks[1].parentHash, blocks[0].hash);
assert.equal(blocks[1].number, blocks[0].number + 1n);
assert.deepEqual(blocks[0].calls.map((call) => call.status), ["success", "success", "success"]);
assert.equal(hexToBigInt(blocks[0].calls[1].data), 9n);
assert.equal(hexToBigInt(blocks[1].calls[0].data), 9n, "blocks stand on each other");
assert.equal(blocks[1].calls[1].status, "failure");
assert.equal(blocks[0].calls[2].logs.length, 1, "the transfer is told");
assert.equal(blocks[0].calls[2].logs[0].address, `0x${"ee".repeat(20)}`);
assert.equal(await read({}), 41n, "nothing stays");
const { results } = await node.simulateCalls({
  account: dora.address, calls: [{ to: open, data: word(3n) }, { to: emil.address, value: 1n }],
});
assert.deepEqual(results.map((result) => result.status), ["success", "success"]);
const simulate = (request) => raw("eth_simulateV1", [request, "latest"]);
const strict = (call) => simulate({ validation: true, blockStateCalls: [{ calls: [{ from: dora.address, to: open, maxFeePerGas: "0x77359400", ...call }] }] });
assert.equal((await strict({ nonce: "0x0" })).error.code, -38010);
assert.equal((await strict({ nonce: "0xffff" })).error.code, -38011);
assert.equal((await strict({ maxFeePerGas: "0x1" })).error.code, -38012);
assert.equal((await strict({ gas: "0x5000" })).error.code, -38013);
assert.equal((await strict({ gas: "0x5300", value: "0xffffffffffffffffffffffff" })).error.code, -38014);
assert.equal((await simulate({ blockStateCalls: [{ calls: [{ to: open, gas: "0x10000000" }] }] })).error.code, -38015);
assert.equal((await simulate({ blockStateCalls: [{ blockOverrides: { number: "0x1" } }] })).error.code, -38020);
assert.equal((await simulate({ blockStateCalls: [{ blockOverrides: { time: "0x1" } }] })).error.code, -38021);
assert.equal((await simulate({ blockStateCalls: [{ blockOverrides: { number: "0xffffff" } }] })).error.code, -38026);
assert.ok(isConfidential(await simulate({ blockStateCalls: [{ calls: [{ to: secret, data: get }] }] })));
const full = await simulate({ returnFullTransactions: true, blockStateCalls: [{ calls: [{ from: dora.address, to: open }] }] });
assert.equal(full.result[0].transactions[0].from, dora.address.toLowerCase());

step("reverts of calls");
const reverted = await raw("eth_call", [{ to: secret, data: encodeFunctionData({ abi, functionName: "deny", args: [5n] }) }, "latest"]);
assert.equal(reverted.error.code, 3);
assert.match(reverted.error.data, /^0x[0-9a-f]{72}$/);

step("traces");
const set = await receiptOf(await wallet.sendTransaction({ to: open, data: word(42n) }));
const hidden = await receiptOf(await wallet.writeContract({ abi, address: secret, functionName: "set", args: [7n] }));
const trace = (hash, options) => ethers.send("debug_traceTransaction", [hash, options ?? {}]);
const frame = await trace(set.transactionHash, { tracer: "callTracer" });
assert.deepEqual([frame.type, frame.from, frame.to, BigInt(frame.gasUsed), frame.confidential], ["CALL", dora.address.toLowerCase(), open, set.gasUsed, undefined]);
const steps = await trace(set.transactionHash);
assert.equal(steps.structLogs.at(-2).op, "SSTORE");
assert.equal(BigInt(steps.gas), set.gasUsed);
const diff = await trace(set.transactionHash, { tracer: "prestateTracer", tracerConfig: { diffMode: true } });
assert.deepEqual([BigInt(diff.pre[open].storage[word(0n)]), BigInt(diff.post[open].storage[word(0n)])], [41n, 42n]);
const closed = await trace(hidden.transactionHash, { tracer: "callTracer" });
assert.equal(closed.confidential, true);
assert.equal((await trace(hidden.transactionHash)).structLogs.length, 0);
assert.ok(isConfidential(await raw("debug_traceTransaction", [hidden.transactionHash, { tracer: "prestateTracer" }])));
const traced = await ethers.send("debug_traceBlockByHash", [set.blockHash, { tracer: "callTracer" }]);
assert.ok(traced.some(({ txHash, result }) => txHash === set.transactionHash && result.to === open));
assert.equal((await ethers.send("debug_traceCall", [{ to: open }, "latest", { tracer: "callTracer" }])).output, word(42n));
const [flat] = await ethers.send("trace_transaction", [set.transactionHash]);
assert.deepEqual([flat.type, flat.action.to, flat.transactionHash, flat.traceAddress], ["call", open, set.transactionHash, []]);
assert.ok((await ethers.send("trace_block", [numberToHex(set.blockNumber)])).length > 0);
const replayed = await ethers.send("trace_replayTransaction", [set.transactionHash, ["trace", "stateDiff"]]);
assert.equal(replayed.stateDiff[open].storage[word(0n)]["*"].to, word(42n));
const called = await ethers.send("trace_call", [{ to: open }, ["trace"], "latest"]);
assert.equal(called.output, word(42n));

step("watchers over one socket");
const socket = createPublicClient({ chain, transport: webSocket(url.replace("http", "ws")) });
const live = { heads: [], logs: [], waiting: [] };
const stops = [
  socket.watchBlocks({ onBlock: (block) => live.heads.push(block) }),
  socket.watchContractEvent({ abi, address: secret, eventName: "Changed", onLogs: (logs) => live.logs.push(...logs) }),
  socket.watchPendingTransactions({ onTransactions: (hashes) => live.waiting.push(...hashes) }),
];
await until("a head", () => live.heads.length > 1);
const sent = await wallet.writeContract({ abi, address: secret, functionName: "set", args: [8n] });
await until("a waiting transaction", () => live.waiting.includes(sent));
assert.equal((await until("a log", () => live.logs[0])).args.value, 8n);
stops.forEach((stop) => stop());
(await socket.transport.getRpcClient()).close();
const value = await node.call({ to: secret, data: get });
assert.equal(decodeFunctionResult({ abi, functionName: "get", data: value.data }), 8n);
step("done");
process.exit(0);
