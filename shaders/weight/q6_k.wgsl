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
    high: vec4<u32>, // of this block and of its neighbour
    scales: u32, // a word with those of 16 weights each
    scale: u32, // a word with d
    number: u32,
}

// Where 16 bits lie of the scales of a block's 16 weights each; d follows those of eight blocks.
fn scales_at(block: u32) -> u32 {
    return block / 8u * 9u + block % 8u;
}

fn scale_at(block: u32) -> u32 {
    return block / 8u * 9u + 8u;
}

fn weight_block(block: u32) -> WeightBlock {
    let at = block / 8u * 12u;
    let part = block % 8u;
    return WeightBlock(
        weight_quants[at + part],
        weight_quants[at + 8u + part / 2u],
        weight_scales[scales_at(block) / 2u],
        weight_scales[scale_at(block) / 2u],
        block,
    );
}

fn weight_scale(block: ptr<function, WeightBlock>) -> vec2f {
    return vec2(half_at((*block).scale, scale_at((*block).number)), 0.0);
}

fn scales_of(block: ptr<function, WeightBlock>) -> vec2f {
    return byte_pair(half_bits((*block).scales, scales_at((*block).number)));
}

fn part_scale(block: ptr<function, WeightBlock>, part: u32) -> vec2f {
    return vec2(1.0, -32.0) * scales_of(block)[part];
}

fn packed8(block: ptr<function, WeightBlock>, index: u32) -> vec2<u32> {
    let both = (*block).high;
    let high = select(both.xy, both.zw, (*block).number % 2u == 1u)[index / 2u];
    let top = vec2(bits2(high, index % 2u * 2u), bits2(high, index % 2u * 2u + 1u));
    return nibble_bytes((*block).quants[index]) | (top << vec2(4u));
}

fn codes8(block: ptr<function, WeightBlock>, index: u32) -> Eight {
    let codes = eight_unsigned(packed8(block, index));
    let scale = scales_of(block)[index / 2u];
    return Eight((codes.lo - 32.0) * scale, (codes.hi - 32.0) * scale);
}
