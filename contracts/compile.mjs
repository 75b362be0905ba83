// Compiles every contract here with the pinned npm solc and writes, or compares, contracts/artifacts.
// Usage: node compile.mjs [--check] [FOLDER_WITH_NODE_MODULES]   (the folder is this one where it is not given)
import { createHash } from "node:crypto";
import { mkdirSync, readFileSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";

const COMPILER = "0.8.37+commit.f401782d";
// No metadata behind the code: the same code comes from the same statements, whatever the comments say.
const SETTINGS = {
  evmVersion: "osaka",
  optimizer: { enabled: true, runs: 200 },
  metadata: { appendCBOR: false, bytecodeHash: "none" },
  outputSelection: { "*": { "*": ["abi", "evm.bytecode.object", "evm.deployedBytecode.object"] } },
};

const here = dirname(fileURLToPath(import.meta.url));
const words = process.argv.slice(2);
const check = words[0] === "--check";
const modules = resolve(words[check ? 1 : 0] ?? here);
const fail = (why) => {
  console.error(`contracts: ${why}`);
  process.exit(1);
};

let solc;
try {
  solc = createRequire(join(modules, "package.json"))("solc");
} catch {
  fail(`there is no solc in ${modules}: run npm install there`);
}
if (!solc.version().startsWith(COMPILER)) fail(`solc is ${solc.version()}, not ${COMPILER}`);

const read = (name) => readFileSync(join(here, name), "utf8");
const names = ["interfaces", "library", "examples", "genesis", "tests"].flatMap((folder) =>
  readdirSync(join(here, folder)).filter((name) => name.endsWith(".sol")).sort().map((name) => `${folder}/${name}`));
const sources = Object.fromEntries(names.map((name) => [name, { content: read(name) }]));
const compiled = JSON.parse(solc.compile(JSON.stringify({ language: "Solidity", sources, settings: SETTINGS })));
const faults = compiled.errors ?? [];
if (faults.length > 0) fail(faults.map((fault) => fault.formattedMessage).join("\n"));

// Interfaces, contracts of the genesis, examples, and what tests deploy; contracts/library has no code of its own. The
// genesis holds code that ran no constructor: it stands beside the artifact as it is.
const artifacts = new Map();
for (const source of names.filter((name) => !name.startsWith("library/"))) {
  const contract = source.replace(/^.*\/|\.sol$/g, "");
  const { abi, evm } = compiled.contracts[source][contract];
  const code = evm.bytecode.object;
  const made = code === "" ? {} : {
    bytecode: `0x${code}`,
    sha256: createHash("sha256").update(Buffer.from(code, "hex")).digest("hex"),
  };
  const json = `${JSON.stringify({ contract, source, compiler: COMPILER, abi, ...made }, null, 2)}\n`;
  artifacts.set(`${contract}.json`, Buffer.from(json));
  if (source.startsWith("genesis/")) artifacts.set(`${contract}.bin`, Buffer.from(evm.deployedBytecode.object, "hex"));
}

const folder = join(here, "artifacts");
mkdirSync(folder, { recursive: true });
const found = readdirSync(folder);
if (check) {
  for (const name of found) if (!artifacts.has(name)) fail(`artifacts/${name} comes from no contract`);
  for (const [name, bytes] of artifacts) {
    if (!found.includes(name) || !readFileSync(join(folder, name)).equals(bytes)) {
      fail(`artifacts/${name} is not what the sources give: run node contracts/compile.mjs`);
    }
  }
} else {
  for (const name of found) rmSync(join(folder, name));
  for (const [name, bytes] of artifacts) writeFileSync(join(folder, name), bytes);
}
console.log(`contracts: ${artifacts.size} artifacts ${check ? "are what the sources give" : "written"}`);
