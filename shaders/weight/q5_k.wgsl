// interface weight: Q5_K. As Q4_K, with high bits behind the nibbles of a block of 256.
//!import lib/eight
//!import lib/whole
//!import lib/planes
//!import lib/k_scale
const BLOCK: u32 = 32u;

@group(0) @binding(8) var<storage, read> weight_quants: array<vec4<u32>>;
@group(0) @binding(9) var<storage, read> weight_scales: array<vec4<u32>>;

struct WeightBlock {
    quants: vec4<u32>,
    high: u32,
    scales: vec4<u32>,
    number: u32,
}

fn weight_block(block: u32) -> WeightBlock {
    let at = block / 8u * 10u;
    let part = block % 8u;
    return WeightBlock(
        weight_quants[at + part],
        weight_quants[at + 8u + part / 4u][part % 4u],
        weight_scales[block / 8u],
        part,
    );
}

fn weight_scale(block: ptr<function, WeightBlock>) -> vec2f {
    return k_scale((*block).scales, (*block).number);
}

fn packed8(block: ptr<function, WeightBlock>, index: u32) -> vec2<u32> {
    return five_bits((*block).quants[index], (*block).high, index);
}

fn codes8(block: ptr<function, WeightBlock>, index: u32) -> Eight {
    return eight_unsigned(packed8(block, index));
}
