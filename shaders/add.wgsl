// y = x + FACTOR·h: a layer's result added to the residual stream.
//!import scalar
const THREADS: u32 = 64u;
const COLS: u32 = 1u;
const X_STRIDE: u32 = 1u;
const Y_STRIDE: u32 = 1u;
const FACTOR: f32 = 1.0;

@group(0) @binding(1) var<storage, read> x: array<scalar>; // h: [tokens, X_STRIDE]
@group(0) @binding(2) var<storage, read_write> y: array<f32>; // [tokens, Y_STRIDE]
@group(0) @binding(4) var<storage, read> residual: array<f32>; // [tokens, Y_STRIDE]

@compute @workgroup_size(THREADS)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(local_invocation_index) thread: u32,
) {
    let i = group.x * THREADS + thread;
    if (i < COLS) {
        let at = group.y * Y_STRIDE + i;
        y[at] = residual[at] + FACTOR * f32(x[group.y * X_STRIDE + i]);
    }
}
