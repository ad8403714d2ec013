// interface weight: IQ4_NL. As Q4_0, but codes stand for unevenly spaced values.
//!import lib/eight
//!import lib/halves
//!import lib/iq4
const BLOCK: u32 = 32u;

@group(0) @binding(8) var<storage, read> weight_quants: array<vec4<u32>>;

struct WeightBlock {
    quants: vec4<u32>,
    scale: f32,
}

fn weight_block(block: u32) -> WeightBlock {
    return WeightBlock(weight_quants[block], scale_half(block));
}

fn weight_scale(block: ptr<function, WeightBlock>) -> vec2f {
    return vec2((*block).scale, 0.0);
}

fn codes8(block: ptr<function, WeightBlock>, index: u32) -> Eight {
    let word = (*block).quants[index];
    return Eight(iq4_values(nibbles(word)), iq4_values(nibbles(word >> 4u)));
}
