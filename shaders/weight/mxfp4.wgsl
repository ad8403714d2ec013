// interface weight: MXFP4. 32 E2M1 numbers q, a byte e (four a word); w = q·2^(e − 127).
//!import lib/eight
//!import lib/fp4
const BLOCK: u32 = 32u;

@group(0) @binding(8) var<storage, read> weight_quants: array<vec4<u32>>;
@group(0) @binding(9) var<storage, read> weight_scales: array<u32>;

struct WeightBlock {
    quants: vec4<u32>,
    scales: u32, // of four neighbours
    number: u32,
}

fn weight_block(block: u32) -> WeightBlock {
    return WeightBlock(weight_quants[block], weight_scales[block / 4u], block);
}

fn weight_scale(block: ptr<function, WeightBlock>) -> vec2f {
    let e = ((*block).scales >> (8u * ((*block).number % 4u))) & 0xffu;
    // Codes are doubled, so half the scale: below 2^-126 without an exponent.
    let bits = select((e - 1u) << 23u, 0x00200000u << min(e, 1u), e < 2u);
    return vec2(bitcast<f32>(bits), 0.0);
}

fn codes8(block: ptr<function, WeightBlock>, index: u32) -> Eight {
    return fp4_eight((*block).quants[index]);
}
