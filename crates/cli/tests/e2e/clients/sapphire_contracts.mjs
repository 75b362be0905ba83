// @oasisprotocol/sapphire-contracts, unmodified: contracts that use every function of it, with encrypted calls.
// Usage: node sapphire_contracts.mjs RPC_URL
import assert from "node:assert/strict";
import { createHash, createHmac } from "node:crypto";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { Signature, Wallet, getBytes, hexlify, keccak256, parseEther, toUtf8Bytes } from "ethers";
import { connect, deploy, done, now, plain, refuses, wrapped } from "./chain.mjs";
import { compile } from "./solidity.mjs";

const [url] = process.argv.slice(2);
const provider = connect(url);
const contracts = compile(join(dirname(fileURLToPath(import.meta.url)), "Sapphire.sol"));
const [owner, other] = [wrapped(provider, 8), wrapped(provider, 9)];
const step = (name) => console.log(`sapphire-contracts: ${name}`);
const text = hexlify(toUtf8Bytes("the text"));
const hash = (name, bytes) => `0x${createHash(name).update(getBytes(bytes)).digest("hex")}`;

step("Sapphire.sol: random bytes, boxes, hashes, gas");
const precompiles = await deploy(owner, contracts.Precompiles);
for (const count of [1, 32, 100]) {
  const [one, two] = await precompiles.random(count);
  assert.equal(getBytes(one).length, count);
  if (count > 1) assert.notEqual(one, two);
}
assert.equal(getBytes(await precompiles.box(text, "0x1234")).length, getBytes(text).length + 16);
const [sha512256, sha512, sha384, mac] = await precompiles.hashes(text);
assert.deepEqual([sha512256, sha512, sha384], ["sha512-256", "sha512", "sha384"].map((name) => hash(name, text)));
assert.equal(mac, `0x${createHmac("sha512-256", "key").update(getBytes(text)).digest("hex")}`);
const [before, behind] = await precompiles.pads(200_000);
assert.ok(before > 21_000n && before < 60_000n && behind >= 200_000n && behind < 201_000n, `${before} ${behind}`);

step("Sapphire.sol: every algorithm of signatures");
const seed = (bytes) => `0x${"11".repeat(bytes)}`;
const prehashed = { 2: "sha512", 5: "sha256", 7: "sha256", 8: "sha384" };
for (let algorithm = 0; algorithm <= 8; algorithm++) {
  const digest = algorithm === 4 ? keccak256(text) : prehashed[algorithm] && hash(prehashed[algorithm], text);
  const context = digest ?? (algorithm === 1 ? "0x" : hexlify(toUtf8Bytes("context")));
  const [publicKey, signature] = await precompiles.signs(algorithm, seed(algorithm === 8 ? 48 : 32), context, digest ? "0x" : text);
  assert.ok(getBytes(publicKey).length >= 32 && getBytes(signature).length >= 64, `algorithm ${algorithm}`);
}
assert.equal(await precompiles.ethereum(keccak256(text)), true);
assert.match(await precompiles.staking(), /^0x00[0-9a-f]{40}$/);

step("Subcall.sol");
const subcalls = await deploy(owner, contracts.Subcalls, { value: parseEther("1") });
const someone = Wallet.createRandom().address;
await done(subcalls.transfer(someone, parseEther("0.25")));
assert.equal(await provider.getBalance(someone), parseEther("0.25"));
await refuses(subcalls.transfer.staticCall(someone, parseEther("5")), "AccountsTransferError");
const shown = await provider.send("oasis_callDataPublicKey", []);
assert.deepEqual([...(await subcalls.key())], [BigInt(shown.epoch), shown.key, shown.checksum]);
assert.equal(await subcalls.epoch(), BigInt(shown.epoch));
const app = `0x${"00".repeat(21)}`;
await refuses(subcalls.onlyApp(app), "RoflOriginNotAuthorizedForApp");
await refuses(subcalls.app(), "SubcallError");
await refuses(subcalls.delegate.staticCall(app), "ConsensusDelegateError");
await refuses(subcalls.undelegate.staticCall(app), "ConsensusUndelegateError");
await refuses(subcalls.withdraw.staticCall(app), "ConsensusWithdrawError");
await refuses(subcalls.receipt.staticCall(), "InvalidReceiptId");
assert.equal((await subcalls.unknown.staticCall())[0], 3n);

step("signers of transactions, and call data encrypted inside a contract");
const wallet = await deploy(owner, contracts.Wallet);
const account = await wallet.account();
await done(plain(provider, 8).sendTransaction({ to: account, value: parseEther("1") }));
const { gasPrice } = await provider.getFeeData();
for (const kind of [0, 1, 2]) {
  const raw = await wallet.signed(kind, kind, gasPrice * 2n);
  const receipt = await done(provider.broadcastTransaction(raw));
  assert.equal(receipt.from, account);
  assert.deepEqual([...wallet.interface.parseLog(receipt.logs[0]).args], [account, BigInt(kind + 1)]);
  assert.match((await provider.getTransaction(receipt.hash)).data, /^0xa264626f6479a46270/);
}

step("SiweAuth: log in, read, log out");
const diary = await deploy(owner, contracts.Diary, "diary.example", "dear diary");
const { chainId } = await provider.getNetwork();
const at = (unix) => new Date(unix * 1000).toISOString();
const begun = await now(provider);
const login = async (who, { domain = "diary.example", until = begun + 600 } = {}) => {
  const message = [
    `${domain} wants you to sign in with your Ethereum account:`, who.address, "", "I read my diary.", "",
    `URI: http://${domain}`, "Version: 1", `Chain ID: ${chainId}`, "Nonce: 12345678", `Issued At: ${at(begun)}`,
    `Expiration Time: ${at(until)}`,
  ].join("\n");
  const { r, s, v } = Signature.from(await who.signMessage(message));
  return diary.login(message, { r, s, v });
};
const token = await login(plain(provider, 8));
assert.equal(await diary.who(token), owner.address);
assert.equal(await diary.read(token), "dear diary");
const foreign = await login(plain(provider, 9));
assert.equal(await diary.who(foreign), other.address);
await refuses(diary.read(foreign), "not the owner");
await assert.rejects(diary.read(`${token.slice(0, -2)}00`));
await refuses(login(plain(provider, 8), { domain: "evil.example" }), "SiweAuth_DomainMismatch");
await refuses(login(plain(provider, 8), { until: begun - 600 }), "SiweAuth_Expired");
await done(diary.logout(token));
await refuses(diary.read(token), "A13e_RevokedAuthToken");

step("WrappedROSE");
const rose = await deploy(owner, contracts.Rose);
await done(rose.deposit({ value: parseEther("2") }));
await done(plain(provider, 8).sendTransaction({ to: rose.target, value: parseEther("1") }));
await done(rose.withdraw(parseEther("0.5"), { gasLimit: 200_000n }));
assert.equal(await rose.balanceOf(owner.address), parseEther("2.5"));
assert.equal(await provider.getBalance(rose), parseEther("2.5"));
console.log("sapphire-contracts: all passed");
process.exit(0);
