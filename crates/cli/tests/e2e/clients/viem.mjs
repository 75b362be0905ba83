// viem, unmodified, against a running network: transfers, a contract, logs, filters, blocks, fees, and what must fail.
// Usage: node viem.mjs RPC_URL COUNTER_JSON
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import {
  BaseError, ContractFunctionRevertedError, createPublicClient, createWalletClient, decodeEventLog, defineChain,
  hexToBigInt, http, parseEther, webSocket,
} from "viem";
import { mnemonicToAccount } from "viem/accounts";

const [url, counterFile] = process.argv.slice(2);
const { abi, bytecode } = JSON.parse(readFileSync(counterFile, "utf8"));
const mnemonic = "test test test test test test test test test test test junk";
const alice = mnemonicToAccount(mnemonic, { addressIndex: 0 });
const bob = mnemonicToAccount(mnemonic, { addressIndex: 1 });
const chainWith = (id) => defineChain({
  id, name: "freehold", nativeCurrency: { name: "unit", symbol: "U", decimals: 18 }, rpcUrls: { default: { http: [url] } },
});
const chain = chainWith(23293);
const node = createPublicClient({ chain, transport: http(url), pollingInterval: 100 });
const wallet = createWalletClient({ chain, account: alice, transport: http(url) });
const receiptOf = (hash) => node.waitForTransactionReceipt({ hash, timeout: 60_000 });
const step = (name) => console.log(`viem: ${name}`);
const until = async (what, holds) => {
  for (const end = Date.now() + 60_000; Date.now() < end; await new Promise((go) => setTimeout(go, 100))) {
    const found = await holds();
    if (found) return found;
  }
  throw new Error(`${what}: not within 60 s`);
};

step("transfer");
assert.equal(await node.getChainId(), 23293);
const before = { alice: await node.getBalance(alice), bob: await node.getBalance(bob) };
assert.equal(before.bob, parseEther("10000"));
const sent = await wallet.sendTransaction({ to: bob.address, value: parseEther("1.5") });
const receipt = await receiptOf(sent);
assert.equal(receipt.status, "success");
assert.equal(receipt.type, "eip1559");
assert.equal(receipt.gasUsed, 21_000n);
assert.equal(receipt.from, alice.address.toLowerCase());
assert.equal(receipt.to, bob.address.toLowerCase());
assert.equal(await node.getBalance(bob), before.bob + parseEther("1.5"));
assert.equal(
  await node.getBalance(alice), before.alice - parseEther("1.5") - receipt.gasUsed * receipt.effectiveGasPrice,
);
assert.equal(await node.getBalance({ ...bob, blockNumber: receipt.blockNumber - 1n }), before.bob);

step("transaction and block");
const transaction = await node.getTransaction({ hash: sent });
assert.equal(transaction.blockHash, receipt.blockHash);
assert.equal(transaction.value, parseEther("1.5"));
assert.equal(transaction.chainId, 23293);
const block = await node.getBlock({ blockHash: receipt.blockHash, includeTransactions: true });
assert.equal(block.number, receipt.blockNumber);
assert.equal(block.transactions[receipt.transactionIndex].hash, sent);
assert.equal((await node.getBlock({ blockNumber: block.number - 1n })).hash, block.parentHash);
assert.equal(await node.getBlockTransactionCount({ blockHash: block.hash }), block.transactions.length);
for (const blockTag of ["latest", "pending", "earliest", "safe", "finalized"]) {
  assert.ok((await node.getBlock({ blockTag })).hash, blockTag);
}
await until("finality of the block", async () => (await node.getBlock({ blockTag: "finalized" })).number >= block.number);
assert.ok((await node.getTransactionConfirmations({ hash: sent })) > 0n);

