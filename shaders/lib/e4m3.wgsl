// E4M3, an 8-bit float. Moved into an f16 a number is 2⁻⁸ of itself.
const FLOAT8_SCALE: f32 = 256.0;

fn float8_half(word: u32) -> u32 {
    return (word & 0x80008000u) | ((word & 0x7f007f00u) >> 1u);
}
