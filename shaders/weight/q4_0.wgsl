// interface weight: Q4_0. Blocks of 32 nibbles q and a 16-bit scale d; w = d·(q - 8).
// Word g of a block holds weights 8g … 8g+7: low nibbles first, then high ones.
// Scales lie two a word, in the order of the blocks.
//!import lib/eight
//!import lib/whole
const BLOCK: u32 = 32u;

@group(0) @binding(8) var<storage, read> weight_quants: array<vec4<u32>>;
@group(0) @binding(9) var<storage, read> weight_scales: array<u32>;

struct WeightBlock {
    quants: vec4<u32>,
    scales: u32, // of this block and of its neighbour
    number: u32,
}

fn weight_block(block: u32) -> WeightBlock {
    return WeightBlock(weight_quants[block], weight_scales[block / 2u], block);
}

fn weight_scale(block: ptr<function, WeightBlock>) -> vec2f {
    return vec2(1.0, -8.0) * half_at((*block).scales, (*block).number);
}

fn packed8(block: ptr<function, WeightBlock>, index: u32) -> vec2<u32> {
    return nibble_bytes((*block).quants[index]);
}

fn codes8(block: ptr<function, WeightBlock>, index: u32) -> Eight {
    return eight_unsigned(packed8(block, index));
}
