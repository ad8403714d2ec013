// Joining the splits of decode attention: split s left the sum o_s of
// exp(score - m_s)·v, its largest score m_s and l_s = Σ exp(score - m_s). With
// M = max m_s the result is Σ o_s·exp(m_s - M) / Σ l_s·exp(m_s - M).
//!import lib/step
const HEADS: u32 = 1u;
const SPLITS: u32 = 1u;

// [tokens, SPLITS, HEADS, head_dim / 4] and [tokens, SPLITS, HEADS] (m, l).
@group(0) @binding(4) var<storage, read> partials: array<vec4f>;
@group(0) @binding(5) var<storage, read> stats: array<vec2f>;

// (M, 1 / Σ l_s·exp(m_s - M)) of one head of one token.
fn merge_total(token: u32, head: u32) -> vec2f {
    var largest = -3.0e38;
    for (var s = 0u; s < step_splits(); s++) {
        largest = max(largest, stats[(token * SPLITS + s) * HEADS + head].x);
    }
    var sum = 0.0;
    for (var s = 0u; s < step_splits(); s++) {
        let split = stats[(token * SPLITS + s) * HEADS + head];
        sum += split.y * exp(split.x - largest);
    }
    return vec2(largest, 1.0 / sum);
}

// What o_s is to be multiplied with.
fn merge_factor(token: u32, head: u32, split: u32, total: vec2f) -> f32 {
    return exp(stats[(token * SPLITS + split) * HEADS + head].x - total.x) * total.y;
}
