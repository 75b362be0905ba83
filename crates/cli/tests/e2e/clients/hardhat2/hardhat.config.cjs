// Hardhat 2 with the npm solc and, unless PLAIN is set, Sapphire's plugin.
const { subtask } = require("hardhat/config");
const { TASK_COMPILE_SOLIDITY_GET_SOLC_BUILD } = require("hardhat/builtin-tasks/task-names");
require("@nomicfoundation/hardhat-ethers");
if (!process.env.PLAIN) require("@oasisprotocol/sapphire-hardhat");

subtask(TASK_COMPILE_SOLIDITY_GET_SOLC_BUILD, async ({ solcVersion }) => ({
  compilerPath: require.resolve("solc/soljson.js"),
  isSolcJs: true,
  version: solcVersion,
  longVersion: require("solc").version(),
}));

module.exports = {
  solidity: { version: "0.8.37", settings: { optimizer: { enabled: true } } },
  networks: {
    freehold: {
      url: process.env.FREEHOLD_RPC ?? "http://127.0.0.1:8545",
      chainId: 23293,
      accounts: { mnemonic: "test test test test test test test test test test test junk" },
    },
  },
};
