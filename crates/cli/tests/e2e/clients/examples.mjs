// The contracts in contracts/examples, end to end, with encrypted transactions and calls.
// Usage: node examples.mjs RPC_URL ARTIFACTS_FOLDER
import assert from "node:assert/strict";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { AbiCoder, concat, getBytes, keccak256, parseEther, solidityPacked, toBeHex } from "ethers";
import { AEAD } from "@oasisprotocol/deoxysii";
import { after, artifact, connect, deploy, done, fails, now, pass, plain, refuses, work, wrapped } from "./chain.mjs";
import { compile } from "./solidity.mjs";

const [url, artifacts] = process.argv.slice(2);
const here = dirname(fileURLToPath(import.meta.url));
const provider = connect(url);
const [seller, alice, bob, carol] = [0, 1, 2, 3].map((index) => wrapped(provider, index));
const signers = new Map([seller, alice, bob, carol].map((signer, index) => [signer, plain(provider, index)]));
const step = (name) => console.log(`examples: ${name}`);
const gasLimit = 400_000n;
const abi = AbiCoder.defaultAbiCoder();
const sameWork = async (receipts) => {
  const found = await Promise.all(receipts.map((receipt) => work(provider, receipt)));
  assert.equal(new Set(found).size, 1, `the gas shows a secret: ${found}`);
  return found[0];
};

const auction = async () => {
  step("auction: bids of equal cost, sealed until the end");
  const item = await deploy(plain(provider, 0), compile(join(here, "Item.sol")).Item);
  await done(item.mint(7));
  const closesAt = (await now(provider)) + 22;
  const deposit = parseEther("5");
  const terms = [await item.getAddress(), 7, closesAt, deposit, parseEther("1")];
  const house = await deploy(seller, artifact(artifacts, "SealedBidAuction"), ...terms);
  const as = (who) => house.connect(who);
  await fails(as(alice).bid(parseEther("2"), { value: deposit, gasLimit }));
  await fails(as(alice).open({ gasLimit }));
  await done(item.approve(await house.getAddress(), 7));
  await done(house.open());
  assert.equal(await item.ownerOf(7), await house.getAddress());
  const first = [];
  for (const [who, amount] of [[alice, "2"], [bob, "3"], [carol, "2.5"]]) {
    first.push(await done(as(who).bid(parseEther(amount), { value: deposit, gasLimit })));
  }
  // A first bid fills a new slot, which everyone sees anyway by the deposit; among themselves they cost the same.
  await sameWork(first);
  const raises = [];
  for (const [who, amount] of [[alice, "2.2"], [carol, "4"], [carol, "4.5"], [bob, "4.5"]]) {
    raises.push(await done(as(who).bid(parseEther(amount), { gasLimit })));
  }
  await sameWork(raises);
  await fails(as(bob).bid(parseEther("1"), { gasLimit }));
  await fails(as(bob).bid(deposit + 1n, { gasLimit }));
  await fails(as(bob).bid(parseEther("4.6"), { value: 1n, gasLimit }));
  await fails(as(bob).withdraw(bob.address, { gasLimit }));
  await refuses(house.settle.staticCall(), "TooEarly");
  assert.equal(await house.bidOf(await pass(signers.get(bob), house, closesAt + 600)), parseEther("4.5"));
  const foreign = { ...(await pass(signers.get(alice), house, closesAt + 600)), account: bob.address };
  await refuses(house.bidOf(foreign), "PassNotSigned");
  await refuses(house.bidOf(await pass(signers.get(bob), house, 1)), "PassEnded");
  for (let slot = 0; slot < 12; slot++) assert.equal(BigInt(await provider.getStorage(house, slot)), 0n);

  step("auction: the end, the price, and who collects what");
  await after(provider, closesAt);
  await fails(as(bob).bid(parseEther("4.9"), { gasLimit }));
  await done(as(alice).withdraw(alice.address));
  assert.equal(await house.winner(), carol.address);
  assert.equal(await house.price(), parseEther("4.5"));
  await fails(as(bob).collect(bob.address, { gasLimit }));
  await done(as(carol).collect(carol.address, { gasLimit }));
  assert.equal(await item.ownerOf(7), carol.address);
  await fails(as(carol).collect(carol.address, { gasLimit }));
  const vault = await house.getAddress();
  assert.equal(await provider.getBalance(vault), deposit * 2n);
  await done(as(carol).withdraw(carol.address, { gasLimit }));
  await done(as(seller).withdraw(seller.address, { gasLimit }));
  await done(as(bob).withdraw(bob.address, { gasLimit }));
  for (const who of [alice, bob, carol, seller]) await fails(as(who).withdraw(who.address, { gasLimit }));
  assert.equal(await provider.getBalance(vault), 0n);
};

