// interface weight: NVFP4. E2M1 numbers q; a byte d (E4M3, unsigned) as scale of each
// 16; w = d·q. d is part of the code.
//!import lib/eight
//!import lib/halves
//!import lib/fp4
const BLOCK: u32 = 32u;

@group(0) @binding(8) var<storage, read> weight_quants: array<vec4<u32>>;

struct WeightBlock {
    quants: vec4<u32>,
    scales: vec2f, // of 16 weights each
}

fn weight_block(block: u32) -> WeightBlock {
    // E4M3 moved into an f16 is 2⁻⁸ of itself; codes are doubled. NaN is 0.
    let bits = scale_bits(block);
    let bytes = vec2(bits & 255u, bits >> 8u);
    let pair = unpack2x16float(((bits & 0x7fu) << 7u) | ((bits & 0x7f00u) << 15u));
    let scales = select(pair * 128.0, vec2f(), bytes == vec2(127u));
    return WeightBlock(weight_quants[block], scales);
}

fn weight_scale(block: ptr<function, WeightBlock>) -> vec2f {
    return vec2(1.0, 0.0);
}

fn codes8(block: ptr<function, WeightBlock>, index: u32) -> Eight {
    let codes = fp4_eight((*block).quants[index]);
    let scale = (*block).scales[index / 2u];
    return Eight(codes.lo * scale, codes.hi * scale);
}
