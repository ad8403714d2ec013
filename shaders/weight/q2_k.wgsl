// interface weight: Q2_K. 256 pairs of bits; a scale s and a minimum n of 4 bits for
// each 16, 16-bit d and e; w = d·s·q - e·n, which is all in the code.
//!import lib/eight
//!import lib/halves
//!import lib/planes
const BLOCK: u32 = 32u;
const PARTS: u32 = 2u; // of a block, with a scale each

@group(0) @binding(8) var<storage, read> weight_quants: array<vec2<u32>>;

struct WeightBlock {
    quants: vec2<u32>,
    scales: vec4f, // scale and minimum of 16 weights, then of 16 more
}

fn weight_block(block: u32) -> WeightBlock {
    let at = block / 8u * 10u;
    let both = (vec4(scale_bits(at + block % 8u)) >> vec4(0u, 4u, 8u, 12u)) & vec4(15u);
    let scale = unpack2x16float(weight_scales[at / 2u + 4u]);
    return WeightBlock(weight_quants[block], vec4f(both) * scale.xyxy);
}

fn weight_scale(block: ptr<function, WeightBlock>) -> vec2f {
    return vec2(1.0, 0.0);
}

fn part_scale(block: ptr<function, WeightBlock>, part: u32) -> vec2f {
    return vec2(1.0, -1.0) * select((*block).scales.xy, (*block).scales.zw, part == 1u);
}

fn packed8(block: ptr<function, WeightBlock>, index: u32) -> vec2<u32> {
    let word = (*block).quants[index / 2u];
    return vec2(bits2(word, index % 2u * 2u), bits2(word, index % 2u * 2u + 1u));
}

fn codes8(block: ptr<function, WeightBlock>, index: u32) -> Eight {
    let codes = eight_unsigned(packed8(block, index));
    let scale = part_scale(block, index / 2u);
    return Eight(codes.lo * scale.x + scale.y, codes.hi * scale.x + scale.y);
}
