// y = the splits of decode attention, merged (lib/merge.wgsl): a thread four numbers.
//!import scalar
//!import lib/merge
const THREADS: u32 = 64u;
const HEAD_DIM4: u32 = 1u;
const Y_STRIDE: u32 = 1u;

@group(0) @binding(2) var<storage, read_write> y: array<scalar>; // [tokens, Y_STRIDE]

@compute @workgroup_size(THREADS)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(local_invocation_index) thread: u32,
) {
    let token = group.y;
    let item = group.x * THREADS + thread;
    if (item >= HEADS * HEAD_DIM4) {
        return;
    }
    let head = item / HEAD_DIM4;
    let total = merge_total(token, head);
    var sum = vec4f();
    for (var s = 0u; s < step_splits(); s++) {
        let at = (token * SPLITS + s) * HEADS * HEAD_DIM4 + item;
        sum += merge_factor(token, head, s, total) * partials[at];
    }
    for (var i = 0u; i < 4u; i++) {
        y[token * Y_STRIDE + 4u * item + i] = to_scalar(sum[i]);
    }
}
