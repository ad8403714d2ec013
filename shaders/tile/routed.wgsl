// interface tile: which rows of X a workgroup multiplies, and with which matrix. Here one
// token, with that of one expert it was routed to: tiles are pairs.
//!import lib/experts
const ROUTE_STRIDE: u32 = 1u;

@group(0) @binding(5) var<storage, read> routes: array<f32>; // [tokens, ROUTE_STRIDE]

struct Tile {
    pair: u32,
    count: u32,
    matrix: u32,
}

fn tile_at(index: u32, first_row: u32) -> Tile {
    let route = index / USED * ROUTE_STRIDE + 2u * (index % USED);
    let matrix = u32(routes[route]) * EXPERT_ROWS;
    return Tile(index, u32(shard_meets(matrix, first_row)), matrix);
}

fn tile_row(tile: Tile, t: u32) -> u32 {
    return tile.pair / USED;
}

fn tile_matrix(tile: Tile, turn: u32) -> u32 {
    return tile.matrix;
}

fn tile_factor(tile: Tile, turn: u32, row: u32) -> f32 {
    return 1.0;
}

fn tile_output(tile: Tile, t: u32, row: u32, even: f32, odd: f32) {
    pair_output(tile.pair, tile.matrix, row, even, odd);
}
