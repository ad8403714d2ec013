// y = f(gate)·up: a gated unit (Shazeer 2020), of two values or of one whose columns alternate.
//!import scalar
//!import gate
const THREADS: u32 = 64u;
const COLS: u32 = 1u;
const X_STRIDE: u32 = 1u;
const Y_STRIDE: u32 = 1u;
const INTERLEAVED: bool = false;

@group(0) @binding(1) var<storage, read> x: array<scalar>; // gate: [tokens, X_STRIDE]
@group(0) @binding(2) var<storage, read_write> y: array<scalar>; // [tokens, Y_STRIDE]
@group(0) @binding(10) var<storage, read> up: array<scalar>; // [tokens, X_STRIDE]; x, if INTERLEAVED

@compute @workgroup_size(THREADS)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(local_invocation_index) thread: u32,
) {
    let i = group.x * THREADS + thread;
    if (i < COLS) {
        let at = group.y * X_STRIDE + select(i, 2u * i, INTERLEAVED);
        let other = at + select(0u, 1u, INTERLEAVED);
        y[group.y * Y_STRIDE + i] = to_scalar(gated(f32(x[at]), f32(up[other])));
    }
}
