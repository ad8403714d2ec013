// interface output: what becomes of the products of rows `row` and `row + 1`
// (`row` is even) with row `token` of x. Here they are the gate of a gated unit whose up
// projection a product before has stored.
//!import gate
//!import lib/rows
const Y_STRIDE: u32 = 1u;

@group(0) @binding(2) var<storage, read_write> y: array<scalar>; // [tokens, Y_STRIDE]
@group(0) @binding(10) var<storage, read> up: array<scalar>; // [tokens, Y_STRIDE]

fn output_pair(token: u32, row: u32, even: f32, odd: f32) {
    let at = token * Y_STRIDE + FIRST_ROW + row;
    if (row < N_ROWS) {
        y[at] = to_scalar(gated(even, f32(up[at])));
    }
    if (row + 1u < N_ROWS) {
        y[at + 1u] = to_scalar(gated(odd, f32(up[at + 1u])));
    }
}
