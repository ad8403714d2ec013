export { WispError } from "./error.js";
export { load, planMemory } from "./load.js";
export { deleteModel, listModels, quota } from "./store/models.js";
export { checkSupport } from "./support.js";
export type * from "./types.js";
