// Bundled when the package is built (build.js), so that it has no dependencies at run time.
export { sha256 } from "@noble/hashes/sha2.js";
