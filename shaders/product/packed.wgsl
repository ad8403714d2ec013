// interface product: how threads hold blocks of x and multiply them with blocks of weights.
// Here by integer dot products: x ≈ d·n, n = round(x / d) of 8 bits, d = max |x| / 127 of 32
// numbers (as ggml's Q8_1), so that Σ code·x ≈ d·Σ code·n. Sums of integers are exact.
// The workgroup rounds each number of x once, into workgroup memory.
const SPAN: u32 = 4u; // threads that round 32 numbers: 1, 2 or 4
const STRETCH: u32 = max(128u / TOKENS, LANES); // blocks of a row of x that are held at a time
const HELD: u32 = STRETCH * TOKENS;

var<workgroup> x_codes: array<vec2<u32>, 4u * HELD>; // eights of a block, [4][TOKENS][STRETCH]
var<workgroup> x_scales: array<f32, HELD>;

var<private> x_squares: f32; // of what this thread has loaded of x, before gain: input/rms_norm

struct XBlock {
    codes: array<vec2<u32>, 4>,
    scale: f32,
    sums: vec2f, // of the codes of each half
    total: f32, // of its numbers
}

// Before the first turn of a stretch. Every thread must call it.
fn x_stretch(tile: Tile, start: u32, thread: u32) {
    workgroupBarrier(); // What the turns before read.
    // Every thread takes every turn: `max_lanes` must be called by all.
    for (var turn = 0u; turn < HELD * SPAN; turn += THREADS) {
        let at = (turn + thread) / SPAN;
        let lane = thread % SPAN;
        let b = start + at % STRETCH;
        let row = tile_row(tile, at / STRETCH);
        var eights = array<Eight, 4u / SPAN>();
        var largest = vec4f();
        if (at < HELD && b < X_BLOCKS) {
            //!unroll
            for (var i = 0u; i < 4u / SPAN; i++) {
                let at4 = 8u * b + 2u * (i * SPAN + lane);
                eights[i] = Eight(input4(row, at4), input4(row, at4 + 1u));
                largest = max(largest, max(abs(eights[i].lo), abs(eights[i].hi)));
            }
        }
        let both = max(largest.xy, largest.zw);
        let most = max_lanes(max(both.x, both.y), thread, SPAN);
        // What is too small to divide by is nothing.
        let inverse = select(0.0, 127.0 / most, most > 1e-30);
        if (at < HELD) { // Blocks beyond the last one are zeros.
            //!unroll
            for (var i = 0u; i < 4u / SPAN; i++) {
                let codes = vec2(
                    pack4xI8(vec4<i32>(round(eights[i].lo * inverse))),
                    pack4xI8(vec4<i32>(round(eights[i].hi * inverse))),
                );
                x_codes[(i * SPAN + lane) * HELD + at] = codes;
            }
            if (lane == 0u) {
                x_scales[at] = most / 127.0;
            }
        }
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
        x[t] = x_block(t, b);
    }
    return x;
}

fn x_block(number: u32, b: u32) -> XBlock {
    let at = number * STRETCH + b % STRETCH;
    var x: XBlock;
    var sums: array<i32, 4>;
    //!unroll
    for (var i = 0u; i < 4u; i++) {
        let codes = x_codes[i * HELD + at];
        x.codes[i] = codes;
        sums[i] = dot4I8Packed(codes.x, 0x01010101u) + dot4I8Packed(codes.y, 0x01010101u);
    }
    x.scale = x_scales[at];
    x.sums = vec2f(vec2(sums[0] + sums[1], sums[2] + sums[3]));
    x.total = x.scale * (x.sums.x + x.sums.y);
    return x;
}

// Σ code·x of a block of an even and an odd row of W, for each row of X.
fn products(
    even: ptr<function, WeightBlock>,
    odd: ptr<function, WeightBlock>,
    x: ptr<function, array<XBlock, TOKENS>>,
) -> array<vec2f, TOKENS> {
    // Written out: Chromium zeroes a variable without it once, not at each turn.
    var results = array<vec2f, TOKENS>();
    //!unroll
    for (var part = 0u; part < PARTS; part++) {
        var sums = array<vec2<i32>, TOKENS>();
        //!unroll
        for (var j = 0u; j < 4u / PARTS; j++) {
            let e = packed8(even, part * (4u / PARTS) + j);
            let o = packed8(odd, part * (4u / PARTS) + j);
            //!unroll
            for (var t = 0u; t < TOKENS; t++) {
                let codes = (*x)[t].codes[part * (4u / PARTS) + j];
                sums[t] += vec2(
                    dot4I8Packed(e.x, codes.x) + dot4I8Packed(e.y, codes.y),
                    dot4I8Packed(o.x, codes.x) + dot4I8Packed(o.y, codes.y),
                );
            }
        }
        let scale_e = part_scale(even, part);
        let scale_o = part_scale(odd, part);
        //!unroll
        for (var t = 0u; t < TOKENS; t++) {
            if (PARTS == 1u) {
                results[t] = vec2f(sums[t]);
            } else {
                results[t] += vec2f(sums[t]) * vec2(scale_e.x, scale_o.x)
                    + (*x)[t].sums[part] * vec2(scale_e.y, scale_o.y);
            }
        }
    }
    //!unroll
    for (var t = 0u; t < TOKENS; t++) {
        results[t] *= (*x)[t].scale;
    }
    return results;
}

// Over the threads that read a row of X together.
fn x_sum(value: f32, thread: u32) -> f32 {
    return reduce_add(value, thread);
}
