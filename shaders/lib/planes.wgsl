// Planes of 1 and 2 bits (crates/base/src/quant/planes.rs): as bytes, four weights.
//!import lib/eight

fn bits1(word: u32, four: u32) -> u32 {
    return (word >> four) & 0x01010101u;
}

fn bits2(word: u32, four: u32) -> u32 {
    return (word >> (2u * four)) & 0x03030303u;
}

// Eight codes of 5 bits as bytes: nibbles of `word`, and plane `high` with the fifth bits.
fn five_bits(word: u32, high: u32, index: u32) -> vec2<u32> {
    let fifth = vec2(bits1(high, 2u * index), bits1(high, 2u * index + 1u));
    return nibble_bytes(word) | (fifth << vec2(4u));
}
