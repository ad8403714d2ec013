// The self-check's results on this browser's adapter: with them, later loads need not check.

import { openRoot, readFile, writeFileAtomically } from "./files.js";

const FILE = "self-check";

/** Empty where there are none, or those of another version of the browser. */
export async function readSelfCheckResults(): Promise<string> {
  const root = await openRoot();
  const text = root && (await readFile(root, FILE).then((file) => file?.text()).catch(() => ""));
  const [browser, ...lines] = text ? text.split("\n") : [];
  return browser === navigator.userAgent ? lines.join("\n") : "";
}

/** What can't be kept is found out again. */
export async function writeSelfCheckResults(text: string): Promise<void> {
  const root = await openRoot();
  if (root) await writeFileAtomically(root, FILE, `${navigator.userAgent}\n${text}`).catch(() => {});
}
