// interface input: where a matvec takes x from. Here the splits of decode attention, merged on
// the way in, one row at a time: split s left o_s = Σ exp(score - m_s)·v / l_s, its largest
// score m_s and l_s = Σ exp(score - m_s). With M = max m_s the result is Σ f_s·o_s, where
// f_s = l_s·exp(m_s - M) / Σ l_s·exp(m_s - M).
//!import lib/step
const HEADS: u32 = 1u;
const SPLITS: u32 = 1u;
const HEAD_DIM4: u32 = 1u;
const AT_ONCE: u32 = 1u; // splits that a thread loads before it waits; divides SPLITS

// [tokens, SPLITS, HEADS, HEAD_DIM4] and [tokens, SPLITS, HEADS] (m, l).
@group(0) @binding(4) var<storage, read> partials: array<packed4>;
@group(0) @binding(5) var<storage, read> stats: array<vec2f>;

var<workgroup> merge_factors: array<f32, SPLITS * HEADS>;

// (m, l) of splits s, s + 1, …; behind the last one it once more, but without weight.
fn merge_stats(row: u32, head: u32, s: u32) -> array<vec2f, AT_ONCE> {
    var found = array<vec2f, AT_ONCE>();
    //!unroll
    for (var i = 0u; i < AT_ONCE; i++) {
        let at = min(s + i, step_splits() - 1u);
        found[i] = stats[(row * SPLITS + at) * HEADS + head];
        found[i].y = select(found[i].y, 0.0, s + i > at);
    }
    return found;
}

fn input_begin(row: u32, thread: u32) {
    let splits = step_splits();
    for (var head = thread; head < HEADS; head += THREADS) {
        var largest = -3.0e38;
        for (var s = 0u; s < splits; s += AT_ONCE) {
            var found = merge_stats(row, head, s);
            //!unroll
            for (var i = 0u; i < AT_ONCE; i++) {
                largest = max(largest, found[i].x);
            }
        }
        var sum = 0.0;
        for (var s = 0u; s < splits; s += AT_ONCE) {
            var found = merge_stats(row, head, s);
            //!unroll
            for (var i = 0u; i < AT_ONCE; i++) {
                let factor = found[i].y * exp(found[i].x - largest);
                merge_factors[(s + i) * HEADS + head] = factor;
                sum += factor;
            }
        }
        for (var s = 0u; s < splits; s++) {
            merge_factors[s * HEADS + head] /= sum;
        }
    }
    workgroupBarrier();
}

fn input4(row: u32, index4: u32) -> vec4f {
    let head = index4 / HEAD_DIM4;
    let splits = step_splits();
    var sum = vec4f();
    for (var s = 0u; s < splits; s += AT_ONCE) {
        var parts = array<vec4f, AT_ONCE>();
        //!unroll
        for (var i = 0u; i < AT_ONCE; i++) {
            let at = row * SPLITS + min(s + i, splits - 1u);
            parts[i] = unpacked4(partials[at * HEADS * HEAD_DIM4 + index4]);
        }
        //!unroll
        for (var i = 0u; i < AT_ONCE; i++) {
            sum += merge_factors[(s + i) * HEADS + head] * parts[i];
        }
    }
    return sum;
}

fn input_scale(thread: u32) -> f32 {
    return 1.0;
}
