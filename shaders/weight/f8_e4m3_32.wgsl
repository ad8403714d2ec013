// interface weight: F8_E4M3_32. 32 E4M3 numbers q, an f32 scale d; w = d·q.
//!import lib/e4m3
//!import lib/float8_scaled
const SCALED: u32 = 1u;
