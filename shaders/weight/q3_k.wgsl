// interface weight: Q3_K. 256 pairs of bits, 256 high bits; scales as Q6_K;
// w = d·s·(q - 4). s is part of the code.
//!import lib/eight
//!import lib/halves
//!import lib/planes
const BLOCK: u32 = 32u;

@group(0) @binding(8) var<storage, read> weight_quants: array<vec2<u32>>;

struct WeightBlock {
    quants: vec2<u32>,
    high: u32,
    scales: vec2f, // of 16 weights each
    scale: f32,
}

fn weight_block(block: u32) -> WeightBlock {
    let at = block / 8u * 12u;
    let part = block % 8u;
    return WeightBlock(
        weight_quants[at + part],
        weight_quants[at + 8u + part / 2u][part % 2u],
        scale_pair(block / 8u * 9u + part),
        scale_half(block / 8u * 9u + 8u),
    );
}

fn weight_scale(block: ptr<function, WeightBlock>) -> vec2f {
    return vec2((*block).scale, 0.0);
}

fn codes8(block: ptr<function, WeightBlock>, index: u32) -> Eight {
    let word = (*block).quants[index / 2u];
    let high = (*block).high;
    let lo = bits2(word, index % 2u * 2u) | (bits1(high, 2u * index) << 2u);
    let hi = bits2(word, index % 2u * 2u + 1u) | (bits1(high, 2u * index + 1u) << 2u);
    let scale = (*block).scales[index / 2u];
    return Eight((vec4f(unpack4xU8(lo)) - 4.0) * scale, (vec4f(unpack4xU8(hi)) - 4.0) * scale);
}
