import { importText } from "../conversations";
import { notify } from "../notices";
import { bytes } from "../format";

const LARGEST = 100e6;

/** Reads exported conversations and says what came of it. */
export async function importFile(file: File): Promise<void> {
  if (file.size > LARGEST) {
    throw new Error(`“${file.name}” has ${bytes(file.size)} and at most ${bytes(LARGEST)} can be imported: export fewer conversations at once.`);
  }
  const { added, same } = await importText(await file.text());
  const known = same === 0 ? "" : `, ${same} ${same === 1 ? "was" : "were"} here already`;
  notify(`${added} ${added === 1 ? "conversation" : "conversations"} imported${known}.`);
}
