// interface weight: BF16, the upper half of an F32, two a word. A row is padded
// to a multiple of 8.
//!import lib/eight
const BLOCK: u32 = 8u;

@group(0) @binding(8) var<storage, read> weight_quants: array<vec4<u32>>;

alias WeightBlock = vec4<u32>;

fn weight_block(block: u32) -> WeightBlock {
    return weight_quants[block];
}

fn weight_scale(block: ptr<function, WeightBlock>) -> vec2f {
    return vec2(1.0, 0.0);
}

fn codes8(block: ptr<function, WeightBlock>, index: u32) -> Eight {
    let even = bitcast<vec4f>(*block << vec4(16u));
    let odd = bitcast<vec4f>(*block & vec4(0xffff0000u));
    return Eight(vec4(even.x, odd.x, even.y, odd.y), vec4(even.z, odd.z, even.w, odd.w));
}
