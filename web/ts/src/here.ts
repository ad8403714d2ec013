// The engine in the thread that asks for it.

import type { Serve } from "./connect.js";
import { serve } from "./host.js";
import { wasm } from "./wasm.js";

export const serveHere: Serve = (port) => serve(port, wasm);
