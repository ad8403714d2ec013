// RMS norm of parts of a row, in place: each of QUERIES parts of QUERY numbers, then
// of KEYS parts of KEY numbers, is x·gain / sqrt(mean(x²) + eps) with gains of its
// own kind (Henry et al. 2020: queries and keys before they turn). A part a workgroup.
//!import scalar
//!import reduce
const THREADS: u32 = 64u;
const LANES: u32 = 1u;
const QUERIES: u32 = 1u;
const QUERY: u32 = 4u;
const KEY: u32 = 4u;
const STRIDE: u32 = 1u;
const EPS: f32 = 1e-5;

@group(0) @binding(2) var<storage, read_write> y: array<scalar>; // [tokens, STRIDE]
@group(0) @binding(4) var<storage, read> gain: array<f32>; // [QUERY + KEY]

@compute @workgroup_size(THREADS)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(local_invocation_index) thread: u32,
) {
    let is_key = group.x >= QUERIES;
    let count = select(QUERY, KEY, is_key);
    let part = select(group.x * QUERY, QUERIES * QUERY + (group.x - QUERIES) * KEY, is_key);
    let first = group.y * STRIDE + part;
    let gains = select(0u, QUERY, is_key);
    var squares = 0.0;
    for (var i = thread; i < count; i += THREADS) {
        let value = f32(y[first + i]);
        squares += value * value;
    }
    let scale = inverseSqrt(reduce_add(squares, thread) / f32(count) + EPS);
    for (var i = thread; i < count; i += THREADS) {
        y[first + i] = to_scalar(f32(y[first + i]) * scale * gain[gains + i]);
    }
}
