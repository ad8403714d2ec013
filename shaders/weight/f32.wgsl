// interface weight: F32. A row is padded to a multiple of 8.
//!import lib/eight
const BLOCK: u32 = 8u;

@group(0) @binding(8) var<storage, read> weight_quants: array<vec4f>;

alias WeightBlock = Eight;

fn weight_block(block: u32) -> WeightBlock {
    return Eight(weight_quants[2u * block], weight_quants[2u * block + 1u]);
}

fn weight_scale(block: ptr<function, WeightBlock>) -> vec2f {
    return vec2(1.0, 0.0);
}

fn codes8(block: ptr<function, WeightBlock>, index: u32) -> Eight {
    return *block;
}
