// interface weight: IQ2_S. For each 8 weights a 10-bit index and 8 signs; scales as
// IQ2_XS. Words of low bits and of signs; 16 bits of high bits and scales.
//!import lib/eight
//!import lib/halves
//!import lib/signs
const BLOCK: u32 = 32u;

@group(0) @binding(7) var<storage, read> weight_table: array<vec2<u32>>;
@group(0) @binding(8) var<storage, read> weight_quants: array<vec2<u32>>;

struct WeightBlock {
    quants: vec2<u32>,
    high: u32,
    scales: vec2f, // of 16 weights each
    scale: f32,
}

fn weight_block(block: u32) -> WeightBlock {
    let at = block / 8u * 9u;
    let bits = scale_bits(at + block % 8u);
    let scales = vec2f(2u * vec2((bits >> 8u) & 15u, bits >> 12u) + vec2(1u));
    return WeightBlock(weight_quants[block], bits, scales, scale_half(at + 8u) * 0.125);
}

fn weight_scale(block: ptr<function, WeightBlock>) -> vec2f {
    return vec2((*block).scale, 0.0);
}

fn codes8(block: ptr<function, WeightBlock>, index: u32) -> Eight {
    let quants = (*block).quants;
    let high = ((*block).high >> (2u * index)) & 3u;
    let entry = weight_table[((quants.x >> (8u * index)) & 255u) | (high << 8u)];
    let signs = quants.y >> (8u * index);
    let scale = (*block).scales[index / 2u];
    return Eight(signed4(entry.x, signs) * scale, signed4(entry.y, signs >> 4u) * scale);
}
