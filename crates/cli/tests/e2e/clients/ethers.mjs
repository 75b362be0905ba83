// ethers 6, unmodified, against a running network: transfers, a contract, logs, listeners, blocks, fees, refusals.
// Usage: node ethers.mjs RPC_URL COUNTER_JSON
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { ContractFactory, HDNodeWallet, JsonRpcProvider, Mnemonic, WebSocketProvider, isError, parseEther } from "ethers";

const [url, counterFile] = process.argv.slice(2);
const { abi, bytecode } = JSON.parse(readFileSync(counterFile, "utf8"));
const mnemonic = Mnemonic.fromPhrase("test test test test test test test test test test test junk");
const provider = new JsonRpcProvider(url, undefined, { pollingInterval: 100, cacheTimeout: -1 });
const account = (index) => HDNodeWallet.fromMnemonic(mnemonic, `m/44'/60'/0'/0/${index}`).connect(provider);
const alice = account(2);
const bob = account(3);
const step = (name) => console.log(`ethers: ${name}`);
const done = async (response) => (await response).wait(1, 60_000);
const until = async (what, holds) => {
  for (const end = Date.now() + 60_000; Date.now() < end; await new Promise((go) => setTimeout(go, 100))) {
    if (await holds()) return;
  }
  throw new Error(`${what}: not within 60 s`);
};
const refused = async (promise, code, text) => {
  const error = await promise.then(() => null, (caught) => caught);
  assert.ok(error, `must be refused with ${code}`);
  assert.ok(isError(error, code), `${code} wanted: ${error.code} ${error.message}`);
  if (text) assert.match(JSON.stringify(error.info ?? {}) + error.message, text);
  return error;
};

step("transfer");
assert.equal((await provider.getNetwork()).chainId, 23293n);
assert.equal(await provider.getBalance(bob), parseEther("10000"));
const before = await provider.getBalance(alice);
const receipt = await done(alice.sendTransaction({ to: bob.address, value: parseEther("2") }));
assert.equal(receipt.status, 1);
assert.equal(receipt.gasUsed, 21_000n);
assert.equal(await provider.getBalance(bob), parseEther("10002"));
assert.equal(await provider.getBalance(alice), before - parseEther("2") - receipt.fee);
assert.equal(await provider.getBalance(bob, receipt.blockNumber - 1), parseEther("10000"));
const transaction = await provider.getTransaction(receipt.hash);
assert.equal(transaction.from, alice.address);
assert.equal(transaction.blockHash, receipt.blockHash);
assert.equal(transaction.value, parseEther("2"));
const block = await provider.getBlock(receipt.blockHash, true);
assert.equal(block.number, receipt.blockNumber);
assert.equal(block.prefetchedTransactions[receipt.index].hash, receipt.hash);
assert.equal((await provider.getBlock(block.number - 1)).hash, block.parentHash);
for (const tag of ["latest", "pending", "earliest", "safe", "finalized"]) assert.ok((await provider.getBlock(tag)).hash, tag);

step("every type of transaction");
for (const type of [0, 1, 2]) {
  assert.equal((await done(alice.sendTransaction({ to: bob.address, value: 1n, type }))).type, type);
}

step("contract");
const counter = await new ContractFactory(abi, bytecode, alice).deploy(41n);
await counter.waitForDeployment();
const address = await counter.getAddress();
assert.notEqual(await provider.getCode(address), "0x");
assert.equal(await counter.get(), 41n);
// Contracts are confidential by default: their storage shows nothing, as on Sapphire.
assert.equal(BigInt(await provider.getStorage(address, 0)), 0n);
const heard = [];
const heads = [];
await counter.on("Changed", (who, value) => heard.push([who, value]));
await provider.on("block", (number) => heads.push(number));
await until("a polled block", () => heads.length > 0);
const gas = await counter.set.estimateGas(7n);
const set = await done(counter.set(7n));
assert.ok(gas >= set.gasUsed && gas < set.gasUsed + 110_000n, `estimated ${gas}, used ${set.gasUsed}`);
assert.equal(await counter.get(), 7n);
assert.equal(await counter.get({ blockTag: set.blockNumber - 1 }), 41n);
assert.equal(set.logs.length, 1);
const event = counter.interface.parseLog(set.logs[0]);
assert.deepEqual([event.name, event.args.who, event.args.value], ["Changed", alice.address, 7n]);
await until("the listener", () => heard.length > 0);
assert.deepEqual(heard[0], [alice.address, 7n]);

