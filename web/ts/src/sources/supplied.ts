// Bytes that only the page can give: a `Source` written by the caller, or a stream.

import { WispError } from "../error.js";

/** Asks the page: for a range, or a stream's next bytes (`null` at its end). */
export type Demand = (supplier: number, offset: number, length: number) => Promise<Uint8Array | null>;

/** What a promise gives, or at once the signal's reason when it is aborted. */
export function until<T>(signal: AbortSignal, promise: Promise<T>): Promise<T> {
  return new Promise((resolve, reject) => {
    const abort = () => reject(signal.reason);
    if (signal.aborted) abort();
    signal.addEventListener("abort", abort, { once: true });
    promise.then(resolve, reject).finally(() => signal.removeEventListener("abort", abort));
  });
}

export async function suppliedRange(
  demand: Demand,
  supplier: number,
  name: string,
  offset: number,
  length: number,
): Promise<Uint8Array> {
  const bytes = await demand(supplier, offset, length);
  if (bytes?.length !== length) {
    throw new WispError(
      "input",
      `the source ${name} gave ${bytes?.length ?? "no"} bytes at ${offset} where ${length} were asked for`,
    );
  }
  return bytes;
}

export async function* suppliedStream(demand: Demand, supplier: number): AsyncGenerator<Uint8Array> {
  for (;;) {
    const bytes = await demand(supplier, 0, 0);
    if (bytes === null) return;
    yield bytes;
  }
}
