// interface output: what becomes of the products of rows `row` and `row + 1`
// (`row` is even) with row `token` of x. Here stored in 32 bits, FACTOR times, and
// with a CAP kept within ±CAP by CAP·tanh(x / CAP).
//!import lib/cap
//!import lib/rows
const Y_STRIDE: u32 = 1u;
const FACTOR: f32 = 1.0;
const CAP: f32 = 0.0;

@group(0) @binding(2) var<storage, read_write> y: array<f32>; // [tokens, Y_STRIDE]

fn output_pair(token: u32, row: u32, even: f32, odd: f32) {
    let at = token * Y_STRIDE + FIRST_ROW + row;
    if (row < N_ROWS) {
        y[at] = capped(FACTOR * even);
    }
    if (row + 1u < N_ROWS) {
        y[at + 1u] = capped(FACTOR * odd);
    }
}
