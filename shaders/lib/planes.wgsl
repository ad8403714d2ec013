// Planes of 1 and 2 bits (crates/base/src/quant/planes.rs): as bytes, four weights.
//!import lib/eight

fn bits1(word: u32, four: u32) -> u32 {
    return (word >> four) & 0x01010101u;
}

fn bits2(word: u32, four: u32) -> u32 {
    return (word >> (2u * four)) & 0x03030303u;
}

// Eight codes of 5 bits: nibbles of `word`, and plane `high` with the fifth bits.
fn five_bits(word: u32, high: u32, index: u32) -> Eight {
    let lo = (word & 0x0f0f0f0fu) | (bits1(high, 2u * index) << 4u);
    let hi = ((word >> 4u) & 0x0f0f0f0fu) | (bits1(high, 2u * index + 1u) << 4u);
    return Eight(vec4f(unpack4xU8(lo)), vec4f(unpack4xU8(hi)));
}
