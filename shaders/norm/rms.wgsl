// interface norm: what becomes of a head of queries or keys before it turns. Here
// x·gain / sqrt(mean(x²) + eps), with gains for queries and for keys (Henry et al. 2020).
//!import reduce
const LANES: u32 = 1u;
const EPS: f32 = 1e-5;

@group(0) @binding(4) var<storage, read> gain: array<f32>; // [2, HEAD_DIM]

var<private> norm_scale: f32;

// Of the head that starts at `first`. Every thread must call it.
fn norm_begin(first: u32, is_query: bool, thread: u32) {
    var squares = 0.0;
    for (var i = thread; i < HEAD_DIM; i += THREADS) {
        let value = number(first + i, is_query);
        squares += value * value;
    }
    norm_scale = inverseSqrt(reduce_add(squares, thread) / f32(HEAD_DIM) + EPS);
}

// Its number i, which is `value`.
fn normed(value: f32, i: u32, is_query: bool) -> f32 {
    return value * norm_scale * gain[select(HEAD_DIM, 0u, is_query) + i];
}
