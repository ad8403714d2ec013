// Eight neighbouring weights of a row.
struct Eight {
    lo: vec4f,
    hi: vec4f,
}

// Eight codes as bytes of two words.
fn eight_unsigned(words: vec2<u32>) -> Eight {
    return Eight(vec4f(unpack4xU8(words.x)), vec4f(unpack4xU8(words.y)));
}

// The nibbles of a word as bytes: the low ones, then the high ones.
fn nibble_bytes(word: u32) -> vec2<u32> {
    return vec2(word, word >> 4u) & vec2(0x0f0f0f0fu);
}

// Four nibbles of a word: the low ones of its bytes, or after a shift by 4 the high ones.
fn nibbles(word: u32) -> vec4f {
    return vec4f(unpack4xU8(word & 0x0f0f0f0fu));
}

// One of the 16-bit floats that lie two a word.
fn half_at(word: u32, index: u32) -> f32 {
    let pair = unpack2x16float(word);
    return select(pair.x, pair.y, index % 2u == 1u);
}

// Eight weights: w = d·code + m, with (d, m) the scale of their block.
fn weight8(block: ptr<function, WeightBlock>, index: u32) -> Eight {
    let scale = weight_scale(block);
    let codes = codes8(block, index);
    return Eight(codes.lo * scale.x + scale.y, codes.hi * scale.x + scale.y);
}
