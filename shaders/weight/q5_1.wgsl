// interface weight: Q5_1. As Q4_1 with a plane of high bits; w = d·q + m. Two words of
// scales a block: d and m, the high bits.
//!import lib/eight
//!import lib/whole
//!import lib/planes
const BLOCK: u32 = 32u;

@group(0) @binding(8) var<storage, read> weight_quants: array<vec4<u32>>;
@group(0) @binding(9) var<storage, read> weight_scales: array<vec2<u32>>;

struct WeightBlock {
    quants: vec4<u32>,
    scales: vec2<u32>, // d and m, high bits
}

fn weight_block(block: u32) -> WeightBlock {
    return WeightBlock(weight_quants[block], weight_scales[block]);
}

fn weight_scale(block: ptr<function, WeightBlock>) -> vec2f {
    return unpack2x16float((*block).scales.x);
}

fn packed8(block: ptr<function, WeightBlock>, index: u32) -> vec2<u32> {
    return five_bits((*block).quants[index], (*block).scales.y, index);
}

fn codes8(block: ptr<function, WeightBlock>, index: u32) -> Eight {
    return eight_unsigned(packed8(block, index));
}
