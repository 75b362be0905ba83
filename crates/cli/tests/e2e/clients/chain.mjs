// What the scripts about contracts share: accounts with Sapphire's wrapper, deployments, waiting, refusals.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { ContractFactory, HDNodeWallet, JsonRpcProvider, getBytes } from "ethers";
import { wrapEthersSigner } from "@oasisprotocol/sapphire-ethers-v6";

const mnemonic = "test test test test test test test test test test test junk";

export const connect = (url) => new JsonRpcProvider(url, undefined, { pollingInterval: 100, cacheTimeout: -1 });
// An account of the development network, without and with the encryption of Sapphire's wrapper.
export const plain = (provider, index) => HDNodeWallet.fromPhrase(mnemonic, "", `m/44'/60'/0'/0/${index}`).connect(provider);
export const wrapped = (provider, index) => wrapEthersSigner(plain(provider, index));

export const deploy = async (signer, { abi, bytecode }, ...args) => {
  const contract = await new ContractFactory(abi, bytecode, signer).deploy(...args);
  await contract.waitForDeployment();
  return contract;
};
export const artifact = (folder, name) => JSON.parse(readFileSync(join(folder, `${name}.json`), "utf8"));

// The receipt of a transaction that must succeed.
export const done = async (sent) => {
  const receipt = await (await sent).wait(1, 60_000);
  assert.equal(receipt.status, 1);
  return receipt;
};
// A transaction that must stand in a block and have failed there. It needs a gas limit of its own: an estimate would refuse.
export const fails = async (sent) => {
  const error = await sent.then((response) => response.wait(1, 60_000)).then(() => null, (caught) => caught);
  assert.equal(error?.receipt?.status, 0, `must fail in its block: ${error}`);
  return error.receipt;
};
// A call that must revert with a custom error, or with a reason.
export const refuses = async (called, name) => {
  const error = await called.then((value) => assert.fail(`must be refused with ${name}, answered ${value}`), (caught) => caught);
  assert.equal(error.revert?.name === "Error" ? error.reason : error.revert?.name ?? error.reason, name, error.message);
};

export const now = async (provider) => (await provider.getBlock("latest")).timestamp;
// Waits until the chain's time is past a moment.
export const after = async (provider, unix) => {
  for (const end = Date.now() + 120_000; Date.now() < end; await new Promise((go) => setTimeout(go, 200))) {
    if ((await now(provider)) > unix) return;
  }
  throw new Error(`the chain's time did not reach ${unix} within 120 s`);
};

// What a receipt shows of the work inside: its gas, less what the bytes of the envelope cost, which are random.
export const work = async (provider, receipt) => {
  const bytes = getBytes((await provider.getTransaction(receipt.hash)).data);
  return receipt.gasUsed - bytes.reduce((sum, byte) => sum + (byte === 0 ? 4n : 16n), 21_000n);
};

// An account's pass to read a contract of ours (contracts/library/Passes.sol).
export const pass = async (signer, contract, until, series = 0n) => {
  const { chainId } = await signer.provider.getNetwork();
  const domain = { name: "Freehold pass", version: "1", chainId, verifyingContract: await contract.getAddress() };
  const types = { Pass: [{ name: "account", type: "address" }, { name: "series", type: "uint64" }, { name: "until", type: "uint64" }] };
  const content = { account: signer.address, series, until };
  return { ...content, signature: await signer.signTypedData(domain, types, content) };
};
