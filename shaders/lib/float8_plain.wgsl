// 8-bit floats without scales, four a word; a row is padded to a multiple of 8.
//!import lib/float8
const BLOCK: u32 = 8u;

@group(0) @binding(8) var<storage, read> weight_quants: array<vec2<u32>>;

alias WeightBlock = vec2<u32>;

fn weight_block(block: u32) -> WeightBlock {
    return weight_quants[block];
}

fn weight_scale(block: ptr<function, WeightBlock>) -> vec2f {
    return vec2(FLOAT8_SCALE, 0.0);
}

fn codes8(block: ptr<function, WeightBlock>, index: u32) -> Eight {
    return float8_eight(*block);
}
