// interface weight: IQ3_XXS. For each 32 weights 8 bytes, indices of fours, and a word:
// 4 × 7 signs, a 4-bit scale s; 16-bit d; w = d/4·(2s + 1)·value.
//!import lib/eight
//!import lib/halves
//!import lib/signs
const BLOCK: u32 = 32u;

@group(0) @binding(7) var<storage, read> weight_table: array<u32>;
@group(0) @binding(8) var<storage, read> weight_quants: array<u32>;

struct WeightBlock {
    quants: vec2<u32>,
    signs: u32,
    scale: f32,
}

fn weight_block(block: u32) -> WeightBlock {
    let quants = vec2(weight_quants[3u * block], weight_quants[3u * block + 1u]);
    let signs = weight_quants[3u * block + 2u];
    let scale = scale_half(block / 8u) * 0.25 * f32(2u * (signs >> 28u) + 1u);
    return WeightBlock(quants, signs, scale);
}

fn weight_scale(block: ptr<function, WeightBlock>) -> vec2f {
    return vec2((*block).scale, 0.0);
}

fn codes8(block: ptr<function, WeightBlock>, index: u32) -> Eight {
    let pair = (*block).quants[index / 2u] >> (16u * (index % 2u));
    let signs = even_signs((*block).signs >> (7u * index));
    return Eight(
        signed4(weight_table[pair & 255u], signs),
        signed4(weight_table[(pair >> 8u) & 255u], signs >> 4u),
    );
}
