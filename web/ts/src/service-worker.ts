// For service workers, which can't import modules later: the same, with the engine in it.

import { provideHost } from "./connect.js";
import { serveHere } from "./here.js";

provideHost(serveHere);

export * from "./index.js";
