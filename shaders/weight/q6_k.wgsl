// interface weight: Q6_K. 256 nibbles, 256 high pairs of bits; a byte s as scale of each
// 16, a 16-bit d; w = d·s·(q - 32). s is part of the code.
//!import lib/eight
//!import lib/halves
//!import lib/planes
const BLOCK: u32 = 32u;
const PARTS: u32 = 2u; // of a block, with a scale each

@group(0) @binding(8) var<storage, read> weight_quants: array<vec4<u32>>;

struct WeightBlock {
    quants: vec4<u32>,
    high: vec2<u32>,
    scales: vec2f, // of 16 weights each
    scale: f32,
}

fn weight_block(block: u32) -> WeightBlock {
    let at = block / 8u * 12u;
    let part = block % 8u;
    let high = weight_quants[at + 8u + part / 2u];
    return WeightBlock(
        weight_quants[at + part],
        select(high.xy, high.zw, part % 2u == 1u),
        scale_pair(block / 8u * 9u + part),
        scale_half(block / 8u * 9u + 8u),
    );
}

fn weight_scale(block: ptr<function, WeightBlock>) -> vec2f {
    return vec2((*block).scale, 0.0);
}

fn part_scale(block: ptr<function, WeightBlock>, part: u32) -> vec2f {
    return vec2(1.0, -32.0) * (*block).scales[part];
}

fn packed8(block: ptr<function, WeightBlock>, index: u32) -> vec2<u32> {
    let high = (*block).high[index / 2u];
    let top = vec2(bits2(high, index % 2u * 2u), bits2(high, index % 2u * 2u + 1u));
    return nibble_bytes((*block).quants[index]) | (top << vec2(4u));
}

fn codes8(block: ptr<function, WeightBlock>, index: u32) -> Eight {
    let codes = eight_unsigned(packed8(block, index));
    let scale = (*block).scales[index / 2u];
    return Eight((codes.lo - 32.0) * scale, (codes.hi - 32.0) * scale);
}
