// Planes of 1 and 2 bits (crates/base/src/quant/planes.rs): as bytes, four weights.

fn bits1(word: u32, four: u32) -> u32 {
    return (word >> four) & 0x01010101u;
}

fn bits2(word: u32, four: u32) -> u32 {
    return (word >> (2u * four)) & 0x03030303u;
}
