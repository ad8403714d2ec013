// y = (x - mean)/sqrt(variance + eps)·gain + bias, a row a workgroup (Ba et al. 2016).
//!import scalar
//!import reduce
//!import bias
//!import lib/columns
//!import lib/step
const THREADS: u32 = 64u;
const LANES: u32 = 1u;
const COLS: u32 = 1u;
const STRIDE4: u32 = 1u;
const EPS: f32 = 1e-5;
const FIRST_ROW: u32 = 0u;
const GATHER: bool = false; // row i of y is the token of row i of the logits

@group(0) @binding(1) var<storage, read> x: array<vec4f>; // [tokens, STRIDE4]
@group(0) @binding(2) var<storage, read_write> y: array<scalar4>; // [rows, STRIDE4]
@group(0) @binding(4) var<storage, read> gain: array<vec4f>;

@compute @workgroup_size(THREADS)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(local_invocation_index) thread: u32,
) {
    var row = group.x;
    if (GATHER) {
        row = step_output_token(group.x);
    }
    var sum = vec4f();
    for (var i = thread; i < STRIDE4; i += THREADS) {
        sum += masked(x[row * STRIDE4 + i], i);
    }
    let mean = reduce_add(dot(sum, vec4(1.0)), thread) / f32(COLS);
    // A second pass over x: the difference of two large sums would lose digits.
    var squares = 0.0;
    for (var i = thread; i < STRIDE4; i += THREADS) {
        let value = masked(x[row * STRIDE4 + i] - mean, i);
        squares += dot(value, value);
    }
    let scale = inverseSqrt(reduce_add(squares, thread) / f32(COLS) + EPS);
    for (var i = thread; i < STRIDE4; i += THREADS) {
        let at = 4u * i;
        let bias = vec4(bias_at(at), bias_at(at + 1u), bias_at(at + 2u), bias_at(at + 3u));
        let value = masked(x[row * STRIDE4 + i] - mean, i) * scale * gain[i] + bias;
        y[group.x * STRIDE4 + i] = to_scalar4(value);
    }
}
