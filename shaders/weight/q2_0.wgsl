// interface weight: Q2_0. 64 pairs of bits and a 16-bit scale.
//!import lib/two_bits
const SCALED: u32 = 2u;
