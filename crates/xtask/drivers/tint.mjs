// Compiles WGSL files with Tint, as Dawn has it, without a device, for `cargo xtask drivers`:
// `node tint.mjs PACKAGE`, where PACKAGE is the folder of the npm package `webgpu`. Standard input
// has a path a line; for each that fails a line with the path, a tab, and the compiler's message.
import fs from "node:fs";
import { pathToFileURL } from "node:url";

const { create } = await import(pathToFileURL(`${process.argv[2]}/index.js`));
const gpu = create(["backend=null", "enable-dawn-features=allow_unsafe_apis"]);
const adapter = await gpu.requestAdapter();
const wanted = ["shader-f16", "subgroups"];
const requiredFeatures = wanted.filter((name) => adapter.features.has(name));
const limits = [
  "maxStorageBuffersPerShaderStage",
  "maxComputeWorkgroupStorageSize",
  "maxComputeInvocationsPerWorkgroup",
  "maxComputeWorkgroupSizeX",
];
const requiredLimits = Object.fromEntries(limits.map((name) => [name, adapter.limits[name]]));
const device = await adapter.requestDevice({ requiredFeatures, requiredLimits });

/** What is wrong with a shader, if something is. */
async function failure(code) {
  // What naga does not know and browsers ask for (crates/gpu/src/browser.rs).
  if (/\bsubgroup/.test(code)) code = `enable subgroups;\n${code}`;
  device.pushErrorScope("validation");
  const module = device.createShaderModule({ code });
  const { messages } = await module.getCompilationInfo();
  const errors = messages.filter((message) => message.type === "error");
  let why = errors.map(({ lineNum, linePos, message }) => `${lineNum}:${linePos} ${message}`).join(" ");
  if (!why) {
    const compute = { module, entryPoint: "main" };
    try {
      await device.createComputePipelineAsync({ layout: "auto", compute });
    } catch (error) {
      why = error.message;
    }
  }
  const caught = await device.popErrorScope();
  return why || caught?.message;
}

const paths = fs.readFileSync(0, "utf8").split("\n").filter(Boolean);
for (const path of paths) {
  const why = await failure(fs.readFileSync(path, "utf8"));
  if (why) console.log(`${path}\t${why.replace(/\s+/g, " ").slice(0, 600)}`);
}
console.log(`compiled ${paths.length}`);
// The binding keeps the event loop alive.
process.exit(0);
