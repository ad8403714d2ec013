// Rotary position embedding (Su et al. 2021) of queries and keys, then keys and
// values into the paged cache. A pair (a, b) at angle φ = position·frequency
// becomes (a·cos φ - b·sin φ, a·sin φ + b·cos φ). A workgroup has a head of one token.
//!import scalar
//!import norm
//!import kv
//!import lib/pages
//!import lib/rope
const THREADS: u32 = 64u;
const HEADS: u32 = 1u;
const KV_HEADS: u32 = 1u;
const HEAD_DIM: u32 = 4u;
const QUERY_STRIDE: u32 = 1u;
const KV_STRIDE: u32 = 1u;
const KV_FIRST: u32 = 0u; // of the keys in their row
const Q_STRIDE: u32 = 1u;

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

// Element `i` of the head vector that starts at `first`, turned.
fn turned(first: u32, i: u32, rows: vec2<u32>, is_query: bool) -> f32 {
    let own = normed(number(first + i, is_query), i, is_query);
    if (!rotates(i)) {
        return own;
    }
    let at = rotation(i);
    let angle = turn(rows, at.pair);
    let other = normed(number(first + at.other, is_query), at.other, is_query);
    return own * angle.x + select(-other, other, at.second) * angle.y;
}

@compute @workgroup_size(THREADS)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(local_invocation_index) thread: u32,
) {
    let token = group.y;
    let position = step_position(token);
    let rows = rope_rows(token);
    if (group.x < HEADS) {
        let first = token * QUERY_STRIDE + group.x * HEAD_DIM;
        norm_begin(first, true, thread);
        let temperature = query_temperature(position);
        for (var i = thread; i < HEAD_DIM; i += THREADS) {
            let value = temperature * turned(first, i, rows, true);
            q[token * Q_STRIDE + group.x * HEAD_DIM + i] = to_scalar(value);
        }
        return;
    }
    // Heads of keys, then of values.
    let part = group.x - HEADS;
    let is_value = part >= KV_HEADS;
    let first = token * KV_STRIDE + KV_FIRST + part * HEAD_DIM;
    if (!is_value) {
        norm_begin(first, false, thread);
    }
    let vector = cache_vector(step_sequence(token), position, part % KV_HEADS);
    for (var b = thread; b < HEAD_DIM / KV_BLOCK; b += THREADS) {
        let block = vector * (HEAD_DIM / KV_BLOCK) + b;
        var numbers: array<vec4f, KV_BLOCK / 4u>;
        for (var i = 0u; i < KV_BLOCK; i++) {
            let at = b * KV_BLOCK + i;
            if (is_value) {
                numbers[i / 4u][i % 4u] = number(first + at, false);
            } else {
                numbers[i / 4u][i % 4u] = turned(first, at, rows, false);
            }
        }
        if (is_value) {
            store_values(block, &numbers);
        } else {
            store_keys(block, &numbers);
        }
    }
}
