// interface weight: F8_E5M2, the upper half of an F16.
//!import lib/float8_plain
const FLOAT8_SCALE: f32 = 1.0;

fn float8_half(word: u32) -> u32 {
    return word & 0xff00ff00u;
}
