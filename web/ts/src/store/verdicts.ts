// The kernel check's verdicts on this browser's adapter: with them, later loads need not check.

import { openRoot, readFile, writeFileAtomically } from "./files.js";

const FILE = "verdicts";

/** Empty where there are none, or those of another version of the browser. */
export async function readVerdicts(): Promise<string> {
  const root = await openRoot();
  const text = root && (await readFile(root, FILE).then((file) => file?.text()).catch(() => ""));
  const [browser, ...lines] = text ? text.split("\n") : [];
  return browser === navigator.userAgent ? lines.join("\n") : "";
}

/** What can't be kept is found out again. */
export async function writeVerdicts(text: string): Promise<void> {
  const root = await openRoot();
  if (root) await writeFileAtomically(root, FILE, `${navigator.userAgent}\n${text}`).catch(() => {});
}
