// softmax(q·Kᵀ·SCALE)·V for a tile of queries of one sequence and one head.
//!import scalar
//!import kv
//!import lib/pages
//!import lib/attend
//!import lib/value
//!import lib/window
const THREADS: u32 = 64u;
const HEADS: u32 = 1u;
const KV_HEADS: u32 = 1u;
const SCALE: f32 = 1.0;
const Q_STRIDE4: u32 = 1u;
const Y_STRIDE: u32 = 1u;
const TILE: u32 = 16u; // queries in a tile of the step data, of which ROWS are taken

@group(0) @binding(1) var<storage, read> q: array<scalar4>; // [tokens, Q_STRIDE4]
@group(0) @binding(2) var<storage, read_write> y: array<scalar>; // [tokens, Y_STRIDE]

var<workgroup> tile: array<vec4f, KEYS * DIM4>; // keys, then values
var<private> own_head: u32;

fn attend_head(row: u32) -> u32 {
    return own_head;
}

fn attend_key(k: u32, d: u32) -> vec4f {
    return tile[k * DIM4 + d];
}

fn attend_value(k: u32, v: u32) -> vec4f {
    return tile[k * VALUE4 + v];
}

@compute @workgroup_size(THREADS)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(local_invocation_index) thread: u32,
) {
    let head = group.x;
    own_head = head;
    let kv_head = head / (HEADS / KV_HEADS);
    let all = step_tile(group.y / (TILE / ROWS));
    let skip = group.y % (TILE / ROWS) * ROWS;
    let first = all.x + skip;
    let count = min(max(all.y, skip) - skip, ROWS);
    let sequence = step_sequence(all.x);
    var begin = 0u; // of all that the queries see
    var end = 0u;
    if (count > 0u) {
        begin = window_begin(first);
        end = window_end(first + count - 1u);
    }
    for (var i = thread; i < ROWS * DIM4; i += THREADS) {
        query[i] = vec4f();
        if (i / DIM4 < count) {
            let at = (first + i / DIM4) * Q_STRIDE4 + head * DIM4 + i % DIM4;
            query[i] = vec4f(q[at]) * SCALE;
        }
    }
    for (var r = thread; r < ROWS; r += THREADS) {
        row_begin[r] = 0u;
        row_end[r] = 0u;
        if (r < count) {
            row_begin[r] = window_begin(first + r);
            row_end[r] = window_end(first + r);
        }
    }
    attend_begin(thread, true);
    for (var start = begin / KEYS * KEYS; start < end; start += KEYS) {
        let base = cache_vector(sequence, start, kv_head) * DIM4;
        let keys_here = min(KEYS, end - start);
        for (var i = thread; i < keys_here * DIM4; i += THREADS) {
            tile[i] = key4(base + i);
        }
        workgroupBarrier();
        attend_scores(thread, start);
        workgroupBarrier();
        for (var i = thread; i < keys_here * VALUE4; i += THREADS) {
            tile[i] = attended4(base + i / VALUE4 * DIM4 + i % VALUE4);
        }
        attend_weigh(thread);
        workgroupBarrier();
        attend_sum(thread, keys_here);
        workgroupBarrier();
    }
    for (var e = 0u; e < EACH; e++) {
        let item = thread + e * THREADS;
        if (item >= BLOCKS * PARTS) {
            continue;
        }
        for (var r = 0u; r < ROWS_EACH; r++) {
            let row = item / PARTS * ROWS_EACH + r;
            for (var v = 0u; v < VALUES_EACH; v++) {
                let part = item % PARTS + v * PARTS;
                if (row < count && part < VALUE4) {
                    let at = e * ROWS_EACH + r;
                    let result = sums[at * VALUES_EACH + v] / weight[at];
                    let into = (first + row) * Y_STRIDE + head * VALUE_DIM + 4u * part;
                    y[into] = to_scalar(result.x);
                    y[into + 1u] = to_scalar(result.y);
                    y[into + 2u] = to_scalar(result.z);
                    y[into + 3u] = to_scalar(result.w);
                }
            }
        }
    }
}
