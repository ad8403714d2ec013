// 8-bit floats with f32 scales, one each SCALED blocks of 32.
//!import lib/float8
const BLOCK: u32 = 32u;

@group(0) @binding(8) var<storage, read> weight_quants: array<vec4<u32>>;
@group(0) @binding(9) var<storage, read> weight_scales: array<f32>;

struct WeightBlock {
    quants: array<vec4<u32>, 2>,
    scale: f32,
}

fn weight_block(block: u32) -> WeightBlock {
    return WeightBlock(
        array(weight_quants[2u * block], weight_quants[2u * block + 1u]),
        weight_scales[block / SCALED] * FLOAT8_SCALE,
    );
}

fn weight_scale(block: ptr<function, WeightBlock>) -> vec2f {
    return vec2((*block).scale, 0.0);
}

fn codes8(block: ptr<function, WeightBlock>, index: u32) -> Eight {
    let words = (*block).quants[index / 2u];
    return float8_eight(select(words.xy, words.zw, index % 2u == 1u));
}
