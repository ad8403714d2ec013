// interface weight: Q1_0. 128 bits q, a 16-bit d; w = d·(2q - 1).
//!import lib/eight
//!import lib/halves
//!import lib/planes
const BLOCK: u32 = 32u;

@group(0) @binding(8) var<storage, read> weight_quants: array<u32>;

struct WeightBlock {
    quants: u32,
    scale: f32,
}

fn weight_block(block: u32) -> WeightBlock {
    return WeightBlock(weight_quants[block], scale_half(block / 4u));
}

fn weight_scale(block: ptr<function, WeightBlock>) -> vec2f {
    return vec2(2.0, -1.0) * (*block).scale;
}

fn codes8(block: ptr<function, WeightBlock>, index: u32) -> Eight {
    let word = (*block).quants;
    return Eight(
        vec4f(unpack4xU8(bits1(word, 2u * index))),
        vec4f(unpack4xU8(bits1(word, 2u * index + 1u))),
    );
}
