// interface weight: Q2_K. 256 pairs of bits; a scale s and a minimum n of 4 bits for
// each 16, 16-bit d and e; w = d·s·q - e·n, which is all in the code.
//!import lib/eight
//!import lib/halves
//!import lib/planes
const BLOCK: u32 = 32u;

@group(0) @binding(8) var<storage, read> weight_quants: array<vec2<u32>>;

struct WeightBlock {
    quants: vec2<u32>,
    scales: vec4f, // scale and minimum of 16 weights, then of 16 more
}

fn weight_block(block: u32) -> WeightBlock {
    let at = block / 8u * 10u;
    let both = (vec4(scale_bits(at + block % 8u)) >> vec4(0u, 4u, 8u, 12u)) & vec4(15u);
    let scale = unpack2x16float(weight_scales[at / 2u + 4u]);
    return WeightBlock(weight_quants[block], vec4f(both) * scale.xyxy);
}

fn weight_scale(block: ptr<function, WeightBlock>) -> vec2f {
    return vec2(1.0, 0.0);
}

fn codes8(block: ptr<function, WeightBlock>, index: u32) -> Eight {
    let word = (*block).quants[index / 2u];
    let scales = select((*block).scales.xy, (*block).scales.zw, index / 2u == 1u);
    return Eight(
        vec4f(unpack4xU8(bits2(word, index % 2u * 2u))) * scales.x - scales.y,
        vec4f(unpack4xU8(bits2(word, index % 2u * 2u + 1u))) * scales.x - scales.y,
    );
}
