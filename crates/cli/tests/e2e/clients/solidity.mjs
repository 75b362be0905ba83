// Compiles Solidity sources with the npm solc of the folder that this file lies in; imports come from its packages.
import { readFileSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import solc from "solc";

const here = dirname(fileURLToPath(import.meta.url));

export const compile = (file) => {
  const input = {
    language: "Solidity",
    sources: { [basename(file)]: { content: readFileSync(file, "utf8") } },
    settings: {
      evmVersion: "cancun",
      optimizer: { enabled: true, runs: 1 },
      outputSelection: { "*": { "*": ["abi", "evm.bytecode.object"] } },
    },
  };
  const find = (path) => ({ contents: readFileSync(join(here, "node_modules", path), "utf8") });
  const { contracts, errors } = JSON.parse(solc.compile(JSON.stringify(input), { import: find }));
  const faults = (errors ?? []).filter(({ severity }) => severity === "error");
  if (faults.length > 0) throw new Error(faults.map(({ formattedMessage }) => formattedMessage).join("\n"));
  return Object.fromEntries(Object.entries(contracts[basename(file)]).map(([name, { abi, evm }]) =>
    [name, { abi, bytecode: `0x${evm.bytecode.object}` }]));
};
