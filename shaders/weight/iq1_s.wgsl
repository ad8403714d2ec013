// interface weight: IQ1_S. For each 8 weights an 11-bit index; for each 32 a 3-bit scale
// s and a sign; 16-bit d; w = d·(2s + 1)·(value ± 1/8). Words of low bits; for each 32
// weights 16 bits with the rest.
//!import lib/eight
//!import lib/halves
const BLOCK: u32 = 32u;

@group(0) @binding(7) var<storage, read> weight_table: array<vec2<u32>>;
@group(0) @binding(8) var<storage, read> weight_quants: array<u32>;

struct WeightBlock {
    quants: u32,
    bits: u32,
    scale: f32,
}

fn weight_block(block: u32) -> WeightBlock {
    let at = block / 8u * 9u;
    let bits = scale_bits(at + block % 8u);
    let scale = scale_half(at + 8u) * f32(2u * ((bits >> 12u) & 7u) + 1u);
    return WeightBlock(weight_quants[block], bits, scale);
}

fn weight_scale(block: ptr<function, WeightBlock>) -> vec2f {
    let scale = (*block).scale;
    return vec2(scale, select(scale, -scale, ((*block).bits >> 15u) == 1u) * 0.125);
}

fn codes8(block: ptr<function, WeightBlock>, index: u32) -> Eight {
    let high = ((*block).bits >> (3u * index)) & 7u;
    let entry = weight_table[(((*block).quants >> (8u * index)) & 255u) | (high << 8u)];
    return Eight(vec4f(unpack4xI8(entry.x)), vec4f(unpack4xI8(entry.y)));
}