step("logs");
const found = await counter.queryFilter(counter.filters.Changed(alice.address), set.blockNumber, set.blockNumber);
assert.equal(found.length, 1);
assert.equal(found[0].transactionHash, set.hash);
assert.equal((await counter.queryFilter(counter.filters.Changed(bob.address), 0)).length, 0);
assert.equal((await provider.getLogs({ blockHash: set.blockHash, address })).length, 1);
await counter.removeAllListeners();
await provider.removeAllListeners();

step("subscription");
const socket = new WebSocketProvider(url.replace("http", "ws"));
const live = { heads: 0, values: [] };
await socket.on("block", () => live.heads++);
await counter.connect(socket).on("Changed", (_, value) => live.values.push(value));
await until("a subscribed head", () => live.heads > 0);
await done(counter.set(8n));
await until("a subscribed log", () => live.values.length > 0);
assert.equal(live.values[0], 8n);
await socket.destroy();

step("reverts");
assert.equal((await refused(counter.fail(), "CALL_EXCEPTION")).reason, "always refuses.");
const denied = await refused(counter.deny(5n), "CALL_EXCEPTION");
assert.deepEqual([denied.revert.name, denied.revert.args[0]], ["Denied", 5n]);
await refused(counter.set(1n, { value: 1n }), "CALL_EXCEPTION");
await refused(alice.estimateGas({ to: address, data: "0xa9cc4718" }), "CALL_EXCEPTION");
const response = await alice.sendTransaction({ to: address, data: "0xa9cc4718", gasLimit: 100_000n });
const failed = await refused(response.wait(1, 60_000), "CALL_EXCEPTION");
assert.equal(failed.receipt.status, 0);

step("fees and nonces");
const fees = await provider.getFeeData();
assert.ok(fees.gasPrice > 0n && fees.maxFeePerGas > fees.maxPriorityFeePerGas);
const nonce = await alice.getNonce();
const transfer = { to: bob.address, value: 1n, gasLimit: 21_000n };
const second = await alice.sendTransaction({ ...transfer, nonce: nonce + 1 });
assert.equal(await alice.getNonce("pending"), nonce);
const first = await alice.sendTransaction({ ...transfer, nonce });
assert.equal((await first.wait(1, 60_000)).status, 1);
assert.equal((await second.wait(1, 60_000)).status, 1);
assert.equal(await alice.getNonce(), nonce + 2);
await refused(alice.sendTransaction({ ...transfer, nonce }), "NONCE_EXPIRED");
const held = { ...transfer, nonce: nonce + 3, maxFeePerGas: fees.maxFeePerGas, maxPriorityFeePerGas: fees.maxPriorityFeePerGas };
await alice.sendTransaction(held);
await refused(alice.sendTransaction({ ...held, value: 2n }), "REPLACEMENT_UNDERPRICED");
const raised = { ...held, value: 2n, maxFeePerGas: fees.maxFeePerGas * 2n, maxPriorityFeePerGas: fees.maxPriorityFeePerGas * 2n };
const replacement = await alice.sendTransaction(raised);
await alice.sendTransaction({ ...transfer, nonce: nonce + 2 });
assert.equal((await replacement.wait(1, 60_000)).status, 1);

step("refusals");
await refused(account(1000).sendTransaction(transfer), "INSUFFICIENT_FUNDS");
const foreign = await alice.signTransaction({ ...held, nonce: nonce + 4, chainId: 1n, type: 2 });
await refused(provider.broadcastTransaction(foreign), "UNKNOWN_ERROR", /another chain/).catch((error) => {
  if (!/another chain/.test(error.message)) throw error;
});
await refused(provider.send("eth_noSuchMethod", []), "UNSUPPORTED_OPERATION").catch((error) => {
  if (!/-32601/.test(error.message)) throw error;
});
assert.equal(await alice.getNonce("pending"), nonce + 4);
step("done");
provider.destroy();
process.exit(0);
