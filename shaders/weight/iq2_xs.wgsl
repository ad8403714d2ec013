// interface weight: IQ2_XS. For each 8 weights a 9-bit index and 7 signs; a 4-bit scale s
// for each 16; 16-bit d; w = d/8·(2s + 1)·value. The scale is part of the code.
//!import lib/eight
//!import lib/halves
//!import lib/signs
const BLOCK: u32 = 32u;

@group(0) @binding(7) var<storage, read> weight_table: array<vec2<u32>>;
@group(0) @binding(8) var<storage, read> weight_quants: array<vec2<u32>>;

struct WeightBlock {
    quants: vec2<u32>,
    scales: vec2f, // of 16 weights each
    scale: f32,
}

fn weight_block(block: u32) -> WeightBlock {
    let at = block / 8u * 5u;
    let bits = scale_bits(at + block % 8u / 2u) >> (8u * (block % 2u));
    let scales = vec2f(2u * vec2(bits & 15u, (bits >> 4u) & 15u) + vec2(1u));
    return WeightBlock(weight_quants[block], scales, scale_half(at + 4u) * 0.125);
}

fn weight_scale(block: ptr<function, WeightBlock>) -> vec2f {
    return vec2((*block).scale, 0.0);
}

fn codes8(block: ptr<function, WeightBlock>, index: u32) -> Eight {
    let both = (*block).quants[index / 2u] >> (16u * (index % 2u));
    let entry = weight_table[both & 511u];
    let signs = even_signs(both >> 9u);
    let scale = (*block).scales[index / 2u];
    return Eight(signed4(entry.x, signs) * scale, signed4(entry.y, signs >> 4u) * scale);
}
