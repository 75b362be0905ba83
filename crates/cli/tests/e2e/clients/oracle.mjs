// contracts/examples/AttestedOracle.sol: only live instances of its app feed it, by encrypted transactions.
// Usage: node oracle.mjs RPC_URL ARTIFACTS_FOLDER APPS_JSON   (APPS_JSON: what tests/e2e/instance.rs prepared for two apps)
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { Contract, Wallet, ZeroHash, concat, encodeBytes32String, keccak256, parseEther } from "ethers";
import { wrapEthersSigner } from "@oasisprotocol/sapphire-ethers-v6";
import { artifact, connect, deploy, done, fails, now, plain, refuses, wrapped } from "./chain.mjs";

const [url, artifacts, file] = process.argv.slice(2);
const provider = connect(url);
const [app, other] = JSON.parse(readFileSync(file, "utf8"));
const owner = plain(provider, 6);
const step = (name) => console.log(`oracle: ${name}`);
const module = (place, name) => new Contract(`0x0000000000000000000000000000000000f4ee${place}`, artifact(artifacts, name).abi, owner);
const [apps, collateral, visibility] = [module("01", "IApps"), module("04", "ICollateral"), module("07", "IVisibility")];
const gasLimit = 400_000n;
const name = encodeBytes32String("EUR/USD");

step("two apps of one owner, three instances with emulated evidence");
assert.equal(await owner.getNonce(), 0, "the ids of the apps follow from the owner's nonces");
for (const { app: id, policy } of [app, other]) {
  await done(apps.create(1, policy));
  assert.notEqual(await apps.app(id), "0x");
}
const { kind, key, document } = app.collateral;
await done(collateral.submit(kind, key, document));
const instances = [];
for (const instance of [...app.instances, ...other.instances]) {
  const { registration, evidence, signature } = instance;
  await done(apps.register(registration, evidence, signature, { value: parseEther("5") }));
  const account = new Wallet(instance.key).connect(provider);
  instances.push({ ...instance, account, signer: wrapEthersSigner(account) });
}
const [first, second, foreign] = instances;

step("only instances of the app feed");
const oracle = await deploy(wrapped(provider, 0), artifact(artifacts, "AttestedOracle"), app.app, 1, ZeroHash);
const feed = (who, value, at, more = {}) => oracle.connect(who.signer).feed(name, value, at, { gasLimit, ...more });
const others = [wrapped(provider, 0), wrapped(provider, 6)].map((signer) => ({ signer }));
assert.equal(await oracle.app(), app.app);
assert.equal(await visibility.visibilityOf(oracle), 1n);
await refuses(oracle.read(name, 3600), "NoValue");
const begun = await now(provider);
for (const who of [foreign, ...others]) await fails(feed(who, 1n, begun));
await done(feed(first, 108_500n, begun));
assert.deepEqual([...(await oracle.read(name, 3600))], [108_500n, BigInt(begun)]);
assert.equal((await oracle.observations(name)).instance, first.account.address);
await fails(feed(second, 1n, begun));
await fails(feed(second, 1n, begun + 3600));
await done(feed(second, 108_600n, begun + 1));
await done(feed(first, 108_700n, begun + 2));
await refuses(oracle.read(encodeBytes32String("another"), 3600), "NoValue");

step("a contract may ask for a tier and a model: emulated evidence is verified, and no more");
const found = await apps.caller(first.account.address);
assert.deepEqual([found.app, found.instance, found.tier, found.trustDomain], [app.app, first.id, 1n, 1n]);
assert.notEqual(found.launch, ZeroHash);
assert.equal((await apps.caller(owner.address)).instance, ZeroHash);
for (const demand of [[2, ZeroHash], [0, `0x${"5a".repeat(32)}`]]) {
  const strict = await deploy(wrapped(provider, 0), artifact(artifacts, "AttestedOracle"), app.app, ...demand);
  await fails(strict.connect(first.signer).feed(name, 1n, begun, { gasLimit }));
}

step("a contract in between borrows no rights: the caller counts, not the signer");
// Hands its call data on to the oracle, and reverts where that does.
const forwarder = `0x6028600a5f3960285ff3365f5f375f5f365f5f73${oracle.target.slice(2)}5af16026575f5ffd5b00`;
const between = (await done(first.account.sendTransaction({ data: forwarder }))).contractAddress;
const data = oracle.interface.encodeFunctionData("feed", [name, 1n, begun + 3]);
await fails(first.account.sendTransaction({ to: between, data, gasLimit }));
await done(first.account.sendTransaction({ to: oracle.target, data, gasLimit }));

step("a revoked instance is none from the next transaction on, and what it said is void");
const fees = { gasPrice: 5n * (await provider.getFeeData()).gasPrice };
const revoked = await apps.revoke(app.app, first.id, 1, { ...fees, gasLimit: 3_000_000n });
const late = fails(feed(first, 1n, begun + 4));
const revocation = await done(revoked);
const refused = await late;
const place = ({ blockNumber, index }) => blockNumber * 100_000 + index;
assert.ok(place(refused) > place(revocation));
assert.ok(refused.blockNumber <= revocation.blockNumber + 5, "it was sent at once");
const block = revocation.blockNumber;
assert.equal(await apps.isAuthorized(app.app, first.account.address, { blockTag: block - 1 }), true);
assert.equal(await apps.isAuthorized(app.app, first.account.address, { blockTag: block }), false);
await fails(feed(first, 1n, begun + 5));
await refuses(oracle.read(name, 3600), "NoValue");
await done(feed(second, 108_800n, begun + 1));
assert.deepEqual([...(await oracle.read(name, 3600))], [108_800n, BigInt(begun + 1)]);
await refuses(oracle.read(name, 0), "NoValue");

step("what was fed can be proven");
const slot = keccak256(concat([name, `0x${"00".repeat(32)}`]));
assert.equal(BigInt(await provider.getStorage(oracle.target, slot)), 108_800n);
const { proofs: [proof] } = await provider.send("freehold_getProof", [oracle.target, [slot], "latest"]);
assert.equal(BigInt(`0x${proof.value.replace("0x", "")}`), 108_800n);
await done(apps.close(app.app));
await fails(feed(second, 1n, begun + 6));
console.log("oracle: all passed");
process.exit(0);
