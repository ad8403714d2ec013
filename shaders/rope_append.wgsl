// Rotary position embedding (Su et al. 2021) of queries and keys, then keys and
// values into the paged cache. A pair (a, b) at angle φ = position·frequency
// becomes (a·cos φ - b·sin φ, a·sin φ + b·cos φ).
//!import scalar
//!import kv
//!import lib/pages
const THREADS: u32 = 64u;
const HEADS: u32 = 1u;
const KV_HEADS: u32 = 1u;
const HEAD_DIM: u32 = 4u;
const ROPE_DIM: u32 = 4u; // the first so many of a head turn
const NEIGHBOURS: bool = true; // pairs are (2i, 2i + 1), else (i, i + ROPE_DIM / 2)
const QKV_STRIDE: u32 = 1u;
const Q_STRIDE: u32 = 1u;

const HALF: u32 = max(ROPE_DIM / 2u, 1u);
const FINE: u32 = 256u;
const Q_ITEMS: u32 = HEADS * HEAD_DIM / 4u;
const KV_ITEMS: u32 = KV_HEADS * HEAD_DIM / KV_BLOCK;

@group(0) @binding(1) var<storage, read> qkv: array<scalar>; // [tokens, QKV_STRIDE]
@group(0) @binding(2) var<storage, read_write> q: array<scalar>; // [tokens, Q_STRIDE]
// (cos, sin) of the angles of positions 0 … FINE-1, then of 0, FINE, 2·FINE, …:
// each [HALF]. Their product as complex numbers is exact to rounding at any
// position, where cos() of a large angle is not.
@group(0) @binding(4) var<storage, read> rope: array<vec2f>;

fn turn(position: u32, pair: u32) -> vec2f {
    let fine = rope[position % FINE * HALF + pair];
    let coarse = rope[(FINE + position / FINE) * HALF + pair];
    return vec2(fine.x * coarse.x - fine.y * coarse.y, fine.x * coarse.y + fine.y * coarse.x);
}

// Element `i` of the head vector that starts at `at`, turned.
fn turned(at: u32, i: u32, position: u32) -> f32 {
    let own = f32(qkv[at + i]);
    if (i >= ROPE_DIM) {
        return own;
    }
    let pair = select(i % HALF, i / 2u, NEIGHBOURS);
    let second = select(i >= HALF, i % 2u == 1u, NEIGHBOURS);
    let reach = select(HALF, 1u, NEIGHBOURS);
    let angle = turn(position, pair);
    if (second) {
        return f32(qkv[at + i - reach]) * angle.y + own * angle.x;
    }
    return own * angle.x - f32(qkv[at + i + reach]) * angle.y;
}

@compute @workgroup_size(THREADS)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(local_invocation_index) thread: u32,
) {
    let token = group.y;
    let position = step_position(token);
    let row = token * QKV_STRIDE;
    var item = group.x * THREADS + thread;
    if (item < Q_ITEMS) {
        let head = item * 4u / HEAD_DIM;
        for (var i = 0u; i < 4u; i++) {
            let value = turned(row + head * HEAD_DIM, item * 4u % HEAD_DIM + i, position);
            q[token * Q_STRIDE + item * 4u + i] = to_scalar(value);
        }
        return;
    }
    item -= Q_ITEMS;
    if (item >= 2u * KV_ITEMS) {
        return;
    }
    let is_value = item >= KV_ITEMS;
    item = item % KV_ITEMS;
    let head = item * KV_BLOCK / HEAD_DIM;
    let column = item * KV_BLOCK % HEAD_DIM;
    let vector = cache_vector(step_sequence(token), position, head);
    let block = (vector * HEAD_DIM + column) / KV_BLOCK;
    var part: array<vec4f, KV_BLOCK / 4u>;
    if (is_value) {
        let at = row + (HEADS + KV_HEADS + head) * HEAD_DIM + column;
        for (var i = 0u; i < KV_BLOCK; i++) {
            part[i / 4u][i % 4u] = f32(qkv[at + i]);
        }
        store_values(block, &part);
    } else {
        let at = row + (HEADS + head) * HEAD_DIM;
        for (var i = 0u; i < KV_BLOCK; i++) {
            part[i / 4u][i % 4u] = turned(at, column + i, position);
        }
        store_keys(block, &part);
    }
}
