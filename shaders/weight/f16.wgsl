// interface weight: F16, two a word. A row is padded to a multiple of 8. Needs no
// shader-f16: unpacking is core WGSL.
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
    let w = *block;
    return Eight(
        vec4(unpack2x16float(w.x), unpack2x16float(w.y)),
        vec4(unpack2x16float(w.z), unpack2x16float(w.w)),
    );
}
