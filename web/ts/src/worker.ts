// The engine in a worker: the one that `load` starts, or any module worker that imports this.

import { serve } from "./host.js";
import type { Port } from "./protocol.js";
import { wasm } from "./wasm.js";

serve(globalThis as unknown as Port, wasm);
