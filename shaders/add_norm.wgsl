// y += FACTOR·x·gain / sqrt(mean(x²) + eps), a row a workgroup: the norm behind a
// layer (Gemma 2, OLMo 2), added to the residual stream.
//!import reduce
//!import lib/columns
const THREADS: u32 = 64u;
const LANES: u32 = 1u;
const COLS: u32 = 1u;
const STRIDE4: u32 = 1u;
const EPS: f32 = 1e-5;
const FACTOR: f32 = 1.0;

@group(0) @binding(1) var<storage, read> x: array<vec4f>; // [tokens, STRIDE4]
@group(0) @binding(2) var<storage, read_write> y: array<vec4f>; // [tokens, STRIDE4]
@group(0) @binding(4) var<storage, read> gain: array<vec4f>;

@compute @workgroup_size(THREADS)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(local_invocation_index) thread: u32,
) {
    let row = group.x * STRIDE4;
    var squares = 0.0;
    for (var i = thread; i < STRIDE4; i += THREADS) {
        let value = masked(x[row + i], i);
        squares += dot(value, value);
    }
    let scale = FACTOR * inverseSqrt(reduce_add(squares, thread) / f32(COLS) + EPS);
    for (var i = thread; i < STRIDE4; i += THREADS) {
        y[row + i] += masked(x[row + i], i) * gain[i] * scale;
    }
}
