// Attention of ROWS queries that share keys and values, KEYS of them at a time, with the
// online softmax (Dao et al. 2022): the score matrix never exists. In turns, with a barrier
// between: scores, their exponentials, the weighted sums. A thread has several rows for a
// key that it loads, several keys for a row, several parts of a value for a weight.
//
// On GPUs KEY_LANES neighbouring threads share a key, so that they load neighbouring words,
// and KEY_GROUPS groups of threads sum values, each those of keys of its own: they all have
// loads in flight, and the kernel joins them once, behind the last keys.
//
// The kernel fills `row_begin` and `row_end`, and says where things are: `attend_query(row, d)`
// gives four `d` of a query; `attend_key(at, d)` four `d` of key `k`, where `at` is
// `attend_key_at(k)`; `attend_value(at, i, v)` four `v` of value `k + i`, where `at` is
// `attend_value_at(k)`, `i` is below IN_FLIGHT and `k` a multiple of it; `attend_head(row)` is
// whose sink it is.
//
// Arrays have their zeros written: in a loop SwiftShader does not set them anew.
//!import reduce
//!import lib/cap
//!import sink
const HEAD_DIM: u32 = 4u;
const VALUE_DIM: u32 = 4u; // numbers of a value that count, the first
const ROWS: u32 = 1u;
const ROWS_EACH: u32 = 1u; // a thread; divides ROWS
const KEYS: u32 = 32u;
const KEYS_EACH: u32 = 1u; // a thread; divides KEYS
const CHUNK: u32 = 1u; // fours of queries and keys that are multiplied at a time
const KEY_LANES: u32 = 1u; // threads a key; if more than 1, twice as many divide CHUNK
const TOP_LANES: u32 = 1u; // threads that find their largest score together, if KEY_LANES > 1
const KEY_GROUPS: u32 = 1u; // more than 1: each thread has one item of the sums at most
const IN_FLIGHT: u32 = 1u; // values that a thread loads before it waits; a part of its keys
const VALUES_EACH: u32 = 1u; // fours of a value a thread
const CAP: f32 = 0.0; // of scores; 0: none

const DIM4: u32 = HEAD_DIM / 4u;
const VALUE4: u32 = VALUE_DIM / 4u;
const BLOCKS: u32 = ROWS / ROWS_EACH;
const SLOTS: u32 = KEYS / KEYS_EACH; // groups of KEY_LANES threads along the keys
const TOPS: u32 = SLOTS * KEY_LANES / TOP_LANES; // of a row
const PARTS: u32 = (VALUE4 + VALUES_EACH - 1u) / VALUES_EACH; // threads along a value
const ITEMS: u32 = BLOCKS * PARTS; // of a group
const EACH: u32 = (ITEMS * KEY_GROUPS + THREADS - 1u) / THREADS;
const ALL: u32 = ROWS_EACH * VALUES_EACH;
const LOWEST: f32 = -3.0e38;

var<workgroup> row_begin: array<u32, ROWS>; // the first position that a row sees
var<workgroup> row_end: array<u32, ROWS>; // behind the last
var<workgroup> scores: array<f32, ROWS * KEYS>; // then their exponentials
var<workgroup> thread_tops: array<f32, ROWS * TOPS>; // the largest of some threads' scores
var<workgroup> row_tops: array<f32, 2u * ROWS>; // the largest so far, and what will be it
var<workgroup> row_shrinks: array<f32, ROWS>; // what earlier exponentials count for now

// Of this thread's items: of the keys of group `item / ITEMS`, and within it of the block of
// rows `item / PARTS` and the part of a value `item % PARTS`.
var<private> sums: array<vec4f, EACH * ALL>;
var<private> weight: array<f32, EACH * ROWS_EACH>;
var<private> tops_at: u32; // where `row_tops` has the largest so far: 0 or ROWS

