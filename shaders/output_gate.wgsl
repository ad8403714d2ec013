// y = norm(x)⊙f(gate), head by head, in place: x is the result of a mixer, the norm an RMS
// norm or none. A workgroup has a head of one token.
//!import scalar
//!import norm
//!import activation
const THREADS: u32 = 64u;
const HEAD_DIM: u32 = 4u;
const STRIDE: u32 = 1u;
const GATE_STRIDE: u32 = 1u;
const GATE_FIRST: u32 = 0u; // of the gate in its row

@group(0) @binding(1) var<storage, read> gate: array<scalar>; // [tokens, GATE_STRIDE]
@group(0) @binding(2) var<storage, read_write> y: array<scalar>; // [tokens, STRIDE]

// For `norm`: all heads are of one kind.
fn number(at: u32, is_query: bool) -> f32 {
    return f32(y[at]);
}

@compute @workgroup_size(THREADS)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(local_invocation_index) thread: u32,
) {
    let head = group.x * HEAD_DIM;
    let first = group.y * STRIDE + head;
    let gates = group.y * GATE_STRIDE + GATE_FIRST + head;
    norm_begin(first, true, thread);
    for (var i = thread; i < HEAD_DIM; i += THREADS) {
        let value = normed(number(first + i, true), i, true);
        y[first + i] = to_scalar(value * activate(f32(gate[gates + i])));
    }
}
