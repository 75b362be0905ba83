// Sapphire's wrappers for ethers, EIP-1193 providers and viem, unmodified, against a running network.
// Usage: node sapphire.mjs RPC_URL VAULT_JSON
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { ContractFactory, HDNodeWallet, Interface, JsonRpcProvider, ZeroAddress, toUtf8Bytes, hexlify } from "ethers";
import { wrapEthereumProvider } from "@oasisprotocol/sapphire-paratime";
import { wrapEthersSigner } from "@oasisprotocol/sapphire-ethers-v6";
import { sapphireHttpTransport, wrapWalletClient } from "@oasisprotocol/sapphire-viem-v2";
import { createPublicClient, createWalletClient, defineChain } from "viem";
import { mnemonicToAccount } from "viem/accounts";

const [url, vaultFile] = process.argv.slice(2);
const { abi, bytecode } = JSON.parse(readFileSync(vaultFile, "utf8"));
const mnemonic = "test test test test test test test test test test test junk";
const step = (name) => console.log(`sapphire: ${name}`);
const envelope = /^0xa264626f6479a46270/;
const hidden = (data, text) => {
  assert.match(data, envelope);
  assert.ok(!data.includes(hexlify(toUtf8Bytes(text)).slice(2)));
};

step("ethers: deploy, encrypted transactions and calls");
const provider = new JsonRpcProvider(url, undefined, { pollingInterval: 100, cacheTimeout: -1 });
const signer = wrapEthersSigner(HDNodeWallet.fromPhrase(mnemonic, "", "m/44'/60'/0'/0/3").connect(provider));
const vault = await new ContractFactory(abi, bytecode, signer).deploy();
await vault.waitForDeployment();
hidden((await provider.getTransaction(vault.deploymentTransaction().hash)).data, "owner only");
const written = await (await vault.write("the note of ethers")).wait();
assert.equal(written.status, 1);
assert.equal(written.logs.length, 1);
hidden((await provider.getTransaction(written.hash)).data, "the note of ethers");
assert.deepEqual([...(await vault.echo("hello"))], ["hello", ZeroAddress]);
await assert.rejects(vault.read(), (error) => error.code === "CALL_EXCEPTION" && error.reason === "owner only");
assert.ok((await vault.write.estimateGas("another note")) > 60_000n);
for (const slot of [0, 1]) {
  assert.equal(await provider.getStorage(vault, slot), `0x${"00".repeat(32)}`);
}

step("an EIP-1193 provider");
const upstream = { request: ({ method, params }) => provider.send(method, params ?? []) };
const wrapped = wrapEthereumProvider(upstream);
const coder = new Interface(abi);
const data = coder.encodeFunctionData("echo", ["hello"]);
const answer = await wrapped.request({ method: "eth_call", params: [{ to: await vault.getAddress(), data }, "latest"] });
assert.deepEqual([...coder.decodeFunctionResult("echo", answer)], ["hello", ZeroAddress]);
assert.ok(BigInt(await wrapped.request({ method: "eth_estimateGas", params: [{ to: await vault.getAddress(), data }] })) > 31_000n);

step("viem: deploy, encrypted transactions and calls");
const chain = defineChain({
  id: 23293, name: "freehold", nativeCurrency: { name: "unit", symbol: "U", decimals: 18 }, rpcUrls: { default: { http: [url] } },
});
const account = mnemonicToAccount(mnemonic, { addressIndex: 4 });
const node = createPublicClient({ chain, transport: sapphireHttpTransport(), pollingInterval: 100 });
const wallet = await wrapWalletClient(createWalletClient({ account, chain, transport: sapphireHttpTransport() }));
const receiptOf = (hash) => node.waitForTransactionReceipt({ hash, timeout: 60_000 });
const deployed = await receiptOf(await wallet.deployContract({ abi, bytecode }));
assert.equal(deployed.status, "success");
const address = deployed.contractAddress;
const hash = await wallet.writeContract({ address, abi, functionName: "write", args: ["the note of viem"] });
assert.equal((await receiptOf(hash)).status, "success");
hidden((await node.getTransaction({ hash })).input, "the note of viem");
assert.deepEqual(await node.readContract({ address, abi, functionName: "echo", args: ["hello"] }), ["hello", ZeroAddress]);
await assert.rejects(node.readContract({ address, abi, functionName: "read" }), /owner only/);

step("an epoch that nobody has a key of");
const key = await provider.send("oasis_callDataPublicKey", []);
assert.equal(key.key.length, 66);
assert.ok(key.epoch > 0);
console.log("sapphire: all passed");
process.exit(0);
