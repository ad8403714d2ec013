// softmax(q·Kᵀ·SCALE)·V of one token, SHARE query heads of one kv head and one split of
// the context: they share its keys. Leaves the split's unnormalised sum, largest score
// and sum of exponentials (flash-decoding); lib/merge.wgsl joins them. A page at a time:
// scores, their exponentials, the sum; a thread has several heads, slots or parts of a
// value for what it loads, as the adapter is tuned.
//!import scalar
//!import kv
//!import lib/pages
//!import lib/cap
//!import sink
//!import lib/value
//!import lib/window
const THREADS: u32 = 64u;
const HEADS: u32 = 1u;
const KV_HEADS: u32 = 1u;
const HEAD_DIM: u32 = 4u;
const VALUE_DIM: u32 = 4u; // numbers of a value that count, the first
const SHARE: u32 = 1u; // query heads a workgroup; divides HEADS / KV_HEADS
const HEADS_EACH: u32 = 1u; // query heads a thread; divides SHARE
const SLOTS_EACH: u32 = 1u; // keys a thread; divides PAGE
const VALUES_EACH: u32 = 1u; // fours of a value a thread
const SPLITS: u32 = 1u;
const SCALE: f32 = 1.0;
const Q_STRIDE4: u32 = 1u;
const CAP: f32 = 0.0; // of scores; 0: none

const DIM4: u32 = HEAD_DIM / 4u;
const VALUE4: u32 = VALUE_DIM / 4u;
const BLOCKS: u32 = SHARE / HEADS_EACH; // of heads
const SLOTS: u32 = PAGE / SLOTS_EACH; // threads along a page
const PARTS: u32 = (VALUE4 + VALUES_EACH - 1u) / VALUES_EACH; // threads along a value
const EACH: u32 = (BLOCKS * PARTS + THREADS - 1u) / THREADS;
const ALL: u32 = HEADS_EACH * VALUES_EACH;
const LOWEST: f32 = -3.0e38;

@group(0) @binding(1) var<storage, read> q: array<scalar4>; // [tokens, Q_STRIDE4]
// [tokens, SPLITS, HEADS, VALUE4] and [tokens, SPLITS, HEADS] (largest, sum).
@group(0) @binding(4) var<storage, read_write> partials: array<vec4f>;
@group(0) @binding(5) var<storage, read_write> stats: array<vec2f>;

