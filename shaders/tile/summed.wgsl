// interface tile: which rows of X a workgroup multiplies, and with which matrix. Here one
// token, whose row of X has a part for each of its experts:
// Σ_s weight_s·(W[expert_s]·x_s + bias).
//!import lib/experts
const ROUTE_STRIDE: u32 = 1u;

@group(0) @binding(5) var<storage, read> routes: array<f32>; // [tokens, ROUTE_STRIDE]

struct Tile {
    token: u32,
    count: u32,
}

fn tile_at(index: u32, first_row: u32) -> Tile {
    return Tile(index, 1u);
}

fn tile_row(tile: Tile, t: u32) -> u32 {
    return tile.token;
}

fn tile_matrix(tile: Tile, turn: u32) -> u32 {
    return u32(routes[tile.token * ROUTE_STRIDE + 2u * (turn / BLOCKS)]) * EXPERT_ROWS;
}

fn tile_factor(tile: Tile, turn: u32, row: u32) -> f32 {
    let slot = min(turn / BLOCKS, USED - 1u);
    let weight = routes[tile.token * ROUTE_STRIDE + 2u * slot + 1u];
    return select(0.0, weight, tile_holds(tile_matrix(tile, slot * BLOCKS), row));
}

fn tile_output(tile: Tile, t: u32, row: u32, even: f32, odd: f32) {
    var bias = vec2f();
    for (var s = 0u; s < USED; s++) {
        let matrix = tile_matrix(tile, s * BLOCKS);
        if (tile_holds(matrix, row)) {
            let own = vec2(bias_at(matrix + row), bias_at(matrix + row + 1u));
            bias += tile_factor(tile, s * BLOCKS, row) * own;
        }
    }
    if (row < EXPERT_ROWS) {
        output_pair(tile.token, row, even + bias.x, odd + bias.y);
    }
}
