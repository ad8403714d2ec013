// What the build adds to Vite: the policy in the page, and the service worker with its list.

import { createHash } from "node:crypto";
import { readdirSync, readFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { build, type Plugin } from "vite";
import { HEADER_ONLY, modelOrigins, policy } from "./policy.ts";

const root = resolve(import.meta.dirname, "..");

function pagePolicy(): string {
  return policy(modelOrigins(JSON.parse(readFileSync(join(root, "public/models.json"), "utf8"))));
}

/** Puts the policy first in the head. Not while developing: Vite's client is inline. */
export function contentSecurityPolicy(): Plugin {
  return {
    name: "wisp-content-security-policy",
    apply: "build",
    transformIndexHtml: () => [
      {
        tag: "meta",
        attrs: { "http-equiv": "Content-Security-Policy", content: pagePolicy() },
        injectTo: "head-prepend",
      },
    ],
  };
}

/** Builds src/sw.ts as one classic script that knows every file of the page. */
export function serviceWorker(): Plugin {
  let outDir = "";
  let emitted: string[] = [];
  return {
    name: "wisp-service-worker",
    apply: "build",
    configResolved: (config) => void (outDir = resolve(config.root, config.build.outDir)),
    writeBundle(_, bundle) {
      emitted = Object.keys(bundle).filter((name) => !name.endsWith(".map"));
    },
    async closeBundle(error) {
      if (error) return;
      const files = [...emitted, ...readdirSync(join(root, "public"))].sort();
      const hash = createHash("sha256");
      for (const name of files) hash.update(name).update(readFileSync(join(outDir, name)));
      await build({
        configFile: false,
        root,
        publicDir: false,
        logLevel: "warn",
        define: {
          __FILES__: JSON.stringify(files),
          __VERSION__: JSON.stringify(hash.digest("hex").slice(0, 16)),
          __POLICY__: JSON.stringify(`${pagePolicy()}; ${HEADER_ONLY}`),
        },
        build: {
          outDir,
          emptyOutDir: false,
          lib: { entry: join(root, "src/sw.ts"), formats: ["iife"], name: "sw", fileName: () => "sw.js" },
        },
      });
    },
  };
}