// Whose keys an item's sums are of.
fn attend_group(item: u32) -> u32 {
    return select(0u, item / ITEMS, KEY_GROUPS > 1u);
}

// Before the first keys, and a barrier. One of those who share a query has its sink.
fn attend_begin(thread: u32, with_sink: bool) {
    for (var row = thread; row < ROWS; row += THREADS) {
        row_tops[row] = LOWEST;
        if (with_sink) {
            row_tops[row] = sink_score(attend_head(row));
        }
    }
    for (var e = 0u; e < EACH; e++) {
        let counts = with_sink && attend_group(thread + e * THREADS) == 0u;
        for (var r = 0u; r < ROWS_EACH; r++) {
            weight[e * ROWS_EACH + r] = select(0.0, sink_weight(), counts);
        }
        for (var i = 0u; i < ALL; i++) {
            sums[e * ALL + i] = vec4f();
        }
    }
}

// Scores with the keys of which the first stands at position `start`.
fn attend_scores(thread: u32, start: u32) {
    if (KEY_LANES == 1u) {
        for (var item = thread; item < BLOCKS * SLOTS; item += THREADS) {
            let row = item / SLOTS * ROWS_EACH;
            let slot = item % SLOTS;
            var products = array<f32, ROWS_EACH * KEYS_EACH>();
            attend_products(row, slot, 0u, &products);
            let tops = attend_block(row, slot, true, start, &products);
            for (var r = 0u; r < ROWS_EACH; r++) {
                thread_tops[(row + r) * SLOTS + slot] = tops[r];
            }
        }
        return;
    }
    // The lanes of all keys are the whole workgroup.
    let slot = thread / KEY_LANES;
    let lane = thread % KEY_LANES;
    for (var row = 0u; row < ROWS; row += ROWS_EACH) {
        var products = array<f32, ROWS_EACH * KEYS_EACH>();
        attend_products(row, slot, lane, &products);
        //!unroll
        for (var i = 0u; i < ROWS_EACH * KEYS_EACH; i++) {
            products[i] = reduce_lanes(products[i], thread, KEY_LANES);
        }
        let tops = attend_block(row, slot, lane == 0u, start, &products);
        for (var r = 0u; r < ROWS_EACH; r++) {
            let top = max_lanes(tops[r], thread, TOP_LANES);
            if (thread % TOP_LANES == 0u) {
                thread_tops[(row + r) * TOPS + thread / TOP_LANES] = top;
            }
        }
    }
}

// Adds a lane's part of the products of rows from `row` on with keys `slot`, slot + SLOTS, …
fn attend_products(
    row: u32,
    slot: u32,
    lane: u32,
    products: ptr<function, array<f32, ROWS_EACH * KEYS_EACH>>,
) {
    for (var i = 0u; i < CHUNK / KEY_LANES; i++) {
        // Two neighbours a thread, which compilers load as one.
        let d = select(i, (i / 2u * KEY_LANES + lane) * 2u + i % 2u, KEY_LANES > 1u);
        var own = array<vec4f, ROWS_EACH>();
        //!unroll
        for (var r = 0u; r < ROWS_EACH; r++) {
            own[r] = attend_query(row + r, d);
        }
        //!unroll
        for (var s = 0u; s < KEYS_EACH; s++) {
            // What lies behind the last key is masked below.
            let key = attend_key(attend_key_at(slot + s * SLOTS), d);
            //!unroll
            for (var r = 0u; r < ROWS_EACH; r++) {
                (*products)[r * KEYS_EACH + s] += dot(own[r], key);
            }
        }
    }
}

