// Y[t, r] = Σ_c X[t, c]·W[r, c], in tiles of TILE_T tokens × TILE_R rows: `tile` says which
// tokens, and which matrix.
// A step along the columns takes 32 of them; both tiles lie in workgroup memory,
// W's already unpacked. A thread keeps TOKENS × ROWS sums.
//!import scalar
//!import weight
//!import input
//!import output
//!import tile
const THREADS: u32 = 64u;
const TX: u32 = 8u; // threads along the tokens
const TOKENS: u32 = 4u; // a thread
const ROWS: u32 = 4u; // a thread, even
const COLS: u32 = 1u;
const MATRICES: u32 = 1u;
const N_ROWS: u32 = 1u; // of this shard of W
const FIRST_ROW: u32 = 0u; // of this shard in W

const RX: u32 = THREADS / TX;
const TILE_T: u32 = TX * TOKENS;
const TILE_R: u32 = RX * ROWS;
const BLOCKS: u32 = (COLS + BLOCK - 1u) / BLOCK;
const EIGHTS: u32 = BLOCKS * (BLOCK / 8u); // in a row of W

// Column four c of token t at [c][t]; of row r at [c][r % ROWS][r / ROWS], so that
// neighbouring threads read neighbouring words.
var<workgroup> tile_x: array<vec4f, 8u * TILE_T>;
var<workgroup> tile_w: array<vec4f, 8u * TILE_R>;

@compute @workgroup_size(THREADS)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(local_invocation_index) thread: u32,
) {
    let first_row = group.x * TILE_R;
    let tile = tile_at(group.y, first_row);
    if (tile.count == 0u) {
        return;
    }
    let matrix = tile_matrix(tile, 0u);
    let tx = thread / RX;
    let rx = thread % RX;
    var sums: array<f32, TOKENS * ROWS>;
    for (var eight = 0u; eight < EIGHTS; eight += 4u) {
        workgroupBarrier();
        for (var i = thread; i < 8u * TILE_T; i += THREADS) {
            let column4 = 2u * eight + i % 8u;
            var value = vec4f();
            if (i / 8u < tile.count && column4 < 2u * EIGHTS) {
                value = input4(tile_row(tile, i / 8u), column4);
            }
            tile_x[i % 8u * TILE_T + i / 8u] = value;
        }
        for (var i = thread; i < 4u * TILE_R; i += THREADS) {
            let row = first_row + i / 4u;
            let column8 = eight + i % 4u;
            var value = Eight();
            if (tile_holds(matrix, row) && column8 < EIGHTS) {
                var block = weight_block(tile_block(matrix, row, column8 / (BLOCK / 8u)));
                value = weight8(&block, column8 % (BLOCK / 8u));
            }
            let at = i / 4u % ROWS * RX + i / 4u / ROWS;
            tile_w[2u * (i % 4u) * TILE_R + at] = value.lo;
            tile_w[(2u * (i % 4u) + 1u) * TILE_R + at] = value.hi;
        }
        workgroupBarrier();
        for (var c = 0u; c < 8u; c++) {
            var w: array<vec4f, ROWS>;
            for (var r = 0u; r < ROWS; r++) {
                w[r] = tile_w[c * TILE_R + r * RX + rx];
            }
            for (var t = 0u; t < TOKENS; t++) {
                let value = tile_x[c * TILE_T + t * TX + tx];
                for (var r = 0u; r < ROWS; r++) {
                    sums[t * ROWS + r] += dot(w[r], value);
                }
            }
        }
    }
    for (var t = 0u; t < TOKENS; t++) {
        if (t * TX + tx < tile.count) {
            for (var r = 0u; r < ROWS; r += 2u) {
                let even = sums[t * ROWS + r];
                let odd = sums[t * ROWS + r + 1u];
                tile_output(tile, t * TX + tx, first_row + rx * ROWS + r, even, odd);
            }
        }
    }
}
