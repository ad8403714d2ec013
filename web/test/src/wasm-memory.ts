// A module whose memory may not grow beyond a limit, as on a machine that has no more.

const MEMORY_SECTION = 5;
const PAGE = 65_536;

/** The same module with `bytes` of memory at most; with what it begins with, if that is more. */
export function withMemory(module: Uint8Array, bytes: number): Uint8Array {
  for (let at = 8; at < module.length; ) {
    const [size, body] = readNumber(module, at + 1);
    if (module[at] === MEMORY_SECTION) {
      // One memory: flags (1: there is a most), the least pages, the most.
      const [least] = readNumber(module, body + 2);
      const most = Math.max(least, Math.ceil(bytes / PAGE));
      const section = [1, 1, ...writeNumber(least), ...writeNumber(most)];
      return Buffer.concat([module.subarray(0, at + 1), Buffer.from([...writeNumber(section.length), ...section]), module.subarray(body + size)]);
    }
    at = body + size;
  }
  throw new Error("the module has no memory of its own");
}

/** A LEB128 number, and where it ends. */
function readNumber(bytes: Uint8Array, at: number): [number, number] {
  let number = 0;
  for (let shift = 0; ; shift += 7) {
    const byte = bytes[at++]!;
    number += (byte & 127) * 2 ** shift;
    if (byte < 128) return [number, at];
  }
}

function writeNumber(number: number): number[] {
  return number < 128 ? [number] : [(number & 127) | 128, ...writeNumber(Math.floor(number / 128))];
}
