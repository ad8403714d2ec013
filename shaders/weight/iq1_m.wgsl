// interface weight: IQ1_M. For each 8 weights an 11-bit index and a sign; a 3-bit scale s
// for each 16; w = d·(2s + 1)·(value ± 1/8). Words of low bits; 8 halves of high bits and
// signs; 4 of scales, with a nibble of d on top of each. Scales are part of the code.
//!import lib/eight
//!import lib/halves
const BLOCK: u32 = 32u;

@group(0) @binding(7) var<storage, read> weight_table: array<vec2<u32>>;
@group(0) @binding(8) var<storage, read> weight_quants: array<u32>;

struct WeightBlock {
    quants: u32,
    bits: u32,
    scales: vec2f, // of 16 weights each
    scale: f32,
}

fn weight_block(block: u32) -> WeightBlock {
    let at = block / 8u * 12u;
    let part = block % 8u;
    let low = weight_scales[at / 2u + 4u];
    let high = weight_scales[at / 2u + 5u];
    let d = ((low >> 12u) & 0xfu) | ((low >> 24u) & 0xf0u)
        | ((high >> 4u) & 0xf00u) | ((high >> 16u) & 0xf000u);
    let scales = scale_bits(at + 8u + part / 2u) >> (6u * (part % 2u));
    return WeightBlock(
        weight_quants[block],
        scale_bits(at + part),
        vec2f(2u * vec2(scales & 7u, (scales >> 3u) & 7u) + vec2(1u)),
        unpack2x16float(d).x,
    );
}

fn weight_scale(block: ptr<function, WeightBlock>) -> vec2f {
    return vec2((*block).scale, 0.0);
}

fn codes8(block: ptr<function, WeightBlock>, index: u32) -> Eight {
    let bits = (*block).bits >> (4u * index);
    let entry = weight_table[(((*block).quants >> (8u * index)) & 255u) | ((bits & 7u) << 8u)];
    let delta = select(0.125, -0.125, (bits & 8u) == 8u);
    let scale = (*block).scales[index / 2u];
    return Eight(
        (vec4f(unpack4xI8(entry.x)) + delta) * scale,
        (vec4f(unpack4xI8(entry.y)) + delta) * scale,
    );
}
