// interface weight: Q3_K. 256 pairs of bits, 256 high bits; scales as Q6_K;
// w = d·s·(q - 4). s is part of the code.
//!import lib/eight
//!import lib/halves
//!import lib/planes
const BLOCK: u32 = 32u;
const PARTS: u32 = 2u; // of a block, with a scale each

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

fn part_scale(block: ptr<function, WeightBlock>, part: u32) -> vec2f {
    return vec2(1.0, -4.0) * (*block).scales[part];
}

fn packed8(block: ptr<function, WeightBlock>, index: u32) -> vec2<u32> {
    let word = (*block).quants[index / 2u];
    let high = (*block).high;
    let top = vec2(bits1(high, 2u * index), bits1(high, 2u * index + 1u));
    return vec2(bits2(word, index % 2u * 2u), bits2(word, index % 2u * 2u + 1u)) | (top << vec2(2u));
}

fn codes8(block: ptr<function, WeightBlock>, index: u32) -> Eight {
    let codes = eight_unsigned(packed8(block, index));
    let scale = (*block).scales[index / 2u];
    return Eight((codes.lo - 4.0) * scale, (codes.hi - 4.0) * scale);
}
