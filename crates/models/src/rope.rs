//! The frequencies of rotary position embedding (Su et al. 2021) and the ways to
//! stretch them to longer contexts.

use std::f64::consts::PI;

use wisp_base::{Error, Result};
use wisp_ops::Pairing;

use crate::tensors::Tensors;

/// Rotary position embedding: pair i turns by position · base^(−2i/dim), stretched.
#[derive(Debug, Clone, PartialEq)]
pub struct Rope {
    /// Numbers of a head that turn; even. 0: none, positions are not told.
    pub dim: usize,
    /// The base.
    pub base: f32,
    /// Which numbers turn together.
    pub pairing: Pairing,
    /// Divides every frequency (Chen et al. 2023); 1 is none.
    pub factor: f32,
    /// Divides only slow frequencies by `factor` (Peng et al. 2023).
    pub yarn: Option<Yarn>,
    /// Multiplies turned queries and keys alike.
    pub scale: f32,
    /// The file has a divisor for each frequency.
    pub factors: Option<Factors>,
    /// Beyond the trained context the base would grow with the sequence, which is not computed.
    pub dynamic: bool,
}

/// YaRN (Peng et al. 2023, section 3.2).
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Yarn {
    /// Positions that the model was trained for before it was stretched.
    pub context: usize,
    /// Frequencies that turn more often than this in it stay.
    pub beta_fast: f32,
    /// Those that turn less often than this are divided by the whole factor.
    pub beta_slow: f32,
    /// The bounds between them are whole pairs.
    pub whole_pairs: bool,
}

/// YaRN's factor for queries and keys of contexts stretched `factor` times (section 3.3), `by`
/// times as strong: DeepSeek's `mscale`.
pub(crate) fn yarn_scale(factor: f64, by: f64) -> f64 {
    1.0 + 0.1 * by * factor.max(1.0).ln()
}

/// Tensors with a divisor for each frequency.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Factors {
    /// One for all contexts (Llama 3.1).
    One,
    /// One for sequences of up to so many tokens and another beyond (Ding et al. 2024). A
    /// sequence has one of them from its first token on, by the length that it can reach.
    ShortLong(usize),
}

const ONE: &str = "rope_freqs.weight";
const SHORT: &str = "rope_factors_short.weight";
const LONG: &str = "rope_factors_long.weight";

impl Factors {
    /// The tensors that sequences of up to `positions` tokens need.
    pub fn tensors(self, positions: usize) -> &'static [&'static str] {
        match self {
            Self::One => &[ONE],
            Self::ShortLong(_) if self.is_long(positions) => &[SHORT, LONG],
            Self::ShortLong(_) => &[SHORT],
        }
    }

    /// Whether a sequence of up to `positions` tokens turns by the second of them.
    pub fn is_long(self, positions: usize) -> bool {
        matches!(self, Self::ShortLong(short) if positions > short)
    }

    /// The tensors are there and have `pairs` numbers.
    pub(crate) fn check(self, tensors: &Tensors<'_>, pairs: usize) -> Result<()> {
        let names: &[&str] = match self {
            Self::One => &[ONE],
            Self::ShortLong(_) => &[SHORT, LONG],
        };
        for name in names {
            let numbers = tensors.find(name).map_or(0, |tensor| tensor.weights());
            if numbers != pairs as u64 {
                return Err(Error::input(format!(
                    "tensor {name} has {numbers} numbers, but {pairs} pairs turn: the file is \
                     damaged"
                )));
            }
        }
        Ok(())
    }
}

impl Rope {
    /// No positions at all: every angle is 0.
    pub(crate) fn none() -> Self {
        let pairing = Pairing::Interleaved;
        let (factor, scale) = (1.0, 1.0);
        let (yarn, factors, dynamic) = (None, None, false);
        Self { dim: 0, base: 1.0, pairing, factor, yarn, scale, factors, dynamic }
    }

    pub(crate) fn check(&self, head_dim: usize) -> Result<()> {
        if self.dim > head_dim || self.dim % 2 == 1 {
            return Err(Error::input(format!(
                "{} of {head_dim} numbers of a head are said to turn: the file is damaged",
                self.dim
            )));
        }
        if self.base > 0.0 && self.factor > 0.0 && self.scale.is_finite() {
            return Ok(());
        }
        Err(Error::input("a RoPE setting is out of its range: the file is damaged"))
    }

    /// Radians a position, a pair, and what to multiply the turned numbers by.
    /// `factors` are the numbers of one of [`Factors::tensors`].
    pub(crate) fn frequencies(&self, factors: Option<&[f32]>) -> (Vec<f64>, f32) {
        let base = f64::from(self.base);
        let divisor = f64::from(self.factor);
        let frequency = |pair: usize| {
            let own = factors.and_then(|f| f.get(pair)).map_or(1.0, |f| f64::from(*f));
            let plain = base.powf(-2.0 * pair as f64 / self.dim as f64) / own;
            let kept = self.yarn.map_or(0.0, |yarn| self.kept(yarn, pair));
            plain / divisor * (1.0 - kept) + plain * kept
        };
        ((0..self.dim / 2).map(frequency).collect(), self.scale)
    }

    /// How much of a pair's frequency YaRN keeps: 1 for fast ones, 0 for slow ones.
    fn kept(&self, yarn: Yarn, pair: usize) -> f64 {
        // The pair that turns `beta` times within the trained context.
        let pair_of = |beta: f32| {
            let turns = yarn.context as f64 / (f64::from(beta) * 2.0 * PI);
            self.dim as f64 * turns.ln() / (2.0 * f64::from(self.base).ln())
        };
        let (low, high) = (pair_of(yarn.beta_fast), pair_of(yarn.beta_slow));
        let (low, high) = if yarn.whole_pairs { (low.floor(), high.ceil()) } else { (low, high) };
        let (low, high) = (low.max(0.0), high.min(self.dim as f64 - 1.0));
        let high = if low == high { high + 0.001 } else { high };
        1.0 - ((pair as f64 - low) / (high - low)).clamp(0.0, 1.0)
    }
}
