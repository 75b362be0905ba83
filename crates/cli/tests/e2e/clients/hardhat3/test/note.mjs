// Deploys and uses a contract through Hardhat 3, by viem and by ethers.
import assert from "node:assert/strict";
import { test } from "node:test";
import { network } from "hardhat";

const { ethers, viem } = await network.create();

test("viem: deploys, writes, reads, listens", async () => {
  const node = await viem.getPublicClient();
  const [, wallet] = await viem.getWalletClients();
  const note = await viem.deployContract("Note");
  const hash = await note.write.write(["open sesame", "under the oak"], { account: wallet.account });
  assert.equal((await node.waitForTransactionReceipt({ hash })).status, "success");
  assert.equal(await note.read.read(["open sesame"]), "under the oak");
  assert.equal(await note.read.read(["abracadabra"]), "");
  const [log] = await note.getEvents.Written({}, { fromBlock: 0n });
  assert.equal(log.args.writer.toLowerCase(), wallet.account.address.toLowerCase());
  await assert.rejects(note.simulate.write(["open sesame", ""]), /Empty/);
  assert.equal(BigInt(await node.getStorageAt({ address: note.address, slot: "0x1" })), 0n);
});

test("ethers: deploys, writes, reads", async () => {
  const [, , signer] = await ethers.getSigners();
  const note = await ethers.deployContract("Note", [], signer);
  await note.waitForDeployment();
  assert.equal((await (await note.write("open sesame", "under the elm")).wait()).status, 1);
  assert.equal(await note.read("open sesame"), "under the elm");
  const { selector } = note.interface.getError("Empty");
  await assert.rejects(note.write.staticCall("open sesame", ""), (error) => error.data === selector);
});
