// interface bias: what is added to row `row` of a product, counted in this shard.
// Here a number per row.
const BIAS_ROWS: u32 = 1u; // of all shards

@group(0) @binding(6) var<storage, read> row_bias: array<f32>; // [BIAS_ROWS]

fn bias_at(row: u32) -> f32 {
    return row_bias[min(FIRST_ROW + row, BIAS_ROWS - 1u)];
}
