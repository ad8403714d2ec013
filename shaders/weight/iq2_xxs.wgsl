// interface weight: IQ2_XXS. For each 32 weights 4 bytes, indices of eights, and a word:
// 4 × 7 signs, a 4-bit scale s; 16-bit d; w = d/8·(2s + 1)·value.
//!import lib/eight
//!import lib/halves
//!import lib/signs
const BLOCK: u32 = 32u;

@group(0) @binding(7) var<storage, read> weight_table: array<vec2<u32>>;
@group(0) @binding(8) var<storage, read> weight_quants: array<vec2<u32>>;

struct WeightBlock {
    quants: vec2<u32>,
    scale: f32,
}

fn weight_block(block: u32) -> WeightBlock {
    let quants = weight_quants[block];
    let scale = scale_half(block / 8u) * 0.125 * f32(2u * (quants.y >> 28u) + 1u);
    return WeightBlock(quants, scale);
}

fn weight_scale(block: ptr<function, WeightBlock>) -> vec2f {
    return vec2((*block).scale, 0.0);
}

fn codes8(block: ptr<function, WeightBlock>, index: u32) -> Eight {
    let quants = (*block).quants;
    let entry = weight_table[(quants.x >> (8u * index)) & 255u];
    let signs = even_signs(quants.y >> (7u * index));
    return Eight(signed4(entry.x, signs), signed4(entry.y, signs >> 4u));
}
