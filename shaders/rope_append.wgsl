// Rotary position embedding (Su et al. 2021) of queries and keys, then keys and
// values into the paged cache. A pair (a, b) at angle φ = position·frequency
// becomes (a·cos φ - b·sin φ, a·sin φ + b·cos φ).
//!import scalar
//!import kv
//!import lib/pages
//!import lib/rope
const THREADS: u32 = 64u;
const HEADS: u32 = 1u;
const KV_HEADS: u32 = 1u;
const HEAD_DIM: u32 = 4u;
const VALUES: bool = true; // there are values behind the keys
const QUERY_STRIDE: u32 = 1u;
const KV_STRIDE: u32 = 1u;
const KV_FIRST: u32 = 0u; // of the keys in their row
const Q_STRIDE: u32 = 1u;

const Q_ITEMS: u32 = HEADS * HEAD_DIM / 4u;
const KV_ITEMS: u32 = KV_HEADS * HEAD_DIM / KV_BLOCK;

// Both are the same rows where queries, keys and values are.
@group(0) @binding(1) var<storage, read> queries: array<scalar>; // [tokens, QUERY_STRIDE]
@group(0) @binding(5) var<storage, read> kv: array<scalar>; // [tokens, KV_STRIDE]
@group(0) @binding(2) var<storage, read_write> q: array<scalar>; // [tokens, Q_STRIDE]
// A number of a query or a key.
fn number(at: u32, is_query: bool) -> f32 {
    if (is_query) {
        return f32(queries[at]);
    }
    return f32(kv[at]);
}

// Element `i` of the head vector that starts at `at`, turned.
fn turned(at: u32, i: u32, position: u32, is_query: bool) -> f32 {
    let own = number(at + i, is_query);
    if (i < ROPE_FIRST || i - ROPE_FIRST >= ROPE_DIM) {
        return own;
    }
    let r = i - ROPE_FIRST;
    let pair = select(r % HALF, r / 2u, NEIGHBOURS);
    let second = select(r >= HALF, r % 2u == 1u, NEIGHBOURS);
    let reach = select(HALF, 1u, NEIGHBOURS);
    let angle = turn(position, pair);
    if (second) {
        return number(at + i - reach, is_query) * angle.y + own * angle.x;
    }
    return own * angle.x - number(at + i + reach, is_query) * angle.y;
}

@compute @workgroup_size(THREADS)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(local_invocation_index) thread: u32,
) {
    let token = group.y;
    let position = step_position(token);
    var item = group.x * THREADS + thread;
    if (item < Q_ITEMS) {
        let row = token * QUERY_STRIDE + item * 4u / HEAD_DIM * HEAD_DIM;
        let heat = query_heat(position);
        for (var i = 0u; i < 4u; i++) {
            let value = heat * turned(row, item * 4u % HEAD_DIM + i, position, true);
            q[token * Q_STRIDE + item * 4u + i] = to_scalar(value);
        }
        return;
    }
    item -= Q_ITEMS;
    if (item >= select(1u, 2u, VALUES) * KV_ITEMS) {
        return;
    }
    let is_value = item >= KV_ITEMS;
    item = item % KV_ITEMS;
    let head = item * KV_BLOCK / HEAD_DIM;
    let column = item * KV_BLOCK % HEAD_DIM;
    let vector = cache_vector(step_sequence(token), position, head);
    let block = (vector * HEAD_DIM + column) / KV_BLOCK;
    let row = token * KV_STRIDE + KV_FIRST + head * HEAD_DIM;
    var part: array<vec4f, KV_BLOCK / 4u>;
    if (is_value) {
        let at = row + KV_HEADS * HEAD_DIM + column;
        for (var i = 0u; i < KV_BLOCK; i++) {
            part[i / 4u][i % 4u] = number(at + i, false);
        }
        store_values(block, &part);
    } else {
        for (var i = 0u; i < KV_BLOCK; i++) {
            part[i / 4u][i % 4u] = turned(row, column + i, position, false);
        }
        store_keys(block, &part);
    }
}