const vote = async () => {
  step("vote: ballots of equal cost, the last one counts, no count before the end");
  const opensAt = (await now(provider)) + 8;
  const closesAt = opensAt + 14;
  const ballot = await deploy(seller, artifact(artifacts, "SecretVote"), 3, opensAt, closesAt, 2);
  const as = (who) => ballot.connect(who);
  const few = await deploy(seller, artifact(artifacts, "SecretVote"), 2, opensAt, closesAt, 2);
  await fails(as(alice).admit([alice.address], { gasLimit }));
  await done(ballot.admit([alice.address, bob.address, carol.address, alice.address]));
  await done(few.admit([alice.address, bob.address]));
  assert.equal(await ballot.voters(), 3n);
  await fails(as(alice).vote(1, { gasLimit }));
  await after(provider, opensAt);
  const firsts = [];
  for (const [who, option] of [[alice, 0], [bob, 2], [carol, 2]]) firsts.push(await done(as(who).vote(option, { gasLimit })));
  const again = [];
  for (const [who, option] of [[alice, 1], [alice, 1], [carol, 0]]) again.push(await done(as(who).vote(option, { gasLimit })));
  assert.equal(await sameWork([...firsts, ...again]), await sameWork(firsts));
  await done(few.connect(alice).vote(1, { gasLimit }));
  await fails(as(seller).vote(0, { gasLimit }));
  await fails(as(bob).vote(3, { gasLimit }));
  await fails(ballot.admit([seller.address], { gasLimit }));
  await refuses(ballot.result(), "TooEarly");
  await after(provider, closesAt);
  await fails(as(bob).vote(0, { gasLimit }));
  await refuses(few.result(), "TooFewBallots");
  const [counts, winner] = await ballot.result();
  assert.deepEqual([...counts], [1n, 1n, 1n]);
  // The lot was drawn at the beginning: whoever asks gets the same winner.
  assert.ok([0n, 1n, 2n].includes(winner));
  assert.equal((await ballot.result())[1], winner);
};

const token = async () => {
  step("token: balances that only their owners read");
  const coin = await deploy(seller, artifact(artifacts, "PrivateToken"), "Quiet", "QT", parseEther("1000"));
  const as = (who) => coin.connect(who);
  const until = (await now(provider)) + 600;
  const passOf = (who, series) => pass(signers.get(who), coin, until, series);
  const balance = async (who, series) => coin.balanceByPass(await passOf(who, series));
  assert.deepEqual([await coin.name(), await coin.symbol(), await coin.decimals(), await coin.totalSupply()],
    ["Quiet", "QT", 18n, parseEther("1000")]);
  await refuses(coin.balanceOf(seller.address), "NotYours");
  await refuses(coin.allowance(seller.address, alice.address), "NotYours");

  step("token: transfers of equal cost");
  const moved = [];
  for (const [to, amount] of [[alice.address, "10"], [alice.address, "5"], [bob.address, "0"], [seller.address, "1"]]) {
    moved.push(await done(coin.transfer(to, parseEther(amount), { gasLimit })));
  }
  await sameWork(moved);
  assert.deepEqual(await Promise.all([seller, alice, bob].map((who) => balance(who))), [parseEther("985"), parseEther("15"), 0n]);
  await fails(as(alice).transfer(bob.address, parseEther("15") + 1n, { gasLimit }));
  await fails(coin.transfer(`0x${"00".repeat(20)}`, 1n, { gasLimit }));

  step("token: allowances");
  await done(as(alice).approve(bob.address, parseEther("6"), { gasLimit }));
  const spent = [];
  spent.push(await done(as(bob).transferFrom(alice.address, carol.address, parseEther("4"), { gasLimit })));
  spent.push(await done(as(bob).transferFrom(alice.address, bob.address, parseEther("1"), { gasLimit })));
  await sameWork(spent);
  await fails(as(bob).transferFrom(alice.address, bob.address, parseEther("2"), { gasLimit }));
  await fails(as(carol).transferFrom(alice.address, carol.address, 1n, { gasLimit }));
  assert.equal(await coin.allowanceByPass(await passOf(bob), alice.address, bob.address), parseEther("1"));
  await refuses(coin.allowanceByPass(await passOf(carol), alice.address, bob.address), "NotYours");
  assert.deepEqual(await Promise.all([alice, bob, carol].map((who) => balance(who))), ["10", "1", "4"].map(parseEther));

  step("token: notes that only sender and recipient open");
  const key = getBytes(await coin.noteKey(await passOf(carol)));
  const { args } = spent[0].logs.map((log) => coin.interface.parseLog(log)).find(({ name }) => name === "Moved");
  const place = (side) => [args.number, side];
  const open = (box, secret, side) => {
    const nonce = getBytes(keccak256(solidityPacked(["uint256", "uint8"], place(side)))).slice(0, 15);
    const bound = concat([coin.target, toBeHex(args.number, 32), toBeHex(side, 1)]);
    return new AEAD(secret).decrypt(nonce, getBytes(box), getBytes(bound));
  };
  assert.deepEqual([...abi.decode(["address", "address", "uint256"], open(args.forRecipient, key, 1))],
    [alice.address, carol.address, parseEther("4")]);
  assert.throws(() => open(args.forSender, key, 0));
  assert.equal(open(args.forSender, getBytes(await coin.noteKey(await passOf(alice))), 0).length, 96);
  assert.deepEqual([...new Set(moved.flatMap(({ logs }) => logs.map(({ data, topics }) => [data.length, topics.length].join())))].length, 1);
  const shown = JSON.stringify([...moved, ...spent].map(({ logs }) => logs.map(({ data, topics }) => [data, topics]))).toLowerCase();
  for (const who of [alice, bob, carol]) assert.ok(!shown.includes(who.address.slice(2).toLowerCase()));

  step("token: passes that were withdrawn");
  await done(as(carol).withdrawPasses());
  await refuses(coin.balanceByPass(await passOf(carol)), "PassEnded");
  assert.equal(await balance(carol, 1n), parseEther("4"));
};

await auction();
await vote();
await token();
console.log("examples: all passed");
process.exit(0);
