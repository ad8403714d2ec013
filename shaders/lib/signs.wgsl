// Grids of the IQ2 and IQ3 formats, and the signs of their values.

// Seven signs are stored; the eighth makes their number even.
fn even_signs(word: u32) -> u32 {
    let bits = word & 127u;
    return bits | ((countOneBits(bits) & 1u) << 7u);
}

// Four bytes of a grid with signs 0 … 3.
fn signed4(word: u32, signs: u32) -> vec4f {
    let value = vec4f(unpack4xU8(word));
    return select(value, -value, (vec4(signs) & vec4(1u, 2u, 4u, 8u)) != vec4(0u));
}