step("every type of transaction");
for (const type of ["legacy", "eip2930", "eip1559"]) {
  const extra = type === "eip2930" ? { accessList: [{ address: bob.address, storageKeys: [`0x${"00".repeat(32)}`] }] } : {};
  const done = await receiptOf(await wallet.sendTransaction({ to: bob.address, value: 1n, type, ...extra }));
  assert.equal(done.status, "success");
  assert.equal(done.type, type);
}
const authorization = await wallet.signAuthorization({ contractAddress: bob.address, executor: "self" });
const delegated = await receiptOf(await wallet.sendTransaction({ to: alice.address, gas: 100_000n, authorizationList: [authorization] }));
assert.equal(delegated.type, "eip7702");
assert.equal(await node.getCode(alice), `0xef0100${bob.address.slice(2).toLowerCase()}`);
const back = await wallet.signAuthorization({ contractAddress: `0x${"00".repeat(20)}`, executor: "self" });
await receiptOf(await wallet.sendTransaction({ to: alice.address, gas: 100_000n, authorizationList: [back] }));
assert.equal(await node.getCode(alice), undefined);

step("contract");
const made = await receiptOf(await wallet.deployContract({ abi, bytecode, args: [41n] }));
assert.equal(made.status, "success");
const address = made.contractAddress;
assert.ok((await node.getCode({ address })).startsWith("0x5f3560e01c"));
const counter = { abi, address };
assert.equal(await node.readContract({ ...counter, functionName: "get" }), 41n);
// Contracts are confidential by default: their storage shows nothing, as on Sapphire.
assert.equal(hexToBigInt(await node.getStorageAt({ address, slot: "0x0" })), 0n);
const { request } = await node.simulateContract({ ...counter, functionName: "set", args: [7n], account: alice });
const gas = await node.estimateContractGas({ ...counter, functionName: "set", args: [7n], account: alice });

step("logs and filters");
const seen = [];
const heads = [];
const unwatch = node.watchContractEvent({ ...counter, eventName: "Changed", onLogs: (logs) => seen.push(...logs) });
const unwatchHeads = node.watchBlockNumber({ onBlockNumber: (number) => heads.push(number) });
const filter = await node.createContractEventFilter({ ...counter, eventName: "Changed" });
const blocks = await node.createBlockFilter();
const pending = await node.createPendingTransactionFilter();
await until("the watch's first poll", () => heads.length > 0);
const setHash = await wallet.writeContract(request);
const set = await receiptOf(setHash);
assert.ok(gas >= set.gasUsed && gas < set.gasUsed + 110_000n, `estimated ${gas}, used ${set.gasUsed}`);
assert.equal(await node.readContract({ ...counter, functionName: "get" }), 7n);
assert.equal(await node.readContract({ ...counter, functionName: "get", blockNumber: set.blockNumber - 1n }), 41n);
assert.equal(set.logs.length, 1);
assert.deepEqual(decodeEventLog({ abi, ...set.logs[0] }).args, { who: alice.address, value: 7n });
const inBlock = { ...counter, eventName: "Changed", fromBlock: set.blockNumber, toBlock: set.blockNumber };
const found = await node.getContractEvents({ ...inBlock, args: { who: alice.address } });
assert.equal(found.length, 1);
assert.equal(found[0].transactionHash, setHash);
assert.equal(found[0].blockHash, set.blockHash);
assert.equal(found[0].args.value, 7n);
assert.deepEqual(await node.getContractEvents({ ...inBlock, args: { who: bob.address } }), []);
assert.equal((await node.getLogs({ blockHash: set.blockHash })).length, 1);
assert.equal((await node.getFilterChanges({ filter })).length, 1);
assert.equal((await node.getFilterChanges({ filter })).length, 0);
assert.equal((await node.getFilterLogs({ filter })).length, 1);
assert.ok((await node.getFilterChanges({ filter: blocks })).includes(set.blockHash));
assert.ok((await node.getFilterChanges({ filter: pending })).includes(setHash));
assert.ok(await node.uninstallFilter({ filter }));
await assert.rejects(node.getFilterChanges({ filter }));
await until("the watched event", () => seen.length > 0);
assert.equal(seen[0].args.value, 7n);
unwatch();
unwatchHeads();

