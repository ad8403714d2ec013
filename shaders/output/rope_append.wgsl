// interface output: what becomes of the products of rows `row` and `row + 1`
// (`row` is even) with row `token` of x. Here they are queries, keys and values: queries
// and keys turn, keys and values go into the paged cache (see `rope_append.wgsl`).
//
// A cache of 16 bits is written two neighbours at a time, but numbers of one pair may lie
// half a head apart. So a thread has both: of four results that follow each other two are
// neighbours of the first half, two their partners.
//!import scalar
//!import kv_pair
//!import lib/pages
//!import lib/rope
const HEADS: u32 = 1u;
const KV_HEADS: u32 = 1u;
const HEAD_DIM: u32 = 4u;
const Q_STRIDE: u32 = 1u;

const Q_ROWS: u32 = HEADS * HEAD_DIM;
const KV_ROWS: u32 = KV_HEADS * HEAD_DIM;

@group(0) @binding(2) var<storage, read_write> q: array<scalar>; // [tokens, Q_STRIDE]

var<private> first_two: vec2f; // of four, of a head that turns by halves

// Which number of the queries, keys and values stands at `at`: the same for two `at`
// that are an even one and its successor.
fn number_at(at: u32) -> u32 {
    let i = at % HEAD_DIM;
    if (INTERLEAVED || at >= Q_ROWS + KV_ROWS || i >= ROPE_DIM) {
        return at;
    }
    return at - i + i / 4u * 2u + i % 2u + i % 4u / 2u * HALF;
}

// Which row of W is the `row`th.
fn output_row(row: u32) -> u32 {
    return number_at(FIRST_ROW + row) - FIRST_ROW;
}

// Numbers `at` and `at + 1` to where they belong.
fn put(token: u32, position: u32, at: u32, two: vec2f) {
    if (at < Q_ROWS) {
        let hot = two * query_temperature(position);
        q[token * Q_STRIDE + at] = to_scalar(hot.x);
        q[token * Q_STRIDE + at + 1u] = to_scalar(hot.y);
        return;
    }
    let number = (at - Q_ROWS) % KV_ROWS;
    let vector = cache_vector(step_sequence(token), position, number / HEAD_DIM);
    let pair = (vector * HEAD_DIM + number % HEAD_DIM) / 2u;
    if (at < Q_ROWS + KV_ROWS) {
        store_key_pair(pair, two);
    } else {
        store_value_pair(pair, two);
    }
}

fn output_pair(token: u32, row: u32, even: f32, odd: f32) {
    if (row >= N_ROWS) {
        return;
    }
    let position = step_position(token);
    let rows = rope_rows(token);
    let own = vec2(even, odd);
    let at = FIRST_ROW + row;
    let i = at % HEAD_DIM;
    if (at >= Q_ROWS + KV_ROWS || i >= ROPE_DIM) {
        put(token, position, at, own);
    } else if (INTERLEAVED) {
        let angle = turn(rows, i / 2u);
        let turned = vec2(even * angle.x - odd * angle.y, even * angle.y + odd * angle.x);
        put(token, position, at, turned);
    } else if (at % 4u == 0u) {
        first_two = own;
    } else {
        let a = turn(rows, i / 4u * 2u);
        let b = turn(rows, i / 4u * 2u + 1u);
        let cos = vec2(a.x, b.x);
        let sin = vec2(a.y, b.y);
        let number = number_at(at - 2u);
        put(token, position, number, first_two * cos - own * sin);
        put(token, position, number + HALF, first_two * sin + own * cos);
    }
}
