// Matrices of experts, one below the other, in shards. A pair is a token with one of the
// USED experts that it was routed to: token·USED + slot.
//!import bias
const EXPERT_ROWS: u32 = 2u; // of one expert, even
const SHARD_FIRST: u32 = 0u; // of this shard in W
const SHARD_ROWS: u32 = 2u;
const USED: u32 = 1u;

// Whether rows `row` and `row + 1` of an expert are in this shard: it never parts them.
fn tile_holds(matrix: u32, row: u32) -> bool {
    let own = matrix + row;
    return row < EXPERT_ROWS && own >= SHARD_FIRST && own - SHARD_FIRST < SHARD_ROWS;
}

// Whether any of a workgroup's rows is.
fn shard_meets(matrix: u32, first_row: u32) -> bool {
    let end = matrix + min(first_row + TILE_R, EXPERT_ROWS);
    return matrix + first_row < SHARD_FIRST + SHARD_ROWS && end > SHARD_FIRST;
}

// Of rows that are not here, below or behind it, the last one.
fn tile_block(matrix: u32, row: u32, b: u32) -> u32 {
    return min(matrix + row - SHARD_FIRST, SHARD_ROWS - 1u) * BLOCKS + b;
}

// A pair's products beside those of the token's other experts.
fn pair_output(pair: u32, matrix: u32, row: u32, even: f32, odd: f32) {
    if (tile_holds(matrix, row)) {
        let bias = vec2(bias_at(matrix + row), bias_at(matrix + row + 1u));
        let at = pair % USED * EXPERT_ROWS + row;
        output_pair(pair / USED, at, even + bias.x, odd + bias.y);
    }
}
