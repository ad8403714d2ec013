// interface weight: Q8_0. Blocks of 32 bytes q and a 16-bit scale d; w = d·q.
// Scales lie two a word, in the order of the blocks.
//!import lib/eight
//!import lib/whole
const BLOCK: u32 = 32u;

@group(0) @binding(8) var<storage, read> weight_quants: array<vec4<u32>>;
@group(0) @binding(9) var<storage, read> weight_scales: array<u32>;

struct WeightBlock {
    quants: array<vec4<u32>, 2>,
    scales: u32, // of this block and of its neighbour
    number: u32,
}

fn weight_block(block: u32) -> WeightBlock {
    return WeightBlock(
        array(weight_quants[2u * block], weight_quants[2u * block + 1u]),
        weight_scales[block / 2u],
        block,
    );
}

fn weight_scale(block: ptr<function, WeightBlock>) -> vec2f {
    return vec2(half_at((*block).scales, (*block).number), 0.0);
}

fn packed8(block: ptr<function, WeightBlock>, index: u32) -> vec2<u32> {
    let words = (*block).quants[index / 2u];
    return select(words.xy, words.zw, index % 2u == 1u);
}

fn codes8(block: ptr<function, WeightBlock>, index: u32) -> Eight {
    let words = packed8(block, index);
    return Eight(vec4f(unpack4xI8(words.x)), vec4f(unpack4xI8(words.y)));
}
