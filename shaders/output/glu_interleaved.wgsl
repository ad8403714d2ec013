// interface output: what becomes of the products of rows `row` and `row + 1`
// (`row` is even) with row `token` of x. Here a gated unit (Shazeer 2020): even rows
// are the gate's, odd ones the up projection's; what the two become is stored.
//!import gate
//!import lib/rows
const Y_STRIDE: u32 = 1u;

@group(0) @binding(2) var<storage, read_write> y: array<scalar>; // [tokens, Y_STRIDE]

fn output_pair(token: u32, row: u32, gate: f32, up: f32) {
    if (row < N_ROWS) {
        y[token * Y_STRIDE + (FIRST_ROW + row) / 2u] = to_scalar(gated(gate, up));
    }
}
