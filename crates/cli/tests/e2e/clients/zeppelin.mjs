// @openzeppelin/contracts, unmodified, over confidential storage: tokens, roles, permits, votes, clones, proxies.
// Usage: node zeppelin.mjs RPC_URL
import assert from "node:assert/strict";
import { createHash, generateKeyPairSync, sign } from "node:crypto";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { Signature, ZeroAddress, id, keccak256, parseEther, toUtf8Bytes, zeroPadValue } from "ethers";
import { after, connect, deploy, done, fails, now, plain, refuses } from "./chain.mjs";
import { compile } from "./solidity.mjs";

const [url] = process.argv.slice(2);
const provider = connect(url);
const contracts = compile(join(dirname(fileURLToPath(import.meta.url)), "Zeppelin.sol"));
const [owner, alice, bob] = [10, 11, 12].map((index) => plain(provider, index));
const { chainId } = await provider.getNetwork();
const step = (name) => console.log(`openzeppelin: ${name}`);
const gasLimit = 500_000n;

step("ERC20: transfers, allowances, errors, events");
const coin = await deploy(owner, contracts.Coin);
const moved = await done(coin.transfer(alice.address, parseEther("200")));
assert.deepEqual([...coin.interface.parseLog(moved.logs[0]).args], [owner.address, alice.address, parseEther("200")]);
assert.deepEqual([await coin.balanceOf(alice.address), await coin.totalSupply()], [parseEther("200"), parseEther("1000")]);
await fails(coin.connect(bob).transfer(alice.address, 1n, { gasLimit }));
await fails(coin.connect(bob).transferFrom(alice.address, bob.address, 1n, { gasLimit }));
await done(coin.connect(alice).approve(bob.address, parseEther("5")));
await done(coin.connect(bob).transferFrom(alice.address, bob.address, parseEther("5")));
assert.equal(await coin.allowance(alice.address, bob.address), 0n);
await refuses(coin.transfer.staticCall(ZeroAddress, 1n), "ERC20InvalidSender");

step("ERC20Permit and Multicall");
const deadline = (await now(provider)) + 600;
const domain = { name: "Coin", version: "1", chainId, verifyingContract: coin.target };
const types = { Permit: ["owner", "spender", "value", "nonce", "deadline"].map((name, place) =>
  ({ name, type: place < 2 ? "address" : "uint256" })) };
const permit = async (nonce, value) => {
  const content = { owner: alice.address, spender: bob.address, value, nonce, deadline };
  return Signature.from(await alice.signTypedData(domain, types, content));
};
const { v, r, s } = await permit(0n, 7n);
await done(coin.connect(bob).multicall([
  coin.interface.encodeFunctionData("permit", [alice.address, bob.address, 7n, deadline, v, r, s]),
  coin.interface.encodeFunctionData("transferFrom", [alice.address, bob.address, 7n]),
]));
assert.equal(await coin.nonces(alice.address), 1n);
await refuses(coin.permit.staticCall(alice.address, bob.address, 7n, deadline, v, r, s), "ERC2612InvalidSigner");
await refuses(coin.permit.staticCall(alice.address, bob.address, 7n, 1, v, r, s), "ERC2612ExpiredSignature");
assert.equal((await coin.eip712Domain()).name, "Coin");

step("ERC721 and AccessControl");
const cards = await deploy(owner, contracts.Cards);
const role = await cards.MINTER();
await fails(cards.mint(alice.address, 1, { gasLimit }));
await done(cards.grantRole(role, owner.address));
await done(cards.mint(alice.address, 1));
await done(cards.mint(alice.address, 2));
await done(cards.mint((await deploy(owner, contracts.Holder)).target, 3));
await fails(cards.mint(coin.target, 4, { gasLimit }));
await done(cards.connect(alice).approve(bob.address, 1));
await done(cards.connect(bob)["safeTransferFrom(address,address,uint256)"](alice.address, bob.address, 1));
assert.deepEqual([await cards.ownerOf(1), await cards.balanceOf(alice.address), await cards.totalSupply()], [bob.address, 1n, 3n]);
assert.equal(await cards.tokenOfOwnerByIndex(alice.address, 0), 2n);
await refuses(cards.ownerOf(9), "ERC721NonexistentToken");
await done(cards.renounceRole(role, owner.address));
await fails(cards.mint(alice.address, 5, { gasLimit }));

