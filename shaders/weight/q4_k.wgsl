// interface weight: Q4_K. 256 nibbles q; a scale s and a minimum n of 6 bits for each
// 32, 16-bit d and e; w = d·s·q - e·n.
//!import lib/eight
//!import lib/whole
//!import lib/k_scale
const BLOCK: u32 = 32u;

@group(0) @binding(8) var<storage, read> weight_quants: array<vec4<u32>>;
@group(0) @binding(9) var<storage, read> weight_scales: array<vec4<u32>>;

struct WeightBlock {
    quants: vec4<u32>,
    scales: vec4<u32>,
    number: u32,
}

fn weight_block(block: u32) -> WeightBlock {
    return WeightBlock(weight_quants[block], weight_scales[block / 8u], block % 8u);
}

fn weight_scale(block: ptr<function, WeightBlock>) -> vec2f {
    return k_scale((*block).scales, (*block).number);
}

fn packed8(block: ptr<function, WeightBlock>, index: u32) -> vec2<u32> {
    return nibble_bytes((*block).quants[index]);
}

fn codes8(block: ptr<function, WeightBlock>, index: u32) -> Eight {
    return eight_unsigned(packed8(block, index));
}
