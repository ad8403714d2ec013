// interface bias: what is added to row `row` of a product, counted in this shard.
// Here a number a row.
@group(0) @binding(6) var<storage, read> row_bias: array<f32>; // [rows of all shards]

fn bias_at(row: u32) -> f32 {
    return row_bias[FIRST_ROW + min(row, N_ROWS - 1u)];
}
