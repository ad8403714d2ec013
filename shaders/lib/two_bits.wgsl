// Weights of 2 bits q with a 16-bit scale d for every SCALED blocks; w = d·(q - 1).
//!import lib/eight
//!import lib/halves
//!import lib/planes
const BLOCK: u32 = 32u;

@group(0) @binding(8) var<storage, read> weight_quants: array<vec2<u32>>;

struct WeightBlock {
    quants: vec2<u32>,
    scale: f32,
}

fn weight_block(block: u32) -> WeightBlock {
    return WeightBlock(weight_quants[block], scale_half(block / SCALED));
}

fn weight_scale(block: ptr<function, WeightBlock>) -> vec2f {
    return vec2(1.0, -1.0) * (*block).scale;
}

fn codes8(block: ptr<function, WeightBlock>, index: u32) -> Eight {
    let word = (*block).quants[index / 2u];
    return Eight(
        vec4f(unpack4xU8(bits2(word, index % 2u * 2u))),
        vec4f(unpack4xU8(bits2(word, index % 2u * 2u + 1u))),
    );
}
