// Attention of ROWS queries that share keys and values, KEYS of them at a time, with the
// online softmax (Dao et al. 2022): the score matrix never exists. In turns, with a barrier
// between: scores, their exponentials, the weighted sums. A thread has several rows for a
// key that it loads, several keys for a row, several parts of a value for a weight.
//
// The kernel fills `query`, `row_begin` and `row_end`, and says where things are:
// `attend_key(k, d)` and `attend_value(k, v)`, fours `d`, `v` of key and value `k`;
// `attend_head(row)`, whose sink it is.
//
// Arrays have their zeros written: in a loop SwiftShader does not set them anew.
//!import lib/cap
//!import sink
const HEAD_DIM: u32 = 4u;
const VALUE_DIM: u32 = 4u; // numbers of a value that count, the first
const ROWS: u32 = 1u;
const ROWS_EACH: u32 = 1u; // a thread; divides ROWS
const KEYS: u32 = 32u;
const KEYS_EACH: u32 = 1u; // a thread; divides KEYS
const VALUES_EACH: u32 = 1u; // fours of a value a thread
const CAP: f32 = 0.0; // of scores; 0: none

const DIM4: u32 = HEAD_DIM / 4u;
const VALUE4: u32 = VALUE_DIM / 4u;
const BLOCKS: u32 = ROWS / ROWS_EACH;
const SLOTS: u32 = KEYS / KEYS_EACH; // threads along the keys
const PARTS: u32 = (VALUE4 + VALUES_EACH - 1u) / VALUES_EACH; // threads along a value
const EACH: u32 = (BLOCKS * PARTS + THREADS - 1u) / THREADS;
const ALL: u32 = ROWS_EACH * VALUES_EACH;
const LOWEST: f32 = -3.0e38;

var<workgroup> query: array<vec4f, ROWS * DIM4>;
var<workgroup> row_begin: array<u32, ROWS>; // the first position that a row sees
var<workgroup> row_end: array<u32, ROWS>; // behind the last
var<workgroup> scores: array<f32, ROWS * KEYS>; // then their exponentials
var<workgroup> thread_tops: array<f32, ROWS * SLOTS>; // the largest of a thread's scores
var<workgroup> row_tops: array<f32, ROWS>;

// Of this thread's items: block of rows `item / PARTS`, part of a value `item % PARTS`.
var<private> sums: array<vec4f, EACH * ALL>;
var<private> largest: array<f32, EACH * ROWS_EACH>;
var<private> weight: array<f32, EACH * ROWS_EACH>;

// Before the first keys. One of those who share a query has its sink.
fn attend_begin(thread: u32, with_sink: bool) {
    for (var e = 0u; e < EACH; e++) {
        let item = min(thread + e * THREADS, BLOCKS * PARTS - 1u);
        for (var r = 0u; r < ROWS_EACH; r++) {
            let at = e * ROWS_EACH + r;
            largest[at] = LOWEST;
            weight[at] = 0.0;
            if (with_sink) {
                largest[at] = sink_score(attend_head(item / PARTS * ROWS_EACH + r));
                weight[at] = sink_weight();
            }
        }
        for (var i = 0u; i < ALL; i++) {
            sums[e * ALL + i] = vec4f();
        }
    }
}

// Scores with the keys of which the first stands at position `start`.
fn attend_scores(thread: u32, start: u32) {
    for (var item = thread; item < BLOCKS * SLOTS; item += THREADS) {
        attend_block(item / SLOTS * ROWS_EACH, item % SLOTS, start);
    }
}

// Rows from `row` on with keys `slot`, slot + SLOTS, …
fn attend_block(row: u32, slot: u32, start: u32) {
    var products = array<f32, ROWS_EACH * KEYS_EACH>();
    for (var d = 0u; d < DIM4; d++) {
        var own = array<vec4f, ROWS_EACH>();
        //!unroll
        for (var r = 0u; r < ROWS_EACH; r++) {
            own[r] = query[(row + r) * DIM4 + d];
        }
        //!unroll
        for (var s = 0u; s < KEYS_EACH; s++) {
            // What lies behind the last key is masked below.
            let key = attend_key(slot + s * SLOTS, d);
            //!unroll
            for (var r = 0u; r < ROWS_EACH; r++) {
                products[r * KEYS_EACH + s] += dot(own[r], key);
            }
        }
    }
    for (var r = 0u; r < ROWS_EACH; r++) {
        let begin = row_begin[row + r];
        let end = row_end[row + r];
        var top = LOWEST;
        for (var s = 0u; s < KEYS_EACH; s++) {
            let position = start + slot + s * SLOTS;
            let seen = position >= begin && position < end;
            let score = select(LOWEST, capped(products[r * KEYS_EACH + s]), seen);
            scores[(row + r) * KEYS + slot + s * SLOTS] = score;
            top = max(top, score);
        }
        thread_tops[(row + r) * SLOTS + slot] = top;
    }
}

// Their exponentials, against the largest of a row here.
fn attend_weigh(thread: u32) {
    for (var i = thread; i < ROWS * KEYS; i += THREADS) {
        let row = i / KEYS;
        var top = LOWEST;
        for (var s = 0u; s < SLOTS; s++) {
            top = max(top, thread_tops[row * SLOTS + s]);
        }
        scores[i] = exp(scores[i] - top);
        if (i % KEYS == 0u) {
            row_tops[row] = top;
        }
    }
}

// The sums of the first `count` keys, onto those before. Where a row has seen no key yet,
// exp(LOWEST - LOWEST) counts what it should not; its first real score shrinks that to
// nothing.
fn attend_sum(thread: u32, count: u32) {
    for (var e = 0u; e < EACH; e++) {
        let item = thread + e * THREADS;
        if (item >= BLOCKS * PARTS) {
            continue;
        }
        let row = item / PARTS * ROWS_EACH;
        let part = item % PARTS;
        var own = array<vec4f, ALL>();
        var total = array<f32, ROWS_EACH>();
        for (var k = 0u; k < count; k++) {
            var p = array<f32, ROWS_EACH>();
            //!unroll
            for (var r = 0u; r < ROWS_EACH; r++) {
                p[r] = scores[(row + r) * KEYS + k];
                total[r] += p[r];
            }
            //!unroll
            for (var v = 0u; v < VALUES_EACH; v++) {
                // Beyond the value: nobody asks for it.
                let value = attend_value(k, min(part + v * PARTS, VALUE4 - 1u));
                //!unroll
                for (var r = 0u; r < ROWS_EACH; r++) {
                    own[r * VALUES_EACH + v] += p[r] * value;
                }
            }
        }
        for (var r = 0u; r < ROWS_EACH; r++) {
            let at = e * ROWS_EACH + r;
            let here = row_tops[row + r];
            let top = max(largest[at], here);
            let shrink = exp(largest[at] - top);
            let grow = exp(here - top);
            largest[at] = top;
            weight[at] = weight[at] * shrink + total[r] * grow;
            for (var v = 0u; v < VALUES_EACH; v++) {
                let i = at * VALUES_EACH + v;
                sums[i] = sums[i] * shrink + own[r * VALUES_EACH + v] * grow;
            }
        }
    }
}
