// Eight 8-bit floats of two words. The format says what 16 bits a number is the upper half
// of (`float8_half`), and what it is then to be multiplied with (FLOAT8_SCALE).
//!import lib/eight

// Weights from the upper halves of 16 bits each, even ones and odd ones.
fn float8_four(even: u32, odd: u32) -> vec4f {
    let a = unpack2x16float(float8_half(even));
    let b = unpack2x16float(float8_half(odd));
    return vec4(a.x, b.x, a.y, b.y);
}

fn float8_eight(odd: vec2<u32>) -> Eight {
    let even = odd << vec2(8u);
    return Eight(float8_four(even.x, odd.x), float8_four(even.y, odd.y));
}
