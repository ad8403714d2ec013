// Rotary position embedding (Su et al. 2021) of the heads of a row: a pair (a, b) at angle
// φ = position·frequency becomes (a·cos φ - b·sin φ, a·sin φ + b·cos φ). A workgroup has a head
// of one token.
//!import scalar
//!import lib/rope
const THREADS: u32 = 64u;
const HEAD_DIM: u32 = 4u;
const X_STRIDE: u32 = 1u;
const Y_STRIDE: u32 = 1u;

@group(0) @binding(1) var<storage, read> x: array<scalar>; // [tokens, X_STRIDE]
@group(0) @binding(2) var<storage, read_write> y: array<scalar>; // [tokens, Y_STRIDE]

@compute @workgroup_size(THREADS)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(local_invocation_index) thread: u32,
) {
    let token = group.y;
    let rows = rope_rows(token);
    let first = token * X_STRIDE + group.x * HEAD_DIM;
    let temperature = query_temperature(step_position(token));
    for (var i = thread; i < HEAD_DIM; i += THREADS) {
        var value = f32(x[first + i]);
        if (rotates(i)) {
            let at = rotation(i);
            let angle = turn(rows, at.pair);
            let other = f32(x[first + at.other]);
            value = value * angle.x + select(-other, other, at.second) * angle.y;
        }
        y[token * Y_STRIDE + group.x * HEAD_DIM + i] = to_scalar(temperature * value);
    }
}
