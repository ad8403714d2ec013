// interface tile: which rows of X a workgroup multiplies, and with which matrix. Here
// TILE_T neighbours, with all of W.
//!import bias
//!import lib/step
const FOR_OUTPUTS: bool = false; // rows of X are rows of logits, not tokens

struct Tile {
    first: u32,
    count: u32,
}

// Tile number `index`, of which the workgroup makes rows of the result from `first_row` on.
// A count of 0: nothing is to be done.
fn tile_at(index: u32, first_row: u32) -> Tile {
    let first = index * TILE_T;
    let rows = select(step_tokens(), step_outputs(), FOR_OUTPUTS);
    return Tile(first, min(rows - first, TILE_T));
}

// Its row number t of X; beyond the last row the last one is computed again.
fn tile_row(tile: Tile, t: u32) -> u32 {
    return tile.first + min(t, tile.count - 1u);
}

// The row of W at which the matrix begins that blocks `turn` of X are multiplied with.
fn tile_matrix(tile: Tile, turn: u32) -> u32 {
    return 0u;
}

// What its products count.
fn tile_factor(tile: Tile, turn: u32, row: u32) -> f32 {
    return 1.0;
}

// Whether rows `row` and `row + 1` of a matrix are here (`row` is even).
fn tile_holds(matrix: u32, row: u32) -> bool {
    return true;
}

// Where block b of a row of a matrix lies.
fn tile_block(matrix: u32, row: u32, b: u32) -> u32 {
    return min(output_row(row), N_ROWS - 1u) * BLOCKS + b;
}

// Products of rows `row` and `row + 1` with row number t of X.
fn tile_output(tile: Tile, t: u32, row: u32, even: f32, odd: f32) {
    let even_bias = bias_at(output_row(row));
    let odd_bias = bias_at(output_row(row + 1u));
    output_pair(tile.first + t, row, even + even_bias, odd + odd_bias);
}
