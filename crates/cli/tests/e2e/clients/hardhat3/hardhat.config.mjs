// Hardhat 3 with the npm solc, viem and ethers.
import { fileURLToPath } from "node:url";
import hardhatEthers from "@nomicfoundation/hardhat-ethers";
import hardhatNodeTestRunner from "@nomicfoundation/hardhat-node-test-runner";
import hardhatViem from "@nomicfoundation/hardhat-viem";
import { defineConfig } from "hardhat/config";

export default defineConfig({
  plugins: [hardhatEthers, hardhatNodeTestRunner, hardhatViem],
  solidity: { version: "0.8.37", path: fileURLToPath(import.meta.resolve("solc/soljson.js")) },
  networks: {
    freehold: {
      type: "http",
      chainType: "l1",
      url: process.env.FREEHOLD_RPC ?? "http://127.0.0.1:8545",
      chainId: 23293,
      accounts: { mnemonic: "test test test test test test test test test test test junk" },
    },
  },
});
