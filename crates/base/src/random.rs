//! Numbers for tests and self-checks: the same everywhere, and not good for more.

/// Uniform in −1 … 1, from `seed` on.
pub fn uniform(seed: u64) -> impl FnMut() -> f32 {
    let mut next = splitmix64(seed);
    move || (next() >> 40) as f32 / (1u32 << 23) as f32 - 1.0
}

/// splitmix64 (Steele et al. 2014) from `seed` on.
pub fn splitmix64(seed: u64) -> impl FnMut() -> u64 {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    move || {
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let a = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let b = (a ^ (a >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        b ^ (b >> 31)
    }
}
