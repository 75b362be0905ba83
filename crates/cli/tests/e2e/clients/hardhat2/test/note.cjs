// Deploys and uses a contract through Hardhat 2; with Sapphire's plugin nothing of it is seen on the chain.
const assert = require("node:assert/strict");
const { ethers } = require("hardhat");

describe("Note", function () {
  this.timeout(60_000);
  const text = "the treasure is under the oak";
  const hex = ethers.hexlify(ethers.toUtf8Bytes(text)).slice(2);
  let note;

  before(async () => {
    note = await ethers.deployContract("Note");
    await note.waitForDeployment();
  });

  it("keeps a note", async () => {
    const receipt = await (await note.write("open sesame", text)).wait();
    assert.equal(receipt.status, 1);
    const [signer] = await ethers.getSigners();
    const { args } = note.interface.parseLog(receipt.logs[0]);
    assert.deepEqual([args.writer, args.count], [signer.address, 1n]);
    assert.equal(await note.read("open sesame"), text);
    assert.equal(await note.read("abracadabra"), "");
    assert.equal((await note.queryFilter(note.filters.Written(signer.address))).length, 1);

    const { data } = await ethers.provider.getTransaction(receipt.hash);
    assert.equal(data.includes(hex), Boolean(process.env.PLAIN));
    assert.equal(data.startsWith("0xa264626f6479"), !process.env.PLAIN);
  });

  it("takes other accounts and refuses what it must", async () => {
    const [, other] = await ethers.getSigners();
    await (await note.connect(other).write("mine", "another")).wait();
    assert.equal(await note.count(), 2n);
    const { selector } = note.interface.getError("Empty");
    await assert.rejects(note.write.staticCall("open sesame", ""), (error) => error.data === selector);
  });
});
