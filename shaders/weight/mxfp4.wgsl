// interface weight: MXFP4. 32 E2M1 numbers q, a byte e (four a word); w = q·2^(e − 127).
//!import lib/eight
//!import lib/fp4
const BLOCK: u32 = 32u;

@group(0) @binding(8) var<storage, read> weight_quants: array<vec4<u32>>;
@group(0) @binding(9) var<storage, read> weight_scales: array<u32>;

struct WeightBlock {
    quants: vec4<u32>,
    scale: f32,
}

fn weight_block(block: u32) -> WeightBlock {
    let e = (weight_scales[block / 4u] >> (8u * (block % 4u))) & 0xffu;
    // Codes are doubled, so half the scale: below 2^-126 without an exponent.
    let bits = select((e - 1u) << 23u, 0x00200000u << min(e, 1u), e < 2u);
    return WeightBlock(weight_quants[block], bitcast<f32>(bits));
}

fn weight_scale(block: ptr<function, WeightBlock>) -> vec2f {
    return vec2((*block).scale, 0.0);
}

fn codes8(block: ptr<function, WeightBlock>, index: u32) -> Eight {
    return fp4_eight((*block).quants[index]);
}
