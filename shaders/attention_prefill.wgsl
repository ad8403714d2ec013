// softmax(q·Kᵀ·SCALE)·V for a tile of queries of one sequence, and SHARED heads that share keys
// and values: a row of attend for each query and head. Queries and keys go through workgroup
// memory CHUNK fours at a time, values CHUNK_KEYS at a time.
//!import scalar
//!import kv
//!import lib/pages
//!import lib/attend
//!import lib/value
//!import lib/window
const THREADS: u32 = 64u; // at least BLOCKS * SLOTS
const HEADS: u32 = 1u;
const KV_HEADS: u32 = 1u;
const SHARED: u32 = 1u;
const SCALE: f32 = 1.0;
const Q_STRIDE4: u32 = 1u;
const Y_STRIDE: u32 = 1u;
const TILE: u32 = 16u; // queries in a tile of the step data, of which QUERIES are taken
const CHUNK_KEYS: u32 = 1u; // divides KEYS

const QUERIES: u32 = ROWS / SHARED;
// Of a chunk, four by four. Odd: threads that write different fours meet different banks.
const KEY_STRIDE: u32 = KEYS + 1u;
const ROW_STRIDE: u32 = ROWS + 1u;

@group(0) @binding(1) var<storage, read> q: array<scalar4>; // [tokens, Q_STRIDE4]
@group(0) @binding(2) var<storage, read_write> y: array<scalar>; // [tokens, Y_STRIDE]

var<workgroup> query: array<vec4f, CHUNK * ROW_STRIDE>;
var<workgroup> tile: array<vec4f, max(CHUNK * KEY_STRIDE, CHUNK_KEYS * VALUE4)>; // keys, values
var<private> first_head: u32;
var<private> page_at: vec2<u32>; // of the keys in turn, in fours

fn attend_head(row: u32) -> u32 {
    return first_head + row % SHARED;
}

fn attend_query(row: u32, d: u32) -> vec4f {
    return query[d * ROW_STRIDE + row];
}

fn attend_key_at(k: u32) -> u32 {
    return k;
}

fn attend_key(at: u32, d: u32) -> vec4f {
    return tile[d * KEY_STRIDE + at];
}

fn attend_value_at(k: u32) -> u32 {
    return k * VALUE4;
}

fn attend_value(at: u32, i: u32, v: u32) -> vec4f {
    return tile[at + i * VALUE4 + v];
}

// Where key and value `k` begin in the cache.
fn cached_at(k: u32) -> u32 {
    return select(page_at.x, page_at.y, KEYS > PAGE && k >= PAGE) + k % PAGE * DIM4;
}

@compute @workgroup_size(THREADS)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(local_invocation_index) thread: u32,
) {
    first_head = group.x * SHARED;
    let kv_head = first_head / (HEADS / KV_HEADS);
    let all = step_tile(group.y / (TILE / QUERIES));
    let skip = group.y % (TILE / QUERIES) * QUERIES;
    let first = all.x + skip;
    let count = min(max(all.y, skip) - skip, QUERIES);
    let sequence = step_sequence(all.x);
    var begin = 0u; // of all that the queries see
    var end = 0u;
    if (count > 0u) {
        begin = window_begin(first);
        end = window_end(first + count - 1u);
    }
    for (var r = thread; r < ROWS; r += THREADS) {
        row_begin[r] = 0u;
        row_end[r] = 0u;
        if (r / SHARED < count) {
            row_begin[r] = window_begin(first + r / SHARED);
            row_end[r] = window_end(first + r / SHARED);
        }
    }
    attend_begin(thread, true);
    let slot = thread % SLOTS;
    let own_row = thread / SLOTS * ROWS_EACH;
    let scores_keys = thread < BLOCKS * SLOTS;
    let first_start = begin / KEYS * KEYS;
    for (var start = first_start; start < end; start += KEYS) {
        let here = min(KEYS, end - start);
        page_at.x = cache_vector(sequence, start, kv_head) * DIM4;
        if (KEYS > PAGE) {
            page_at.y = cache_vector(sequence, min(start + PAGE, end - 1u), kv_head) * DIM4;
            page_at.y -= min(start + PAGE, end - 1u) % PAGE * DIM4;
        }
        var products = array<f32, ROWS_EACH * KEYS_EACH>();
        for (var chunk = 0u; chunk < DIM4; chunk += CHUNK) {
            if (CHUNK < DIM4 || start == first_start) {
                for (var i = thread; i < ROWS * CHUNK; i += THREADS) {
                    let row = i / CHUNK;
                    var own = vec4f();
                    if (row / SHARED < count) {
                        let at = (first + row / SHARED) * Q_STRIDE4 + attend_head(row) * DIM4;
                        own = vec4f(q[at + chunk + i % CHUNK]) * SCALE;
                    }
                    query[i % CHUNK * ROW_STRIDE + row] = own;
                }
            }
            for (var i = thread; i < here * CHUNK; i += THREADS) {
                let four = key4(cached_at(i / CHUNK) + chunk + i % CHUNK);
                tile[i % CHUNK * KEY_STRIDE + i / CHUNK] = four;
            }
            workgroupBarrier();
            if (scores_keys) {
                attend_products(own_row, slot, 0u, &products);
            }
            if (chunk + CHUNK < DIM4) {
                workgroupBarrier();
            }
        }
        if (scores_keys) {
            let tops = attend_block(own_row, slot, true, start, &products);
            for (var r = 0u; r < ROWS_EACH; r++) {
                thread_tops[(own_row + r) * SLOTS + slot] = tops[r];
            }
        }
        workgroupBarrier();
        attend_weigh(thread);
        for (var k = 0u; k < here; k += CHUNK_KEYS) {
            let values_here = min(CHUNK_KEYS, here - k);
            for (var i = thread; i < values_here * VALUE4; i += THREADS) {
                tile[i] = attended4(cached_at(k + i / VALUE4) + i % VALUE4);
            }
            workgroupBarrier();
            attend_sum(thread, k, values_here);
            workgroupBarrier();
        }
    }
    for (var e = 0u; e < EACH; e++) {
        let item = thread + e * THREADS;
        if (item >= ITEMS) {
            continue;
        }
        for (var r = 0u; r < ROWS_EACH; r++) {
            let row = item / PARTS * ROWS_EACH + r;
            for (var v = 0u; v < VALUES_EACH; v++) {
                let part = item % PARTS + v * PARTS;
                if (row / SHARED < count && part < VALUE4) {
                    let at = e * ROWS_EACH + r;
                    let result = sums[at * VALUES_EACH + v] / weight[at];
                    let head = attend_head(row);
                    let into = (first + row / SHARED) * Y_STRIDE + head * VALUE_DIM + 4u * part;
                    y[into] = to_scalar(result.x);
                    y[into + 1u] = to_scalar(result.y);
                    y[into + 2u] = to_scalar(result.z);
                    y[into + 3u] = to_scalar(result.w);
                }
            }
        }
    }
}
