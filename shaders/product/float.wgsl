// interface product: how threads hold blocks of x and multiply them with blocks of weights.
// Here as numbers of f32: each thread loads those of its own, or shares them (SHARE).
const FOURS: u32 = BLOCK / 4u;
const STRETCH: u32 = (X_BLOCKS + LANES - 1u) / LANES * LANES; // all of a row

var<private> x_squares: f32; // of what this thread has loaded of x, before gain: input/rms_norm

struct XBlock {
    eights: array<Eight, BLOCK / 8u>,
    total: f32, // of its numbers
}

// Before the first turn of a stretch. Every thread must call it.
fn x_stretch(tile: Tile, start: u32, thread: u32) {}

// Numbers of X that a thread of the subgroup loaded, or this one where none shares.
fn x_of(own: vec4f, lane: u32) -> vec4f {
    if (SHARE == 1u) {
        return own;
    }
    return from_lane(own, lane);
}

// Block b of the rows of X, zero beyond the last one. Every thread must call it.
fn x_blocks(
    rows: ptr<function, array<u32, TOKENS>>,
    b: u32,
    thread: u32,
) -> array<XBlock, TOKENS> {
    var x: array<XBlock, TOKENS>;
    //!unroll
    for (var t = 0u; t < TOKENS; t++) {
        x[t] = x_block((*rows)[t], b, thread);
    }
    return x;
}

fn x_block(row: u32, b: u32, thread: u32) -> XBlock {
    var x: XBlock;
    var all = vec4f();
    var own: array<vec4f, FOURS / SHARE>;
    if (b < X_BLOCKS) {
        //!unroll
        for (var i = 0u; i < FOURS / SHARE; i++) {
            own[i] = input4(row, b * FOURS + i * SHARE + thread % SHARE);
        }
    }
    //!unroll
    for (var i = 0u; i < BLOCK / 8u; i++) {
        let lo = x_of(own[2u * i / SHARE], 2u * i % SHARE);
        let hi = x_of(own[(2u * i + 1u) / SHARE], (2u * i + 1u) % SHARE);
        x.eights[i] = Eight(lo, hi);
        all += lo + hi;
    }
    x.total = dot(all, vec4(1.0));
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
    for (var i = 0u; i < BLOCK / 8u; i++) {
        let e = codes8(even, i);
        let o = codes8(odd, i);
        //!unroll
        for (var t = 0u; t < TOKENS; t++) {
            let part = (*x)[t].eights[i];
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
    return reduce_lanes(value, thread, LANES * SHARE);
}
