// y = f(x), number by number: an activation; FACTOR times, and with a CAP kept within ±CAP.
//!import scalar
//!import activation
//!import lib/cap
const THREADS: u32 = 64u;
const COLS: u32 = 1u;
const X_STRIDE: u32 = 1u;
const Y_STRIDE: u32 = 1u;
const FACTOR: f32 = 1.0;
const CAP: f32 = 0.0;

@group(0) @binding(1) var<storage, read> x: array<scalar>; // [tokens, X_STRIDE]
@group(0) @binding(2) var<storage, read_write> y: array<scalar>; // [tokens, Y_STRIDE]

@compute @workgroup_size(THREADS)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(local_invocation_index) thread: u32,
) {
    let i = group.x * THREADS + thread;
    if (i < COLS) {
        let value = activate(f32(x[group.y * X_STRIDE + i]));
        y[group.y * Y_STRIDE + i] = to_scalar(capped(FACTOR * value));
    }
}
