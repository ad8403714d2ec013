// y = the splits of decode attention, merged (input/merge.wgsl): a thread four numbers.
//!import scalar
//!import input/merge
const THREADS: u32 = 64u;
const Y_STRIDE: u32 = 1u;

@group(0) @binding(2) var<storage, read_write> y: array<scalar>; // [tokens, Y_STRIDE]

@compute @workgroup_size(THREADS)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(local_invocation_index) thread: u32,
) {
    let token = group.y;
    let item = group.x * THREADS + thread;
    input_begin(token, thread);
    if (item >= HEADS * HEAD_DIM4) {
        return;
    }
    let sum = input4(token, item);
    for (var i = 0u; i < 4u; i++) {
        y[token * Y_STRIDE + 4u * item + i] = to_scalar(sum[i]);
    }
}
