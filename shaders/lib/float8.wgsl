// 8-bit floats, four a word; a row is padded to a multiple of 8. The format says what 16
// bits a number is the upper half of (`float8_half`), and what it is then to be multiplied
// with (FLOAT8_SCALE).
//!import lib/eight
const BLOCK: u32 = 8u;

@group(0) @binding(8) var<storage, read> weight_quants: array<vec2<u32>>;

alias WeightBlock = vec2<u32>;

// Weights from the upper halves of 16 bits each, even ones and odd ones.
fn float8_four(even: u32, odd: u32) -> vec4f {
    let a = unpack2x16float(float8_half(even));
    let b = unpack2x16float(float8_half(odd));
    return vec4(a.x, b.x, a.y, b.y);
}

fn weight_block(block: u32) -> WeightBlock {
    return weight_quants[block];
}

fn weight_scale(block: ptr<function, WeightBlock>) -> vec2f {
    return vec2(FLOAT8_SCALE, 0.0);
}

fn codes8(block: ptr<function, WeightBlock>, index: u32) -> Eight {
    let odd = *block;
    let even = odd << vec2(8u);
    return Eight(float8_four(even.x, odd.x), float8_four(even.y, odd.y));
}
