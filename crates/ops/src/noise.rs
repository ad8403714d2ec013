//! The noise of a draw: numbers that depend on (seed, position, token) alone.

/// What the noise of a row depends on: seed and position, hashed before a token's id comes in.
pub(crate) fn noise_key(seed: u64, position: u32) -> [u32; 3] {
    pcg3d([seed as u32, (seed >> 32) as u32, position])
}

/// A token's 32 random bits.
pub(crate) fn noise_bits(key: [u32; 3], id: u32) -> u32 {
    let v = pcg3d([key[0] ^ id, key[1], key[2]]);
    v[0] ^ v[1]
}

/// −ln(−ln(1 − v)).
pub(crate) fn gumbel(bits: u32) -> f32 {
    let v = uniform_of(bits);
    -(-(-v).ln_1p()).ln()
}

/// In (0, 1): `shaders/lib/random.wgsl`.
fn uniform_of(bits: u32) -> f32 {
    if bits < 1 << 23 {
        return (bits as f32 + 0.5) / 4294967296.0;
    }
    ((bits >> 9) as f32 + 0.5) / 8388608.0
}

/// PCG hash (Jarzynski and Olano 2020): `shaders/lib/random.wgsl`.
fn pcg3d(key: [u32; 3]) -> [u32; 3] {
    let mut v = key.map(|k| k.wrapping_mul(1664525).wrapping_add(1013904223));
    let mix = |v: &mut [u32; 3]| {
        v[0] = v[0].wrapping_add(v[1].wrapping_mul(v[2]));
        v[1] = v[1].wrapping_add(v[2].wrapping_mul(v[0]));
        v[2] = v[2].wrapping_add(v[0].wrapping_mul(v[1]));
    };
    mix(&mut v);
    v = v.map(|x| x ^ (x >> 16));
    mix(&mut v);
    v
}

#[cfg(test)]
mod tests {
    use super::*;

    fn v(seed: u64, position: u32, id: u32) -> f64 {
        f64::from(uniform_of(noise_bits(noise_key(seed, position), id)))
    }

    /// How far counts of equally likely things are from equal, in standard deviations of χ².
    fn deviations(counts: &[f64], expected: &[f64]) -> f64 {
        let terms = counts.iter().zip(expected).map(|(n, e)| (n - e) * (n - e) / e);
        let free = (counts.len() - 1) as f64;
        (terms.sum::<f64>() - free) / (2.0 * free).sqrt()
    }

    /// A name, and a draw by its number.
    type Axis = (&'static str, fn(u64) -> f64);

    /// Draws along one axis, from which the others are derived.
    const AXES: [Axis; 7] = [
        ("seeds", |n| v(n, 7, 3)),
        ("seeds' high halves", |n| v(n << 32, 7, 3)),
        ("seeds of one bit in 16", |n| v(n << 16, 7, 3)),
        ("positions", |n| v(1, n as u32, 3)),
        ("tokens", |n| v(1, 7, n as u32)),
        ("tokens of seed 0 at position 0", |n| v(0, 0, n as u32)),
        ("seeds and positions alike", |n| v(n, n as u32, 3)),
    ];

    #[test]
    fn numbers_are_uniform_along_each_axis() {
        const BINS: usize = 256;
        const COUNT: usize = 1 << 17;
        for (name, draw) in AXES {
            let mut counts = vec![0.0; BINS];
            (0..COUNT as u64).for_each(|n| counts[(draw(n) * BINS as f64) as usize] += 1.0);
            let off = deviations(&counts, &vec![(COUNT / BINS) as f64; BINS]);
            assert!(off.abs() < 5.0, "{name}: {off}");
        }
    }

    #[test]
    fn neighbours_are_independent_along_each_axis() {
        const COUNT: usize = 1 << 17;
        for (name, draw) in AXES {
            for apart in [1, 2, 3, 16, 256] {
                // Of a pair, in which of 16 × 16 squares it lies.
                let mut counts = vec![0.0; 256];
                for n in 0..COUNT as u64 {
                    let (a, b) = (draw(n), draw(n + apart));
                    counts[(a * 16.0) as usize * 16 + (b * 16.0) as usize] += 1.0;
                }
                let off = deviations(&counts, &vec![(COUNT / 256) as f64; 256]);
                assert!(off.abs() < 5.0, "{name}, {apart} apart: {off}");
            }
        }
    }

    /// A coin of two tokens as likely: heads of 16 consecutive seeds (positions) are as often
    /// 0, 1, … 16 as binomial numbers are.
    #[test]
    fn coins_of_consecutive_seeds_and_positions_fall_independently() {
        const SETS: usize = 1 << 14;
        let mut expected = vec![SETS as f64 / 65536.0];
        (0..16).for_each(|k| expected.push(expected[k] * (16 - k) as f64 / (k + 1) as f64));
        let heads = |seed, position, a, b| v(seed, position, a) < v(seed, position, b);
        let pairs = [(0, 1), (5, 4), (10, 11), (1000, 131_071), (2, 258)];
        for (a, b) in pairs {
            for by_position in [false, true] {
                let mut counts = [0.0; 17];
                for set in 0..SETS as u64 {
                    let coins = (16 * set..16 * set + 16).map(|n| match by_position {
                        true => heads(42, n as u32, a, b),
                        false => heads(n, 9, a, b),
                    });
                    counts[coins.filter(|heads| *heads).count()] += 1.0;
                }
                // The ends are too rare to count.
                let off = deviations(&counts[2..15], &expected[2..15]);
                assert!(off.abs() < 5.0, "tokens {a}, {b}, by position {by_position}: {counts:?}");
            }
        }
    }

    /// The largest of many: who has it must not follow from who had it with another seed.
    #[test]
    fn the_winner_is_each_token_as_often_and_not_the_same_one_for_a_neighbouring_seed() {
        const TOKENS: u32 = 64;
        const SEEDS: u64 = 1 << 14;
        let winner = |seed| {
            let key = noise_key(seed, 3);
            let noise = |id: u32| gumbel(noise_bits(key, id));
            (0..TOKENS).max_by(|a, b| noise(*a).total_cmp(&noise(*b))).unwrap_or(0) as usize
        };
        let mut counts = [0.0; TOKENS as usize];
        let mut moved = [0.0; TOKENS as usize];
        for seed in 0..SEEDS {
            let (own, next) = (winner(seed), winner(seed ^ 1));
            counts[own] += 1.0;
            moved[own ^ next] += 0.5; // a pair is seen twice
        }
        let each = vec![(SEEDS / u64::from(TOKENS)) as f64; TOKENS as usize];
        assert!(deviations(&counts, &each).abs() < 5.0, "{counts:?}");
        let half: Vec<f64> = each.iter().map(|each| each / 2.0).collect();
        assert!(deviations(&moved, &half).abs() < 5.0, "{moved:?}");
    }

    #[test]
    fn noise_is_finite_and_falls_as_the_number_grows() {
        let near_ends = (0..2048).chain((1 << 23) - 1024..(1 << 23) + 1024);
        let all = near_ends.chain((0..=u32::MAX).step_by(65_537)).chain(u32::MAX - 2048..=u32::MAX);
        let mut all: Vec<u32> = all.collect();
        all.sort_unstable();
        let noise: Vec<f32> = all.into_iter().map(gumbel).collect();
        assert!(noise.iter().all(|n| n.is_finite()) && noise.is_sorted_by(|a, b| a >= b));
        assert!((22.0..24.0).contains(&noise[0]), "{}", noise[0]);
    }
}
