// interface weight: Q4_1. Blocks of 32 nibbles q, a 16-bit scale d and minimum m;
// w = d·q + m. Word g of a block holds weights 8g … 8g+7: low nibbles first, then
// high ones. The word of a block's scales holds d below m.
//!import lib/eight
//!import lib/whole
const BLOCK: u32 = 32u;

@group(0) @binding(8) var<storage, read> weight_quants: array<vec4<u32>>;
@group(0) @binding(9) var<storage, read> weight_scales: array<u32>;

struct WeightBlock {
    quants: vec4<u32>,
    scale: u32, // d, m
}

fn weight_block(block: u32) -> WeightBlock {
    return WeightBlock(weight_quants[block], weight_scales[block]);
}

fn weight_scale(block: ptr<function, WeightBlock>) -> vec2f {
    return unpack2x16float((*block).scale);
}

fn packed8(block: ptr<function, WeightBlock>, index: u32) -> vec2<u32> {
    return nibble_bytes((*block).quants[index]);
}

fn codes8(block: ptr<function, WeightBlock>, index: u32) -> Eight {
    return eight_unsigned(packed8(block, index));
}
