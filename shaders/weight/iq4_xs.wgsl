// interface weight: IQ4_XS. 256 codes as those of IQ4_NL; a byte as scale of each
// 32, a 16-bit d.
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
    let at = block / 8u * 5u;
    let scale = scale_pair(at + block % 8u / 2u)[block % 2u];
    return WeightBlock(weight_quants[block], scale_half(at + 4u) * scale);
}

fn weight_scale(block: ptr<function, WeightBlock>) -> vec2f {
    return vec2((*block).scale, 0.0);
}

fn codes8(block: ptr<function, WeightBlock>, index: u32) -> Eight {
    let word = (*block).quants[index];
    return Eight(iq4_values(nibbles(word)), iq4_values(nibbles(word >> 4u)));
}