step("subscription");
const socket = createPublicClient({ chain, transport: webSocket(url.replace("http", "ws")) });
const live = { heads: [], logs: [] };
const stopHeads = socket.watchBlocks({ onBlock: (head) => live.heads.push(head) });
const stopLogs = socket.watchContractEvent({ ...counter, eventName: "Changed", onLogs: (logs) => live.logs.push(...logs) });
await until("a subscribed head", () => live.heads.length > 0);
await receiptOf(await wallet.writeContract({ ...counter, functionName: "set", args: [8n] }));
await until("a subscribed log", () => live.logs.length > 0);
assert.equal(live.logs[0].args.value, 8n);
stopHeads();
stopLogs();
(await socket.transport.getRpcClient()).close();

step("reverts");
const reverts = async (functionName, args) => {
  const error = await node.readContract({ ...counter, functionName, args }).catch((caught) => caught);
  assert.ok(error instanceof BaseError, `${functionName} must revert`);
  const reverted = error.walk((cause) => cause instanceof ContractFunctionRevertedError);
  assert.ok(reverted, error.message);
  return reverted;
};
assert.equal((await reverts("fail", [])).reason, "always refuses.");
const denied = await reverts("deny", [5n]);
assert.equal(denied.data.errorName, "Denied");
assert.deepEqual(denied.data.args, [5n]);
await assert.rejects(wallet.writeContract({ ...counter, functionName: "fail" }), /always refuses/);
const failed = await receiptOf(await wallet.writeContract({ ...counter, functionName: "fail", gas: 100_000n }));
assert.equal(failed.status, "reverted");
assert.equal(failed.logs.length, 0);

step("fees and nonces");
const fees = await node.estimateFeesPerGas();
assert.ok(fees.maxFeePerGas > fees.maxPriorityFeePerGas);
assert.ok((await node.getGasPrice()) > 0n);
const history = await node.getFeeHistory({ blockCount: 4, rewardPercentiles: [25, 75] });
assert.equal(history.baseFeePerGas.length, 5);
assert.equal(history.gasUsedRatio.length, 4);
assert.equal(history.reward.length, 4);
const nonce = await node.getTransactionCount(alice);
const transfer = { to: bob.address, value: 1n, gas: 21_000n };
const second = await wallet.sendTransaction({ ...transfer, nonce: nonce + 1 });
assert.equal(await node.getTransactionCount({ ...alice, blockTag: "pending" }), nonce);
assert.equal((await node.getTransaction({ hash: second })).blockNumber, null);
await wallet.sendTransaction({ ...transfer, nonce });
await receiptOf(second);
assert.equal(await node.getTransactionCount(alice), nonce + 2);
await assert.rejects(wallet.sendTransaction({ ...transfer, nonce }), /nonce/i);
const burst = await Promise.all(
  [0, 1, 2, 3, 4].map((i) => wallet.sendTransaction({ ...transfer, nonce: nonce + 2 + i })),
);
for (const hash of burst) assert.equal((await receiptOf(hash)).status, "success");

step("refusals");
const poor = mnemonicToAccount(mnemonic, { addressIndex: 1000 });
const poorWallet = createWalletClient({ chain, account: poor, transport: http(url) });
await assert.rejects(poorWallet.sendTransaction(transfer), /insufficient funds|exceeds the balance/i);
const wrong = createWalletClient({ chain: chainWith(1), account: alice, transport: http(url) });
await assert.rejects(wrong.sendTransaction(transfer), /chain/i);
const { maxFeePerGas, maxPriorityFeePerGas } = fees;
const foreign = await alice.signTransaction({
  ...transfer, chainId: 1, nonce: nonce + 7, maxFeePerGas, maxPriorityFeePerGas, type: "eip1559",
});
await assert.rejects(wallet.sendRawTransaction({ serializedTransaction: foreign }), /another chain/);
await assert.rejects(node.request({ method: "eth_noSuchMethod" }), (error) => error.code === -32601);
assert.equal(await node.getTransactionCount({ ...alice, blockTag: "pending" }), nonce + 7);
step("done");
process.exit(0);
