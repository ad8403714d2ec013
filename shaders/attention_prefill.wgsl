// softmax(q·Kᵀ·SCALE)·V for a tile of queries of one sequence and one head,
// KEYS keys at a time with the online softmax (Dao et al. 2022): the score matrix
// never exists. EACH threads share a query.
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
const SCALE: f32 = 1.0;
const Q_STRIDE4: u32 = 1u;
const CAP: f32 = 0.0; // of scores; 0: none
const Y_STRIDE: u32 = 1u;
const TILE: u32 = 16u; // queries in a tile of the step data
const QUERIES: u32 = 16u; // queries a workgroup: TILE or less
const KEYS: u32 = 32u; // at most a page

const DIM4: u32 = HEAD_DIM / 4u;
const VALUE4: u32 = VALUE_DIM / 4u;
const EACH: u32 = THREADS / QUERIES;
const SUMS: u32 = (VALUE4 + EACH - 1u) / EACH;
const LOWEST: f32 = -3.0e38;

@group(0) @binding(1) var<storage, read> q: array<scalar4>; // [tokens, Q_STRIDE4]
@group(0) @binding(2) var<storage, read_write> y: array<scalar>; // [tokens, Y_STRIDE]

var<workgroup> query: array<vec4f, QUERIES * DIM4>;
var<workgroup> tile: array<vec4f, KEYS * DIM4>; // keys, then values
var<workgroup> scores: array<f32, QUERIES * KEYS>;

@compute @workgroup_size(THREADS)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(local_invocation_index) thread: u32,
) {
    let head = group.x;
    let kv_head = head / (HEADS / KV_HEADS);
    let all = step_tile(group.y / (TILE / QUERIES));
    let skip = group.y % (TILE / QUERIES) * QUERIES;
    let first = all.x + skip;
    let count = min(max(all.y, skip) - skip, QUERIES);
    let row = thread / EACH;
    let part = thread % EACH;
    let token = first + min(row, max(count, 1u) - 1u);
    let sequence = step_sequence(all.x);
    let own = min(token, all.x + all.y - 1u);
    let own_begin = window_begin(own);
    let own_end = window_end(own);
    var length = 0u; // where the keys end that the last query sees
    if (count > 0u) {
        length = window_end(first + count - 1u);
    }
    for (var i = thread; i < QUERIES * DIM4; i += THREADS) {
        if (i / DIM4 < count) {
            let at = (first + i / DIM4) * Q_STRIDE4 + head * DIM4 + i % DIM4;
            query[i] = vec4f(q[at]) * SCALE;
        }
    }
    var sums: array<vec4f, SUMS>;
    var largest = sink_score(head);
    var weight = sink_weight();
    let begin = window_begin(first);
    for (var start = begin / KEYS * KEYS; start < length; start += KEYS) {
        let base = cache_vector(sequence, start, kv_head) * DIM4;
        let keys_here = min(KEYS, length - start);
        workgroupBarrier();
        for (var i = thread; i < keys_here * DIM4; i += THREADS) {
            tile[i] = key4(base + i);
        }
        workgroupBarrier();
        for (var k = part; k < keys_here; k += EACH) {
            var score = 0.0;
            for (var d = 0u; d < DIM4; d++) {
                score += dot(query[row * DIM4 + d], tile[k * DIM4 + d]);
            }
            let seen = start + k >= own_begin && start + k < own_end;
            scores[row * KEYS + k] = select(LOWEST, capped(score), seen);
        }
        workgroupBarrier();
        for (var i = thread; i < keys_here * VALUE4; i += THREADS) {
            tile[i] = attended4(base + i / VALUE4 * DIM4 + i % VALUE4);
        }
        workgroupBarrier();
        // Where a query has seen no key yet, exp(LOWEST - LOWEST) counts what it should
        // not; its first real score shrinks that to nothing.
        var top = largest;
        for (var k = 0u; k < keys_here; k++) {
            top = max(top, scores[row * KEYS + k]);
        }
        let shrink = exp(largest - top);
        largest = top;
        weight *= shrink;
        for (var s = 0u; s < SUMS; s++) {
            sums[s] *= shrink;
        }
        for (var k = 0u; k < keys_here; k++) {
            let p = exp(scores[row * KEYS + k] - top);
            weight += p;
            for (var s = 0u; s < SUMS; s++) {
                sums[s] += p * tile[k * VALUE4 + min(part + s * EACH, VALUE4 - 1u)];
            }
        }
    }
    if (row < count) {
        for (var s = 0u; s < SUMS; s++) {
            let d = part + s * EACH;
            if (d < VALUE4) {
                let result = sums[s] / weight;
                let at = token * Y_STRIDE + head * VALUE_DIM + 4u * d;
                y[at] = to_scalar(result.x);
                y[at + 1u] = to_scalar(result.y);
                y[at + 2u] = to_scalar(result.z);
                y[at + 3u] = to_scalar(result.w);
            }
        }
    }
}
