// interface tile: which rows of X a workgroup multiplies, and with which matrix. Here up
// to TILE_T pairs of one expert, with its matrix, as group.wgsl found them. A row of X is
// a pair's.
//!import lib/experts
//!import lib/groups

@group(0) @binding(4) var<storage, read> groups: array<u32>;

struct Tile {
    first: u32,
    count: u32,
    matrix: u32,
}

fn tile_at(index: u32, first_row: u32) -> Tile {
    let at = TILE_WORDS * index;
    let matrix = groups[at] * EXPERT_ROWS;
    let count = select(0u, groups[at + 2u], shard_meets(matrix, first_row));
    return Tile(PAIRS_AT + groups[at + 1u], count, matrix);
}

fn tile_row(tile: Tile, t: u32) -> u32 {
    return groups[tile.first + min(t, tile.count - 1u)];
}

fn tile_matrix(tile: Tile, turn: u32) -> u32 {
    return tile.matrix;
}

fn tile_factor(tile: Tile, turn: u32, row: u32) -> f32 {
    return 1.0;
}

fn tile_output(tile: Tile, t: u32, row: u32, even: f32, odd: f32) {
    pair_output(groups[tile.first + t], tile.matrix, row, even, odd);
}
