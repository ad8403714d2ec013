// softmax(q·Kᵀ·SCALE)·V of one token, ROWS query heads of one kv head and one split of
// the context: they share its keys. Leaves that of the split alone, with its largest score
// and its sum of exponentials (flash-decoding); input/merge.wgsl joins them.
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
@group(0) @binding(4) var<storage, read_write> partials: array<scalar4>;
@group(0) @binding(5) var<storage, read_write> stats: array<vec2f>;

const PAGES_EACH: u32 = KEYS / PAGE; // a turn

var<workgroup> query: array<vec4f, ROWS * DIM4>;
var<workgroup> page_at: array<u32, 2u * PAGES_EACH>; // of a turn and the next one, in fours
var<workgroup> group_sums: array<vec4f, select(1u, THREADS, KEY_GROUPS > 1u)>;
var<workgroup> group_weights: array<f32, KEY_GROUPS * ROWS>;
var<private> first_head: u32;
var<private> one_page: u32; // of a turn that has no more, in fours
var<private> pages_here: u32; // where this turn's begin

fn attend_head(row: u32) -> u32 {
    return first_head + row;
}

fn attend_query(row: u32, d: u32) -> vec4f {
    return query[row * DIM4 + d];
}

fn attend_key_at(k: u32) -> u32 {
    if (PAGES_EACH == 1u) {
        return one_page + k * DIM4;
    }
    return page_at[pages_here + k / PAGE] + k % PAGE * DIM4;
}

fn attend_key(at: u32, d: u32) -> vec4f {
    return key4(at + d);
}

fn attend_value_at(k: u32) -> u32 {
    return attend_key_at(k);
}

fn attend_value(at: u32, i: u32, v: u32) -> vec4f {
    return attended4(at + i * DIM4 + v);
}

// Where the pages of a turn lie; behind the last, it once more.
fn find_pages(thread: u32, into: u32, first: u32, last: u32, sequence: u32, kv_head: u32) {
    if (PAGES_EACH == 1u) {
        return;
    }
    for (var i = thread; i < PAGES_EACH; i += THREADS) {
        let page = min(first + i, last);
        page_at[into + i] = cache_vector(sequence, page * PAGE, kv_head) * DIM4;
    }
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
    let page_begin = begin / PAGE;
    let page_end = (end + PAGE - 1u) / PAGE;
    let pages_each = (page_end - page_begin + step_splits() - 1u) / step_splits();
    let first_page = page_begin + split * pages_each;
    let last_page = min(first_page + pages_each, page_end);
    let split_end = min(end, last_page * PAGE);

    for (var i = thread; i < ROWS * DIM4; i += THREADS) {
        query[i] = vec4f(q[token * Q_STRIDE4 + group.x * ROWS * DIM4 + i]) * SCALE;
    }
    for (var r = thread; r < ROWS; r += THREADS) {
        row_begin[r] = begin;
        row_end[r] = split_end;
    }
    find_pages(thread, 0u, first_page, max(last_page, 1u) - 1u, sequence, kv_head);
    attend_begin(thread, split == 0u);
    workgroupBarrier();
    for (var page = first_page; page < last_page; page += PAGES_EACH) {
        let start = page * PAGE;
        if (PAGES_EACH == 1u) {
            one_page = cache_vector(sequence, start, kv_head) * DIM4;
        }
        attend_scores(thread, start);
        workgroupBarrier();
        attend_weigh(thread);
        workgroupBarrier();
        attend_sum(thread, 0u, min(KEYS, split_end - start));
        let next = PAGES_EACH - pages_here;
        find_pages(thread, next, page + PAGES_EACH, last_page - 1u, sequence, kv_head);
        workgroupBarrier();
        pages_here = next;
    }
    join_groups(thread);
    for (var e = 0u; e < EACH; e++) {
        let item = thread + e * THREADS;
        if (item >= ITEMS * KEY_GROUPS) {
            continue;
        }
        let group = attend_group(item);
        let within = item - group * ITEMS;
        for (var r = 0u; r < ROWS_EACH; r++) {
            let row = within / PARTS * ROWS_EACH + r;
            let at = (token * SPLITS + split) * HEADS + first_head + row;
            for (var v = 0u; v < VALUES_EACH; v++) {
                let part = within % PARTS + v * PARTS;
                let i = (e * ROWS_EACH + r) * VALUES_EACH + v;
                if (part < VALUE4 && i % KEY_GROUPS == group) {
                    // A split may have no keys.
                    let one = max(weight[e * ROWS_EACH + r], 1e-30);
                    partials[at * VALUE4 + part] = to_scalar4(sums[i] / one);
                }
            }
            if (group == 0u && within % PARTS == 0u) {
                stats[at] = vec2(row_tops[tops_at + row], weight[e * ROWS_EACH + r]);
            }
        }
    }
}

// Adds up what the groups have: each the sums of every KEY_GROUPS-th of a thread's
// registers, the first one the weights. All have the largest scores in common.
fn join_groups(thread: u32) {
    if (KEY_GROUPS == 1u) {
        return;
    }
    let item = thread % ITEMS;
    let group = thread / ITEMS;
    if (group < KEY_GROUPS && item % PARTS == 0u) {
        for (var r = 0u; r < ROWS_EACH; r++) {
            group_weights[group * ROWS + item / PARTS * ROWS_EACH + r] = weight[r];
        }
    }
    //!unroll
    for (var i = 0u; i < ALL; i++) {
        group_sums[thread] = sums[i];
        workgroupBarrier();
        if (group == i % KEY_GROUPS) {
            sums[i] = group_sums[item];
            for (var g = 1u; g < KEY_GROUPS; g++) {
                sums[i] += group_sums[g * ITEMS + item];
            }
        }
        workgroupBarrier();
    }
    //!unroll
    for (var r = 0u; r < ROWS_EACH; r++) {
        weight[r] = group_weights[item / PARTS * ROWS_EACH + r];
        for (var g = 1u; g < KEY_GROUPS; g++) {
            weight[r] += group_weights[g * ROWS + item / PARTS * ROWS_EACH + r];
        }
    }
}
