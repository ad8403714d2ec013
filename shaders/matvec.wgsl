// Y[t, r] = Σ_c W[r, c]·X[t, c], a few rows of X at a time (grid z): `tile` says which, and
// with which matrix.
// Within a block Σ w·x = d·Σ code·x + m·Σ x: the scale is applied once.
// LANES threads share ROWS rows of W and TOKENS rows of X; each takes every LANES-th
// block of columns. Where LANES is 1, a subgroup may load X together.
//!import scalar
//!import reduce
//!import weight
//!import product
//!import input
//!import output
//!import tile
//!import lib/grid
const THREADS: u32 = 64u;
const LANES: u32 = 16u;
const ROWS: u32 = 4u; // even
const TOKENS: u32 = 1u;
const SHARE: u32 = 1u; // threads that load X together: 1, or a subgroup (product/float)
const COLS: u32 = 1u;
const MATRICES: u32 = 1u; // of COLS columns in a row of X, each with a matrix of its own
const N_ROWS: u32 = 1u; // of this shard of W
const FIRST_ROW: u32 = 0u; // of this shard in W

const TILE_T: u32 = TOKENS;
const TILE_R: u32 = THREADS / LANES * ROWS;
const BLOCKS: u32 = (COLS + BLOCK - 1u) / BLOCK;
const X_BLOCKS: u32 = MATRICES * BLOCKS; // in a row of X

// Compilers keep arrays in registers if every index is known once loops are unrolled,
// which they surely do where a loop's counter is the index and its end the length.
@compute @workgroup_size(THREADS)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(local_invocation_index) thread: u32,
) {
    let lane = thread % LANES;
    let first = (grid_index(group) * (THREADS / LANES) + thread / LANES) * ROWS;
    let tile = tile_at(group.z, grid_index(group) * TILE_R);
    if (tile.count == 0u) {
        return;
    }
    var rows: array<u32, TOKENS>;
    //!unroll
    for (var t = 0u; t < TOKENS; t++) {
        rows[t] = tile_row(tile, t);
    }
    input_begin(rows[0], thread);
    var sums: array<array<vec2f, TOKENS>, ROWS / 2u>; // of an even and an odd row
    // Every thread takes every turn: `from_lane` must be called by all of a subgroup.
    for (var turn = 0u; turn < X_BLOCKS; turn += LANES) {
        let b = turn + lane;
        x_turn(tile, turn, thread);
        var x: array<XBlock, TOKENS>;
        //!unroll
        for (var t = 0u; t < TOKENS; t++) {
            x[t] = x_block(t, rows[t], b, thread);
        }
        if (b < X_BLOCKS) {
            let matrix = tile_matrix(tile, b);
            let factor = tile_factor(tile, b);
            let column = select(b, b % BLOCKS, MATRICES > 1u);
            //!unroll
            for (var p = 0u; p < ROWS / 2u; p++) {
                let row = first + 2u * p;
                if (tile_holds(matrix, row)) {
                    var even = weight_block(tile_block(matrix, row, column));
                    var odd = weight_block(tile_block(matrix, row + 1u, column));
                    let made = products(&even, &odd, &x);
                    let scale_e = factor * weight_scale(&even);
                    let scale_o = factor * weight_scale(&odd);
                    //!unroll
                    for (var t = 0u; t < TOKENS; t++) {
                        sums[p][t] += made[t] * vec2(scale_e.x, scale_o.x)
                            + x[t].total * vec2(scale_e.y, scale_o.y);
                    }
                }
            }
        }
    }
    let scale = input_scale(thread);
    //!unroll
    for (var t = 0u; t < TOKENS; t++) {
        //!unroll
        for (var p = 0u; p < ROWS / 2u; p++) {
            let even = reduce_lanes(sums[p][t].x, thread, LANES) * scale;
            let odd = reduce_lanes(sums[p][t].y, thread, LANES) * scale;
            if (lane == 0u && t < tile.count) {
                tile_output(tile, t, first + 2u * p, even, odd);
            }
        }
    }
}