step("Governor, votes and TimelockController");
const timelock = await deploy(owner, contracts.Timelock);
const council = await deploy(owner, contracts.Council, coin.target, timelock.target);
for (const name of ["PROPOSER_ROLE", "EXECUTOR_ROLE"]) await done(timelock.grantRole(await timelock[name](), council.target));
await done(coin.transfer(timelock.target, parseEther("50")));
await done(coin.connect(alice).delegate(alice.address));
await done(coin.connect(bob).delegate(bob.address));
const action = [[coin.target], [0n], [coin.interface.encodeFunctionData("transfer", [bob.address, parseEther("50")])]];
const proposed = await done(council.connect(alice).propose(...action, "pay bob"));
const { proposalId } = council.interface.parseLog(proposed.logs[0]).args;
const state = async () => Number(await council.state(proposalId));
const until = async (wanted) => {
  for (const end = Date.now() + 60_000; (await state()) !== wanted; await new Promise((go) => setTimeout(go, 200))) {
    assert.ok(Date.now() < end, `the proposal is not in state ${wanted}`);
  }
};
await until(1);
await done(council.connect(alice).castVote(proposalId, 1));
await fails(council.connect(alice).castVote(proposalId, 1, { gasLimit }));
await done(council.connect(bob).castVoteWithReason(proposalId, 0, "no"));
await until(4);
await done(council.queue(...action, id("pay bob")));
await after(provider, (await now(provider)) + 2);
await done(council.execute(...action, id("pay bob")));
assert.deepEqual([await state(), await coin.balanceOf(timelock.target)], [7, 0n]);
assert.equal(await coin.getPastVotes(alice.address, proposed.blockNumber), parseEther("195") - 7n);

step("Clones, proxies, Initializable");
const box = await deploy(owner, contracts.Box);
await refuses(box.initialize.staticCall(1n), "InvalidInitialization");
const factory = await deploy(owner, contracts.Factory);
const salt = id("salt");
const made = await done(factory.make(box.target, salt, 42n));
const clone = box.attach(factory.interface.parseLog(made.logs.at(-1)).args.clone);
assert.deepEqual([clone.target, await clone.value()], [await factory.predict(box.target, salt), 42n]);
await fails(factory.make(box.target, salt, 42n, { gasLimit }));
const proxy = await deploy(owner, contracts.Proxy, box.target, box.interface.encodeFunctionData("initialize", [5n]));
const through = box.attach(proxy.target);
const two = await deploy(owner, contracts.BoxTwo);
await fails(through.connect(alice).upgradeToAndCall(two.target, "0x", { gasLimit }));
await done(through.connect(owner).upgradeToAndCall(two.target, "0x"));
assert.deepEqual([await through.version(), await through.value()], [2n, 5n]);

step("transient storage, P-256 natively and in Solidity");
const guarded = await deploy(owner, contracts.Guarded);
await done(guarded.enter(false));
await refuses(guarded.enter.staticCall(true), "ReentrancyGuardReentrantCall");
const { privateKey, publicKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
const message = toUtf8Bytes("message");
const order = 0xffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551n;
const signature = sign("sha256", message, { key: privateKey, dsaEncoding: "ieee-p1363" });
const [sr, ss] = [signature.subarray(0, 32), signature.subarray(32)].map((bytes) => BigInt(`0x${bytes.toString("hex")}`));
const low = ss > order / 2n ? order - ss : ss;
const word = (number) => `0x${number.toString(16).padStart(64, "0")}`;
const { x, y } = publicKey.export({ format: "jwk" });
const point = [x, y].map((part) => zeroPadValue(Buffer.from(part, "base64url"), 32));
const digest = `0x${createHash("sha256").update(message).digest("hex")}`;
assert.deepEqual([...(await guarded.p256(digest, word(sr), word(low), ...point))], [true, true]);
assert.deepEqual([...(await guarded.p256(keccak256("0x"), word(sr), word(low), ...point))], [false, false]);
console.log("openzeppelin: all passed");
process.exit(0);
