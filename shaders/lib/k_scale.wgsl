// Scale and minimum of one of eight parts, from four words: d and e; nibbles of the
// scales; nibbles of the minima; high 2 bits of the scales, then of the minima.
fn k_scale(words: vec4<u32>, part: u32) -> vec2f {
    let low = (words.yz >> vec2(4u * part)) & vec2(15u);
    let high = (vec2(words.w) >> vec2(2u * part, 2u * part + 16u)) & vec2(3u);
    return unpack2x16float(words.x) * vec2(1.0, -1.0) * vec2f(low | (high << vec2(4u)));
}
