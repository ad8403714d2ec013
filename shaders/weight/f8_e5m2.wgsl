// interface weight: F8_E5M2, the upper half of an F16, four a word. A row is padded to a
// multiple of 8.
//!import lib/eight
const BLOCK: u32 = 8u;

@group(0) @binding(8) var<storage, read> weight_quants: array<vec2<u32>>;

alias WeightBlock = vec2<u32>;

// Weights from the upper halves of 16 bits each, even ones and odd ones.
fn four(even: u32, odd: u32) -> vec4f {
    let a = pair(even);
    let b = pair(odd);
    return vec4(a.x, b.x, a.y, b.y);
}

fn pair(word: u32) -> vec2f {
    return unpack2x16float(word & 0xff00ff00u);
}

fn weight_block(block: u32) -> WeightBlock {
    return weight_quants[block];
}

fn weight_scale(block: ptr<function, WeightBlock>) -> vec2f {
    return vec2(1.0, 0.0);
}

fn codes8(block: ptr<function, WeightBlock>, index: u32) -> Eight {
    let odd = *block;
    let even = odd << vec2(8u);
    return Eight(four(even.x, odd.x), four(even.y, odd.y));
}
