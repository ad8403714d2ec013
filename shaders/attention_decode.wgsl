// softmax(q·Kᵀ·SCALE)·V of one token, SHARE query heads of one kv head and one split of
// the context: they share its keys. Leaves the split's unnormalised sum,
// largest score and sum of exponentials (flash-decoding); lib/merge.wgsl joins them.
//!import scalar
//!import kv
//!import lib/pages
//!import lib/cap
//!import sink
//!import lib/value
const THREADS: u32 = 64u;
const HEADS: u32 = 1u;
const KV_HEADS: u32 = 1u;
const HEAD_DIM: u32 = 4u;
const VALUE_DIM: u32 = 4u; // numbers of a value that count, the first
const SHARE: u32 = 1u; // query heads a workgroup; divides HEADS / KV_HEADS
const SPLITS: u32 = 1u;
const SCALE: f32 = 1.0;
const Q_STRIDE4: u32 = 1u;
const CAP: f32 = 0.0; // of scores; 0: none
const WINDOW: u32 = 0u; // a query sees so many positions, its own the last; 0: all

const DIM4: u32 = HEAD_DIM / 4u;
const VALUE4: u32 = VALUE_DIM / 4u;
const ITEMS: u32 = SHARE * VALUE4;
const EACH: u32 = (ITEMS + THREADS - 1u) / THREADS;
const LOWEST: f32 = -3.0e38;

@group(0) @binding(1) var<storage, read> q: array<scalar4>; // [tokens, Q_STRIDE4]
// [tokens, SPLITS, HEADS, VALUE4] and [tokens, SPLITS, HEADS] (largest, sum).
@group(0) @binding(4) var<storage, read_write> partials: array<vec4f>;
@group(0) @binding(5) var<storage, read_write> stats: array<vec2f>;

var<workgroup> query: array<vec4f, SHARE * DIM4>;
var<workgroup> scores: array<f32, SHARE * PAGE>;

@compute @workgroup_size(THREADS)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(local_invocation_index) thread: u32,
) {
    let first_head = group.x * SHARE;
    let kv_head = first_head / (HEADS / KV_HEADS);
    let split = group.y;
    let token = group.z;
    let sequence = step_sequence(token);
    let length = step_position(token) + 1u;
    var begin = 0u; // the first position in the window
    if (WINDOW > 0u) {
        begin = max(length, WINDOW) - WINDOW;
    }
    let page_begin = begin / PAGE;
    let page_end = (length + PAGE - 1u) / PAGE;
    let pages_each = (page_end - page_begin + step_splits() - 1u) / step_splits();
    let first_page = page_begin + split * pages_each;
    let last_page = min(first_page + pages_each, page_end);

    for (var i = thread; i < SHARE * DIM4; i += THREADS) {
        query[i] = vec4f(q[token * Q_STRIDE4 + first_head * DIM4 + i]) * SCALE;
    }
    var sums: array<vec4f, EACH>;
    var largest: array<f32, EACH>;
    var weight: array<f32, EACH>;
    for (var e = 0u; e < EACH; e++) {
        largest[e] = LOWEST;
        // The first split has the sink.
        if (split == 0u) {
            let item = min(thread + e * THREADS, ITEMS - 1u);
            largest[e] = sink_score(first_head + item / VALUE4);
            weight[e] = sink_weight();
        }
    }
    workgroupBarrier();
    for (var page = first_page; page < last_page; page++) {
        let base = cache_vector(sequence, page * PAGE, kv_head) * DIM4;
        let keys_here = min(PAGE, length - page * PAGE);
        for (var i = thread; i < SHARE * PAGE; i += THREADS) {
            let slot = i % PAGE;
            var score = LOWEST;
            if (slot < keys_here && page * PAGE + slot >= begin) {
                score = 0.0;
                for (var d = 0u; d < DIM4; d++) {
                    score += dot(query[i / PAGE * DIM4 + d], key4(base + slot * DIM4 + d));
                }
                score = capped(score);
            }
            scores[i] = score;
        }
        workgroupBarrier();
        for (var e = 0u; e < EACH; e++) {
            let item = thread + e * THREADS;
            if (item < ITEMS) {
                let at = item / VALUE4 * PAGE;
                var top = largest[e];
                for (var k = 0u; k < keys_here; k++) {
                    top = max(top, scores[at + k]);
                }
                let shrink = exp(largest[e] - top);
                var sum = sums[e] * shrink;
                var total = weight[e] * shrink;
                for (var k = 0u; k < keys_here; k++) {
                    let p = exp(scores[at + k] - top);
                    total += p;
                    sum += p * attended4(base + k * DIM4 + item % VALUE4);
                }
                sums[e] = sum;
                weight[e] = total;
                largest[e] = top;
            }
        }
        workgroupBarrier();
    }
    for (var e = 0u; e < EACH; e++) {
        let item = thread + e * THREADS;
        if (item < ITEMS) {
            let head = first_head + item / VALUE4;
            let at = (token * SPLITS + split) * HEADS + head;
            partials[at * VALUE4 + item % VALUE4] = sums[e];
            if (item % VALUE4 == 0u) {
                stats[at] = vec2(largest[e], weight[e]);
            }
        }
    }
}
