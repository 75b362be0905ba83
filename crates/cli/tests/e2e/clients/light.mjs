// ethers 6 and viem, unmodified, against `freehold light`: what they read is proven, calls are made again there.
// Usage: node light.mjs LIGHT_URL COUNTER_JSON
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { Contract, ContractFactory, HDNodeWallet, JsonRpcProvider, Mnemonic, id, isError, parseEther } from "ethers";
import { createPublicClient, createWalletClient, defineChain, http } from "viem";
import { mnemonicToAccount } from "viem/accounts";

const [url, counterFile] = process.argv.slice(2);
const { abi, bytecode } = JSON.parse(readFileSync(counterFile, "utf8"));
const words = "test test test test test test test test test test test junk";
const step = (name) => console.log(`light: ${name}`);
const before = Date.now();

// The same counter, made public by its constructor; its own code then begins 23 bytes later.
const ask = `63${id("makePublic()").slice(2, 10)}60e01b5f525f5f60045f5f62f4ee075af150`;
const open = `0x${ask}${bytecode.slice(2).replace("60f58060145f395ff3", "60f580602b5f395ff3")}`;

step("ethers: transfer and proven receipt");
const provider = new JsonRpcProvider(url, undefined, { pollingInterval: 100, cacheTimeout: -1 });
const account = (index) => HDNodeWallet.fromMnemonic(Mnemonic.fromPhrase(words), `m/44'/60'/0'/0/${index}`).connect(provider);
const [alice, bob] = [account(5), account(6)];
assert.equal((await provider.getNetwork()).chainId, 23293n);
const receipt = await (await alice.sendTransaction({ to: bob.address, value: parseEther("2") })).wait(1, 60_000);
assert.equal(receipt.status, 1);
assert.equal(await provider.getBalance(bob), parseEther("10002"));
assert.equal(await provider.getTransactionCount(alice), 1);
const block = await provider.getBlock(receipt.blockHash, true);
assert.equal(block.prefetchedTransactions[receipt.index].hash, receipt.hash);
assert.ok((await provider.getFeeData()).maxFeePerGas > 0n);

step("ethers: contract, calls, logs, reverts");
const counter = await new ContractFactory(abi, open, alice).deploy(41n);
await counter.waitForDeployment();
const address = await counter.getAddress();
assert.notEqual(await provider.getCode(address), "0x");
assert.equal(await counter.get(), 41n);
assert.equal(BigInt(await provider.getStorage(address, 0)), 41n);
const set = await (await counter.set(7n)).wait(1, 60_000);
assert.equal(await counter.get(), 7n);
const found = await counter.queryFilter(counter.filters.Changed(alice.address), 0);
assert.deepEqual(found.map((log) => log.args.value), [7n]);
assert.equal((await counter.queryFilter(counter.filters.Changed(bob.address), 0)).length, 0);
const failed = await counter.fail().then(() => null, (error) => error);
assert.ok(isError(failed, "CALL_EXCEPTION"));
assert.equal(failed.reason, "always refuses.");

step("ethers: what is confidential is refused");
const secret = await new ContractFactory(abi, bytecode, alice).deploy(9n, { gasLimit: 500_000n });
await secret.waitForDeployment();
const refused = await new Contract(await secret.getAddress(), abi, provider).get().then(() => null, (error) => error);
// ethers calls every refusal of a call a CALL_EXCEPTION and keeps what the node said.
assert.match(refused.info.error.message, /confidential/);

step("viem: read, simulate, write, logs");
const chain = defineChain({
  id: 23293, name: "freehold", nativeCurrency: { name: "unit", symbol: "U", decimals: 18 }, rpcUrls: { default: { http: [url] } },
});
const node = createPublicClient({ chain, transport: http(url), pollingInterval: 100 });
const carol = mnemonicToAccount(words, { addressIndex: 7 });
const wallet = createWalletClient({ chain, account: carol, transport: http(url) });
const there = { abi, address };
assert.equal(await node.readContract({ ...there, functionName: "get" }), 7n);
const { request } = await node.simulateContract({ ...there, functionName: "set", args: [8n], account: carol });
const hash = await wallet.writeContract(request);
const done = await node.waitForTransactionReceipt({ hash, timeout: 60_000 });
assert.equal(done.status, "success");
assert.equal(await node.readContract({ ...there, functionName: "get" }), 8n);
const events = await node.getContractEvents({ ...there, eventName: "Changed", fromBlock: 0n });
assert.deepEqual(events.map((event) => event.args.value), [7n, 8n]);
assert.equal((await node.getTransaction({ hash })).blockHash, done.blockHash);
assert.ok((await node.estimateFeesPerGas()).maxFeePerGas > 0n);
await assert.rejects(node.request({ method: "eth_noSuchMethod" }), (error) => error.code === -32601);

step("the time of a proven call");
const times = [];
for (let index = 0; index < 10; index++) {
  const begun = performance.now();
  await node.readContract({ ...there, functionName: "get" });
  times.push(performance.now() - begun);
}
console.log(`light: eth_call p50 ${times.sort((a, b) => a - b)[5].toFixed(0)} ms; all in ${Date.now() - before} ms`);
step("done");
provider.destroy();
process.exit(0);
