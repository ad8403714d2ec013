// interface input: where a product takes x from. Here a row has a part for each expert of
// the token, or with PART4 = 0 the same numbers for all of them. Row number `row` of X is
// pair row·MATRICES, then the MATRICES − 1 behind it.
//!import lib/columns
const X_STRIDE4: u32 = 1u;
const PART4: u32 = 0u;

const COLS4: u32 = BLOCKS * (BLOCK / 4u);
const PART_LAST4: u32 = (COLS + 3u) / 4u - 1u;

@group(0) @binding(1) var<storage, read> x: array<packed4>; // [tokens, X_STRIDE4]

fn input_begin(row: u32, thread: u32) {}

// Parts are not padded: behind the last one of the last row is nothing.
fn part4(pair: u32, at: u32) -> packed4 {
    return x[pair / USED * X_STRIDE4 + pair % USED * PART4 + min(at, PART_LAST4)];
}

// As it is stored, with one matrix: not masked yet.
fn input_packed4(row: u32, index4: u32) -> packed4 {
    return part4(row, index4);
}

fn input4(row: u32, index4: u32) -> vec4f {
    var pair = row;
    var at = index4;
    if (MATRICES > 1u) {
        pair = row * MATRICES + index4 / COLS4;
        at = index4 % COLS4;
    }
    return masked(unpacked4(part4(pair, at)), at);
}

fn input_scale(thread: u32) -> f32 {
    return 1.0;
}
