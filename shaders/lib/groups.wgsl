// How pairs of tokens and experts are listed by expert: TILES tiles of TILE_WORDS words
// (expert, first pair in the list, count), then the list. group.wgsl writes it.
const TILES: u32 = 1u; // that there is room for

const TILE_WORDS: u32 = 3u;
const PAIRS_AT: u32 = TILES * TILE_WORDS;
