// interface weight: Q6_K. 256 nibbles, 256 high pairs of bits; a byte s as scale of each
// 16, a 16-bit d; w = d·s·(q - 32). s is part of the code.
//!import lib/eight
//!import lib/halves
//!import lib/planes
const BLOCK: u32 = 32u;

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

fn codes8(block: ptr<function, WeightBlock>, index: u32) -> Eight {
    let word = (*block).quants[index];
    let high = (*block).high[index / 2u];
    let lo = (word & 0x0f0f0f0fu) | (bits2(high, index % 2u * 2u) << 4u);
    let hi = ((word >> 4u) & 0x0f0f0f0fu) | (bits2(high, index % 2u * 2u + 1u) << 4u);
    let scale = (*block).scales[index / 2u];
    return Eight((vec4f(unpack4xU8(lo)) - 32.0) * scale, (vec4f(unpack4xU8(hi)) - 32.0) * scale);
}
