// interface weight: MXFP4. 32 E2M1 numbers q, a power of two d: the upper half of an
// f32; w = d·q.
//!import lib/eight
//!import lib/halves
//!import lib/fp4
const BLOCK: u32 = 32u;

@group(0) @binding(8) var<storage, read> weight_quants: array<vec4<u32>>;

struct WeightBlock {
    quants: vec4<u32>,
    scale: f32,
}

fn weight_block(block: u32) -> WeightBlock {
    return WeightBlock(weight_quants[block], bitcast<f32>(scale_bits(block) << 16u));
}

fn weight_scale(block: ptr<function, WeightBlock>) -> vec2f {
    return vec2((*block).scale, 0.0);
}

fn codes8(block: ptr<function, WeightBlock>, index: u32) -> Eight {
    return fp4_eight((*block).quants[index]);
}
