// interface product: how threads hold blocks of x and multiply them with blocks of weights.
// Here x lies in workgroup memory: the workgroup loads it once, and norms it once, for all of
// its threads.
//!import stage
const STRETCH: u32 = 16u; // blocks of a row of x that are held at a time, whole turns

const EIGHTS: u32 = BLOCK / 8u;
// Blocks that are held, as many as THREADS threads load of an eight each.
const HELD: u32 = (STRETCH * TOKENS * EIGHTS + THREADS - 1u) / THREADS * THREADS / EIGHTS;
// Between eights of a block: threads that write those of two blocks at once, and threads that
// read the same one of neighbouring blocks, meet no bank of the memory twice.
const PLANE: u32 = HELD + 2u;

var<workgroup> x_sums: array<f32, HELD * EIGHTS>; // of eights

var<private> x_squares: f32; // of what this thread has loaded of x, before gain: input/rms_norm

struct XBlock {
    at: u32,
    total: f32, // of its numbers
}

// Before the first turn of a stretch. Every thread must call it.
fn x_stretch(tile: Tile, start: u32, thread: u32) {
    workgroupBarrier(); // What the turns before read.
    // No branch: so that these loads are under way together.
    for (var turn = 0u; turn < HELD * EIGHTS; turn += THREADS) {
        let at = turn + thread;
        let block = at / EIGHTS;
        let b = start + block % STRETCH;
        let row = tile_row(tile, min(block / STRETCH, TOKENS - 1u));
        let at4 = 2u * (min(b, X_BLOCKS - 1u) * EIGHTS + at % EIGHTS);
        let there = b < X_BLOCKS && block < STRETCH * TOKENS;
        let squares = x_squares;
        let lo = select(vec4f(), input4(row, at4), there);
        let hi = select(vec4f(), input4(row, at4 + 1u), there);
        x_squares = select(squares, x_squares, there);
        stage_put(block, at % EIGHTS, Eight(lo, hi));
        x_sums[at] = dot(lo + hi, vec4(1.0));
    }
    workgroupBarrier();
}

// Block b of the rows of X, zero beyond the last one.
fn x_blocks(
    rows: ptr<function, array<u32, TOKENS>>,
    b: u32,
    thread: u32,
) -> array<XBlock, TOKENS> {
    var x: array<XBlock, TOKENS>;
    //!unroll
    for (var t = 0u; t < TOKENS; t++) {
        let at = t * STRETCH + b % STRETCH;
        var total = 0.0;
        //!unroll
        for (var i = 0u; i < EIGHTS; i++) {
            total += x_sums[at * EIGHTS + i];
        }
        x[t] = XBlock(at, total);
    }
    return x;
}

// Σ code·x of a block of an even and an odd row of W, for each row of X.
fn products(
    even: ptr<function, WeightBlock>,
    odd: ptr<function, WeightBlock>,
    x: ptr<function, array<XBlock, TOKENS>>,
) -> array<vec2f, TOKENS> {
    // Written out: Chromium zeroes a variable without it once, not at each turn.
    var sums = array<vec2f, TOKENS>();
    //!unroll
    for (var i = 0u; i < EIGHTS; i++) {
        let e = codes8(even, i);
        let o = codes8(odd, i);
        //!unroll
        for (var t = 0u; t < TOKENS; t++) {
            let part = stage_get((*x)[t].at, i);
            sums[t] += vec2(
                dot(e.lo, part.lo) + dot(e.hi, part.hi),
                dot(o.lo, part.lo) + dot(o.hi, part.hi),
            );
        }
    }
    return sums;
}

// Over the threads that read a row of X together.
fn x_sum(value: f32, thread: u32) -> f32 {
    return reduce_add(value, thread);
}
