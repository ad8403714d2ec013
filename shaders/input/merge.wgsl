// interface input: where a matvec takes x from. Here the splits of decode
// attention, merged on the way in. One row at a time.
//!import lib/merge
const HEAD_DIM4: u32 = 1u;

var<workgroup> merge_factors: array<f32, SPLITS * HEADS>;

fn input_begin(row: u32, thread: u32) {
    for (var head = thread; head < HEADS; head += THREADS) {
        let total = merge_total(row, head);
        for (var s = 0u; s < step_splits(); s++) {
            merge_factors[s * HEADS + head] = merge_factor(row, head, s, total);
        }
    }
    workgroupBarrier();
}

fn input4(row: u32, index4: u32) -> vec4f {
    let head = index4 / HEAD_DIM4;
    var sum = vec4f();
    for (var s = 0u; s < step_splits(); s++) {
        let at = (row * SPLITS + s) * HEADS * HEAD_DIM4 + index4;
        sum += merge_factors[s * HEADS + head] * partials[at];
    }
    return sum;
}

fn input_scale(thread: u32) -> f32 {
    return 1.0;
}
