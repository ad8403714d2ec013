// y = x: the residual stream as an activation, for layers without a norm before them.
//!import scalar
const THREADS: u32 = 64u;
const STRIDE4: u32 = 1u;

@group(0) @binding(1) var<storage, read> x: array<vec4f>; // [tokens, STRIDE4]
@group(0) @binding(2) var<storage, read_write> y: array<scalar4>; // [tokens, STRIDE4]

@compute @workgroup_size(THREADS)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(local_invocation_index) thread: u32,
) {
    let i = group.x * THREADS + thread;
    if (i < STRIDE4) {
        let value = x[group.y * STRIDE4 + i];
        y[group.y * STRIDE4 + i] = to_scalar4(value);
    }
}
