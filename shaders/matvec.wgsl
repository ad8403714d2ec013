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
const AHEAD: bool = true; // blocks of W are loaded a turn before they are multiplied
const COLS: u32 = 1u;
const MATRICES: u32 = 1u; // of COLS columns in a row of X, each with a matrix of its own
const N_ROWS: u32 = 1u; // of this shard of W
const FIRST_ROW: u32 = 0u; // of this shard in W

const TILE_T: u32 = TOKENS;
const TILE_R: u32 = THREADS / LANES * ROWS;
const BLOCKS: u32 = (COLS + BLOCK - 1u) / BLOCK;
const X_BLOCKS: u32 = MATRICES * BLOCKS; // in a row of X

// Where a block of a row of X meets a matrix: beyond the last block it is the last one, whose
// products with zeros count nothing.
struct Place {
    matrix: u32, // the row of W that it begins with
    block: u32,
}

fn place(tile: Tile, b: u32) -> Place {
    let at = select(min(b, X_BLOCKS - 1u), b, !AHEAD && X_BLOCKS % LANES == 0u);
    return Place(tile_matrix(tile, at), select(at, at % BLOCKS, MATRICES > 1u));
}

fn load_block(at: Place, row: u32) -> WeightBlock {
    return weight_block(tile_block(at.matrix, row, at.block));
}

fn load_blocks(at: Place, first: u32) -> array<WeightBlock, ROWS> {
    var blocks: array<WeightBlock, ROWS>;
    //!unroll
    for (var r = 0u; r < ROWS; r++) {
        blocks[r] = load_block(at, first + r);
    }
    return blocks;
}

// Adds the products of turns from `start` to `end`, whole ones. Every thread takes every turn:
// `from_lane` must be called by all of a subgroup. A turn has no branch, or compilers move the
// loads for the next one behind this one.
// Compilers keep arrays in registers if every index is known once loops are unrolled,
// which they surely do where a loop's counter is the index and its end the length.
fn turns(
    tile: Tile,
    first: u32,
    start: u32,
    end: u32,
    thread: u32,
    rows: ptr<function, array<u32, TOKENS>>,
    next: ptr<function, array<WeightBlock, ROWS>>,
    sums: ptr<function, array<array<vec2f, TOKENS>, ROWS / 2u>>,
) {
    for (var turn = start; turn < end; turn += LANES) {
        let b = turn + thread % LANES;
        var blocks: array<WeightBlock, ROWS>;
        if (AHEAD) {
            blocks = *next;
            *next = load_blocks(place(tile, b + LANES), first);
        }
        var x = x_blocks(rows, b, thread);
        let at = place(tile, b);
        //!unroll
        for (var p = 0u; p < ROWS / 2u; p++) {
            let factor = tile_factor(tile, b, first + 2u * p);
            var even: WeightBlock;
            var odd: WeightBlock;
            if (AHEAD) {
                even = blocks[2u * p];
                odd = blocks[2u * p + 1u];
            } else {
                even = load_block(at, first + 2u * p);
                odd = load_block(at, first + 2u * p + 1u);
            }
            let made = products(&even, &odd, &x);
            let scale_e = factor * weight_scale(&even);
            let scale_o = factor * weight_scale(&odd);
            //!unroll
            for (var t = 0u; t < TOKENS; t++) {
                (*sums)[p][t] += made[t] * vec2(scale_e.x, scale_o.x)
                    + x[t].total * vec2(scale_e.y, scale_o.y);
            }
        }
    }
}

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
    var next: array<WeightBlock, ROWS>;
    if (AHEAD) {
        // Before x is waited for: W comes from memory, x mostly from a cache.
        next = load_blocks(place(tile, lane), first);
    }
    var rows: array<u32, TOKENS>; // of X
    //!unroll
    for (var t = 0u; t < TOKENS; t++) {
        rows[t] = tile_row(tile, t);
    }
    input_begin(rows[0], thread);
    var sums: array<array<vec2f, TOKENS>, ROWS / 2u>; // of an even and an odd row
    if (STRETCH >= X_BLOCKS) {
        // A loop around turns would cost processors as much as one in a hundred.
        x_stretch(tile, 0u, thread);
        turns(tile, first, 0u, X_BLOCKS, thread, &rows, &next, &sums);
    } else {
        for (var start = 0u; start < X_BLOCKS; start += STRETCH) {
            x_stretch(tile, start, thread);
            let end = min(start + STRETCH, X_BLOCKS);
            turns(tile, first, start, end, thread, &rows, &next, &sums);
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
