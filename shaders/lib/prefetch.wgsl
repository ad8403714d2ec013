// How tiles of X and W get into workgroup memory, 32 columns per step: loaded into registers
// a step ahead, then written by the kernel's `keep_x` and `keep_w`, four columns at a time.
//!import lib/columns
const X_LOADS: u32 = 1u; // eights of X that a thread loads a step
const W_LOADS: u32 = 1u; // blocks of W, or parts of one, that a thread loads a step
const W_EIGHTS: u32 = 1u; // of each of those

const BLOCKS: u32 = (COLS + BLOCK - 1u) / BLOCK;
const BLOCK_EIGHTS: u32 = BLOCK / 8u;
const EIGHTS: u32 = BLOCKS * BLOCK_EIGHTS; // in a row of W
const W_PARTS: u32 = 4u / W_EIGHTS; // loads of a row a step

// What a thread has loaded for a step.
struct Loaded {
    x: array<array<packed4, 2>, X_LOADS>,
    w: array<WeightBlock, W_LOADS>,
}

// Where it takes that from.
struct Source {
    rows: array<u32, X_LOADS>, // of X
    blocks: array<u32, W_LOADS>, // of W: the first one of a row
}

fn x_index(load: u32, thread: u32) -> u32 {
    return (load * THREADS + thread) % (4u * TILE_T);
}

fn w_index(load: u32, thread: u32) -> u32 {
    return (load * THREADS + thread) % (W_PARTS * TILE_R);
}

fn source_of(tile: Tile, first_row: u32, thread: u32) -> Source {
    let matrix = tile_matrix(tile, 0u);
    var source: Source;
    //!unroll
    for (var l = 0u; l < X_LOADS; l++) {
        source.rows[l] = tile_row(tile, x_index(l, thread) / 4u);
    }
    //!unroll
    for (var l = 0u; l < W_LOADS; l++) {
        // Rows that are not there stand for any others: their results are not taken.
        let row = first_row + w_index(l, thread) / W_PARTS;
        source.blocks[l] = select(0u, tile_block(matrix, row, 0u), tile_holds(matrix, row));
    }
    return source;
}

// The step from column eight `eight` on; beyond the last column, others once more.
fn load(source: ptr<function, Source>, eight: u32, thread: u32) -> Loaded {
    var loaded: Loaded;
    //!unroll
    for (var l = 0u; l < W_LOADS; l++) {
        let column8 = min(eight + w_index(l, thread) % W_PARTS * W_EIGHTS, EIGHTS - 1u);
        loaded.w[l] = weight_block((*source).blocks[l] + column8 / BLOCK_EIGHTS);
    }
    //!unroll
    for (var l = 0u; l < X_LOADS; l++) {
        let column4 = 2u * min(eight + x_index(l, thread) % 4u, EIGHTS - 1u);
        let row = (*source).rows[l];
        loaded.x[l] = array(input_packed4(row, column4), input_packed4(row, column4 + 1u));
    }
    return loaded;
}

// Beyond the last column X is zero, which suffices.
fn keep(loaded: ptr<function, Loaded>, eight: u32, thread: u32) {
    //!unroll
    for (var l = 0u; l < X_LOADS; l++) {
        let i = x_index(l, thread);
        let column4 = 2u * (eight + i % 4u);
        var lo = masked(unpacked4((*loaded).x[l][0]), column4);
        var hi = masked(unpacked4((*loaded).x[l][1]), column4 + 1u);
        if (EIGHTS % 4u != 0u && column4 >= 2u * EIGHTS) {
            lo = vec4f();
            hi = vec4f();
        }
        keep_x(2u * (i % 4u), i / 4u, lo);
        keep_x(2u * (i % 4u) + 1u, i / 4u, hi);
    }
    //!unroll
    for (var l = 0u; l < W_LOADS; l++) {
        let i = w_index(l, thread);
        let first = i % W_PARTS * W_EIGHTS;
        var block = (*loaded).w[l];
        //!unroll
        for (var e = 0u; e < W_EIGHTS; e++) {
            let value = weight8(&block, (first + e) % BLOCK_EIGHTS);
            keep_w(2u * (first + e), i / W_PARTS, value.lo);
            keep_w(2u * (first + e) + 1u, i / W_PARTS, value.hi);
        }
    }
}
