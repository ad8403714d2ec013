// Y[t, r] = Σ_c X[t, c]·W[r, c], in tiles of TILE_T tokens × TILE_R rows: `tile` says which
// tokens, and which matrix.
// A step along the columns takes 32 of them; both tiles lie in workgroup memory,
// W's already unpacked. A thread keeps TOKENS × ROWS sums. What the next step needs is
// loaded into registers before the products of this one, which take longer than the loads.
//!import scalar
//!import weight
//!import input
//!import output
//!import tile
//!import lib/prefetch
const THREADS: u32 = 64u;
const TX: u32 = 8u; // threads along the tokens, a power of two
const TOKENS: u32 = 4u; // a thread
const ROWS: u32 = 4u; // a thread, even
const COLS: u32 = 1u;
const MATRICES: u32 = 1u;
const N_ROWS: u32 = 1u; // of this shard of W
const FIRST_ROW: u32 = 0u; // of this shard in W

const RX: u32 = THREADS / TX;
const TILE_T: u32 = TX * TOKENS;
const TILE_R: u32 = RX * ROWS;

// Column four c of token t at [c][x_place(c, t)], of row r at [c][w_place(c, r)].
var<workgroup> tile_x: array<vec4f, 8u * TILE_T>;
var<workgroup> tile_w: array<vec4f, 8u * TILE_R>;

// Eight neighbouring threads write eight places of different banks, and read eight neighbours.
fn x_place(c: u32, t: u32) -> u32 {
    return t ^ (c & 6u & (TX - 1u));
}

// Even rows, then odd ones: a thread takes pairs of them.
fn w_place(c: u32, row: u32) -> u32 {
    let swizzle = (row % 2u * 4u + c / 2u) & (RX - 1u);
    return row % 2u * (TILE_R / 2u) + ((row / 2u) ^ swizzle);
}

fn keep_x(c: u32, t: u32, value: vec4f) {
    tile_x[c * TILE_T + x_place(c, t)] = value;
}

fn keep_w(c: u32, row: u32, value: vec4f) {
    tile_w[c * TILE_R + w_place(c, row)] = value;
}

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
    let tx = thread / RX;
    let rx = thread % RX;
    var source = source_of(tile, first_row, thread);
    var sums: array<f32, TOKENS * ROWS>;
    var loaded = load(&source, 0u, thread);
    keep(&loaded, 0u, thread);
    workgroupBarrier();
    for (var eight = 0u; eight < EIGHTS; eight += 4u) {
        loaded = load(&source, eight + 4u, thread);
        for (var c = 0u; c < 8u; c++) {
            var w: array<vec4f, ROWS>;
            //!unroll
            for (var r = 0u; r < ROWS; r++) {
                w[r] = tile_w[c * TILE_R + w_place(c, r / 2u * (2u * RX) + 2u * rx + r % 2u)];
            }
            //!unroll
            for (var t = 0u; t < TOKENS; t++) {
                let value = tile_x[c * TILE_T + x_place(c, t * TX + tx)];
                //!unroll
                for (var r = 0u; r < ROWS; r++) {
                    sums[t * ROWS + r] += dot(w[r], value);
                }
            }
        }
        workgroupBarrier();
        keep(&loaded, eight + 4u, thread);
        workgroupBarrier();
    }
    //!unroll
    for (var t = 0u; t < TOKENS; t++) {
        if (t * TX + tx < tile.count) {
            //!unroll
            for (var p = 0u; p < ROWS / 2u; p++) {
                let even = sums[t * ROWS + 2u * p];
                let odd = sums[t * ROWS + 2u * p + 1u];
                tile_output(tile, t * TX + tx, first_row + 2u * (p * RX + rx), even, odd);
            }
        }
    }
}
