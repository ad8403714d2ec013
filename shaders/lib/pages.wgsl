// The paged KV cache: [page][kv head][slot][head_dim], the same for keys and values.
//!import lib/step
const PAGE: u32 = 32u;
const PAGES_PER_SEQUENCE: u32 = 1u;

// [sequences, PAGES_PER_SEQUENCE] page numbers.
@group(0) @binding(3) var<storage, read> pages: array<u32>;

// Index, counted in head vectors, of (sequence, position, kv head) in the cache.
fn cache_vector(sequence: u32, position: u32, kv_head: u32) -> u32 {
    let page = pages[sequence * PAGES_PER_SEQUENCE + position / PAGE];
    return (page * KV_HEADS + kv_head) * PAGE + position % PAGE;
}
