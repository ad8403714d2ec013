// interface weight: TQ2_0. 256 pairs of bits and a 16-bit scale.
//!import lib/two_bits
const SCALED: u32 = 8u;
