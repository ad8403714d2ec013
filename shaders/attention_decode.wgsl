// softmax(q·Kᵀ·SCALE)·V of one token, ROWS query heads of one kv head and one split of
// the context: they share its keys. Leaves the split's unnormalised sum, largest score
// and sum of exponentials (flash-decoding); lib/merge.wgsl joins them.
//!import scalar
//!import kv
//!import lib/pages
//!import lib/attend
//!import lib/value
//!import lib/window
const THREADS: u32 = 64u;
const HEADS: u32 = 1u;
const KV_HEADS: u32 = 1u;
const SPLITS: u32 = 1u;
const SCALE: f32 = 1.0;
const Q_STRIDE4: u32 = 1u;

@group(0) @binding(1) var<storage, read> q: array<scalar4>; // [tokens, Q_STRIDE4]
// [tokens, SPLITS, HEADS, VALUE4] and [tokens, SPLITS, HEADS] (largest, sum).
@group(0) @binding(4) var<storage, read_write> partials: array<vec4f>;
@group(0) @binding(5) var<storage, read_write> stats: array<vec2f>;

var<private> first_head: u32;
var<private> page_base: u32; // of the page in the cache, in fours

fn attend_head(row: u32) -> u32 {
    return first_head + row;
}

fn attend_key(k: u32, d: u32) -> vec4f {
    return key4(page_base + k * DIM4 + d);
}

fn attend_value(k: u32, v: u32) -> vec4f {
    return attended4(page_base + k * DIM4 + v);
}

@compute @workgroup_size(THREADS)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(local_invocation_index) thread: u32,
) {
    first_head = group.x * ROWS;
    let kv_head = group.x * ROWS / (HEADS / KV_HEADS);
    let split = group.y;
    let token = group.z;
    let sequence = step_sequence(token);
    let begin = window_begin(token);
    let end = window_end(token);
    let page_begin = begin / KEYS;
    let page_end = (end + KEYS - 1u) / KEYS;
    let pages_each = (page_end - page_begin + step_splits() - 1u) / step_splits();
    let first_page = page_begin + split * pages_each;
    let last_page = min(first_page + pages_each, page_end);

    for (var i = thread; i < ROWS * DIM4; i += THREADS) {
        query[i] = vec4f(q[token * Q_STRIDE4 + group.x * ROWS * DIM4 + i]) * SCALE;
    }
    for (var r = thread; r < ROWS; r += THREADS) {
        row_begin[r] = begin;
        row_end[r] = end;
    }
    attend_begin(thread, split == 0u);
    workgroupBarrier();
    for (var page = first_page; page < last_page; page++) {
        page_base = cache_vector(sequence, page * KEYS, kv_head) * DIM4;
        attend_scores(thread, page * KEYS);
        workgroupBarrier();
        attend_weigh(thread);
        workgroupBarrier();
        attend_sum(thread, min(KEYS, end - page * KEYS));
        workgroupBarrier();
    }
    for (var e = 0u; e < EACH; e++) {
        let item = thread + e * THREADS;
        if (item >= BLOCKS * PARTS) {
            continue;
        }
        for (var r = 0u; r < ROWS_EACH; r++) {
            let head = first_head + item / PARTS * ROWS_EACH + r;
            let at = (token * SPLITS + split) * HEADS + head;
            for (var v = 0u; v < VALUES_EACH; v++) {
                let part = item % PARTS + v * PARTS;
                if (part < VALUE4) {
                    partials[at * VALUE4 + part] = sums[(e * ROWS_EACH + r) * VALUES_EACH + v];
                }
            }
            if (item % PARTS == 0u) {
                stats[at] = vec2(largest[e * ROWS_EACH + r], weight[e * ROWS_EACH + r]);
            }
        }
    }
}
