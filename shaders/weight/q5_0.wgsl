// interface weight: Q5_0. As Q4_0 with a plane of high bits; w = d·(q - 16). Two blocks
// take three words of scales: high bits of the even one, both d, those of the odd one.
//!import lib/eight
//!import lib/whole
//!import lib/planes
const BLOCK: u32 = 32u;

@group(0) @binding(8) var<storage, read> weight_quants: array<vec4<u32>>;
@group(0) @binding(9) var<storage, read> weight_scales: array<u32>;

struct WeightBlock {
    quants: vec4<u32>,
    high: u32,
    scales: u32, // of this block and of its neighbour
    number: u32,
}

fn weight_block(block: u32) -> WeightBlock {
    let at = block / 2u * 3u;
    let odd = block % 2u;
    return WeightBlock(
        weight_quants[block],
        weight_scales[at + 2u * odd],
        weight_scales[at + 1u],
        odd,
    );
}

fn weight_scale(block: ptr<function, WeightBlock>) -> vec2f {
    return vec2(1.0, -16.0) * half_at((*block).scales, (*block).number);
}

fn packed8(block: ptr<function, WeightBlock>, index: u32) -> vec2<u32> {
    return five_bits((*block).quants[index], (*block).high, index);
}

fn codes8(block: ptr<function, WeightBlock>, index: u32) -> Eight {
    return eight_unsigned(packed8(block, index));
}