var<workgroup> query: array<vec4f, SHARE * DIM4>;
var<workgroup> scores: array<f32, SHARE * PAGE>; // then their exponentials
var<workgroup> tops: array<f32, SHARE * SLOTS>; // of each thread's scores
var<workgroup> page_tops: array<f32, SHARE>;

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
    let begin = window_begin(token);
    let length = window_end(token);
    let page_begin = begin / PAGE;
    let page_end = (length + PAGE - 1u) / PAGE;
    let pages_each = (page_end - page_begin + step_splits() - 1u) / step_splits();
    let first_page = page_begin + split * pages_each;
    let last_page = min(first_page + pages_each, page_end);

    for (var i = thread; i < SHARE * DIM4; i += THREADS) {
        query[i] = vec4f(q[token * Q_STRIDE4 + first_head * DIM4 + i]) * SCALE;
    }
    var sums: array<vec4f, EACH * ALL>;
    var largest: array<f32, EACH * HEADS_EACH>;
    var weight: array<f32, EACH * HEADS_EACH>;
    for (var e = 0u; e < EACH; e++) {
        let item = min(thread + e * THREADS, BLOCKS * PARTS - 1u);
        for (var h = 0u; h < HEADS_EACH; h++) {
            largest[e * HEADS_EACH + h] = LOWEST;
            // The first split has the sink.
            if (split == 0u) {
                let head = first_head + item / PARTS * HEADS_EACH + h;
                largest[e * HEADS_EACH + h] = sink_score(head);
                weight[e * HEADS_EACH + h] = sink_weight();
            }
        }
    }
    workgroupBarrier();
    for (var page = first_page; page < last_page; page++) {
        let base = cache_vector(sequence, page * PAGE, kv_head) * DIM4;
        let here = page * PAGE;
        for (var item = thread; item < BLOCKS * SLOTS; item += THREADS) {
            let head = item / SLOTS * HEADS_EACH;
            let slot = item % SLOTS;
            score_page(head, slot, base, begin, length, here);
        }
        workgroupBarrier();
        for (var i = thread; i < SHARE * PAGE; i += THREADS) {
            let head = i / PAGE;
            var top = LOWEST;
            for (var s = 0u; s < SLOTS; s++) {
                top = max(top, tops[head * SLOTS + s]);
            }
            scores[i] = exp(scores[i] - top);
            if (i % PAGE == 0u) {
                page_tops[head] = top;
            }
        }
        workgroupBarrier();
        let keys_here = min(PAGE, length - here);
        for (var e = 0u; e < EACH; e++) {
            let item = thread + e * THREADS;
            if (item < BLOCKS * PARTS) {
                let head = item / PARTS * HEADS_EACH;
                let part = item % PARTS;
                var own: array<vec4f, ALL>;
                var total: array<f32, HEADS_EACH>;
                for (var k = 0u; k < keys_here; k++) {
                    var p: array<f32, HEADS_EACH>;
                    //!unroll
                    for (var h = 0u; h < HEADS_EACH; h++) {
                        p[h] = scores[(head + h) * PAGE + k];
                        total[h] += p[h];
                    }
                    //!unroll
                    for (var v = 0u; v < VALUES_EACH; v++) {
                        // Beyond the value: not stored.
                        let at = min(part + v * PARTS, VALUE4 - 1u);
                        let value = attended4(base + k * DIM4 + at);
                        //!unroll
                        for (var h = 0u; h < HEADS_EACH; h++) {
                            own[h * VALUES_EACH + v] += p[h] * value;
                        }
                    }
                }
                for (var h = 0u; h < HEADS_EACH; h++) {
                    let at = e * HEADS_EACH + h;
                    let page_top = page_tops[head + h];
                    let top = max(largest[at], page_top);
                    let shrink = exp(largest[at] - top);
                    let grow = exp(page_top - top);
                    largest[at] = top;
                    weight[at] = weight[at] * shrink + total[h] * grow;
                    for (var v = 0u; v < VALUES_EACH; v++) {
                        let i = at * VALUES_EACH + v;
                        sums[i] = sums[i] * shrink + own[h * VALUES_EACH + v] * grow;
                    }
                }
            }
        }
        workgroupBarrier();
    }
    for (var e = 0u; e < EACH; e++) {
        let item = thread + e * THREADS;
        if (item < BLOCKS * PARTS) {
            for (var h = 0u; h < HEADS_EACH; h++) {
                let head = first_head + item / PARTS * HEADS_EACH + h;
                let at = (token * SPLITS + split) * HEADS + head;
                for (var v = 0u; v < VALUES_EACH; v++) {
                    let part = item % PARTS + v * PARTS;
                    if (part < VALUE4) {
                        let i = (e * HEADS_EACH + h) * VALUES_EACH + v;
                        partials[at * VALUE4 + part] = sums[i];
                    }
                }
                if (item % PARTS == 0u) {
                    let i = e * HEADS_EACH + h;
                    stats[at] = vec2(largest[i], weight[i]);
                }
            }
        }
    }
}

// Scores of HEADS_EACH heads from `head` on with the keys of `slot`, slot + SLOTS, … of
// a page whose first position is `here`, and the largest of them.
fn score_page(head: u32, slot: u32, base: u32, begin: u32, length: u32, here: u32) {
    var products: array<f32, HEADS_EACH * SLOTS_EACH>;
    for (var d = 0u; d < DIM4; d++) {
        var own: array<vec4f, HEADS_EACH>;
        //!unroll
        for (var h = 0u; h < HEADS_EACH; h++) {
            own[h] = query[(head + h) * DIM4 + d];
        }
        //!unroll
        for (var s = 0u; s < SLOTS_EACH; s++) {
            // What lies behind the last key is masked below.
            let key = key4(base + (slot + s * SLOTS) * DIM4 + d);
            //!unroll
            for (var h = 0u; h < HEADS_EACH; h++) {
                products[h * SLOTS_EACH + s] += dot(own[h], key);
            }
        }
    }
    for (var h = 0u; h < HEADS_EACH; h++) {
        var top = LOWEST;
        for (var s = 0u; s < SLOTS_EACH; s++) {
            let position = here + slot + s * SLOTS;
            let seen = position >= begin && position < length;
            let score = select(LOWEST, capped(products[h * SLOTS_EACH + s]), seen);
            scores[(head + h) * PAGE + slot + s * SLOTS] = score;
            top = max(top, score);
        }
        tops[(head + h) * SLOTS + slot] = top;
    }
}
