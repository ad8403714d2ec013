// What both kernels of sampling share: settings, and a draw by the Gumbel-max trick.
// The kernel links `reduce`.
//!import lib/step
//!import lib/random
const VOCAB: u32 = 1u;
const STRIDE: u32 = 1u; // of a row of logits
const CHUNK: u32 = 256u;
const CHUNKS: u32 = (VOCAB + CHUNK - 1u) / CHUNK;

// One sequence's; written by ops/src/sample.rs.

struct Settings {
    temperature: f32,
    top_k: u32,
    top_p: f32,
    min_p: f32,
    repetition: f32,
    presence: f32,
    frequency: f32,
    penalties: u32, // 1: look at `counts` and keep them
    biased: u32, // 1: look at `bias`
    seed_low: u32,
    seed_high: u32,
    unused: u32,
}

@group(0) @binding(1) var<storage, read> settings: array<Settings>; // [sequences]
@group(0) @binding(2) var<storage, read_write> logits: array<f32>; // [outputs, STRIDE]

// What a row's noise depends on: all bits of seed and position, mixed, before any token's id
// comes in. Were they joined with the id at once, seeds would only swap the noise of tokens.
fn noise_key(own: Settings, position: u32) -> vec3<u32> {
    return pcg3d(vec3(own.seed_low, own.seed_high, position));
}

// Gumbel noise: -ln(-ln(1 - v)). Near v = 0, where it is large, -ln(1 - v) is a series: WGSL lets
// log(x) near x = 1 be wrong by 2⁻²¹, which would be all of it, and the noise infinite.
fn gumbel(bits: u32) -> f32 {
    let v = uniform_of(bits);
    var e = -log(1.0 - v);
    if (v < 0.125) {
        e = 1.0 / 6.0 + v / 7.0;
        e = 1.0 + v * (0.5 + v * (1.0 / 3.0 + v * (0.25 + v * (0.2 + v * e))));
        e *= v;
    }
    return -log(e);
}

// The token for which this is largest is a draw from softmax(logits / T): noise that depends
// on (seed, position, token) alone, whatever `top` is.
fn noisy(logit: f32, top: f32, own: Settings, key: vec3<u32>, id: u32) -> f32 {
    let bits = pcg3d(vec3(key.x ^ id, key.yz));
    return (logit - top) / own.temperature + gumbel(bits.x ^ bits.y);
}

// Over the workgroup: the largest value, and of those that have it the first token.
fn first_best(value: f32, token: u32, thread: u32) -> vec2f {
    let largest = reduce_max(value, thread);
    // Ids are below 2²⁴: exact as f32.
    return vec2(largest, -reduce_max(select(-3.0e38, -f32(token), value == largest), thread));
}