// Leaves the scores that come of the products, and gives the largest of each row.
fn attend_block(
    row: u32,
    slot: u32,
    writes: bool,
    start: u32,
    products: ptr<function, array<f32, ROWS_EACH * KEYS_EACH>>,
) -> array<f32, ROWS_EACH> {
    var tops = array<f32, ROWS_EACH>();
    for (var r = 0u; r < ROWS_EACH; r++) {
        let begin = row_begin[row + r];
        let end = row_end[row + r];
        tops[r] = LOWEST;
        for (var s = 0u; s < KEYS_EACH; s++) {
            let position = start + slot + s * SLOTS;
            let seen = position >= begin && position < end;
            let score = select(LOWEST, capped((*products)[r * KEYS_EACH + s]), seen);
            if (writes) {
                scores[(row + r) * KEYS + slot + s * SLOTS] = score;
            }
            tops[r] = max(tops[r], score);
        }
    }
    return tops;
}

// Their exponentials, against the largest score of a row so far.
fn attend_weigh(thread: u32) {
    let next_at = ROWS - tops_at;
    for (var i = thread; i < ROWS * KEYS; i += THREADS) {
        let row = i / KEYS;
        let before = row_tops[tops_at + row];
        var top = before;
        for (var t = 0u; t < TOPS; t++) {
            top = max(top, thread_tops[row * TOPS + t]);
        }
        scores[i] = exp(scores[i] - top);
        if (i % KEYS == 0u) {
            row_tops[next_at + row] = top;
            row_shrinks[row] = exp(before - top);
        }
    }
    tops_at = next_at;
}

// The sums of keys from `first` on, `count` of them, onto those before. Where a row has seen no
// key yet, exp(LOWEST - LOWEST) counts what it should not; its first real score shrinks that to
// nothing.
fn attend_sum(thread: u32, first: u32, count: u32) {
    for (var e = 0u; e < EACH; e++) {
        let item = thread + e * THREADS;
        if (item >= ITEMS * KEY_GROUPS) {
            continue;
        }
        let group = attend_group(item);
        let row = (item - group * ITEMS) / PARTS * ROWS_EACH;
        let part = (item - group * ITEMS) % PARTS;
        var own = array<vec4f, ALL>();
        var total = array<f32, ROWS_EACH>();
        //!unroll
        for (var r = 0u; r < ROWS_EACH; r++) {
            let shrink = select(1.0, row_shrinks[row + r], first == 0u);
            total[r] = weight[e * ROWS_EACH + r] * shrink;
            //!unroll
            for (var v = 0u; v < VALUES_EACH; v++) {
                let i = r * VALUES_EACH + v;
                own[i] = sums[e * ALL + i] * shrink;
            }
        }
        for (var k = group * IN_FLIGHT; k < count; k += KEY_GROUPS * IN_FLIGHT) {
            // Those behind the last have no weight: any value will do that is a number.
            let last = count - 1u - k;
            let at = attend_value_at(k);
            let score_at = row * KEYS + first + k;
            var loaded = array<vec4f, IN_FLIGHT * VALUES_EACH>();
            //!unroll
            for (var i = 0u; i < IN_FLIGHT; i++) {
                //!unroll
                for (var v = 0u; v < VALUES_EACH; v++) {
                    // Beyond the value: nobody asks for it.
                    let four = min(part + v * PARTS, VALUE4 - 1u);
                    loaded[i * VALUES_EACH + v] = attend_value(at, min(i, last), four);
                }
            }
            //!unroll
            for (var i = 0u; i < IN_FLIGHT; i++) {
                //!unroll
                for (var r = 0u; r < ROWS_EACH; r++) {
                    let p = scores[score_at + r * KEYS + i];
                    total[r] += p;
                    //!unroll
                    for (var v = 0u; v < VALUES_EACH; v++) {
                        own[r * VALUES_EACH + v] += p * loaded[i * VALUES_EACH + v];
                    }
                }
            }
        }
        //!unroll
        for (var r = 0u; r < ROWS_EACH; r++) {
            weight[e * ROWS_EACH + r] = total[r];
        }
        //!unroll
        for (var i = 0u; i < ALL; i++) {
            sums[e * ALL + i] = own[i];
        }
    }
}
