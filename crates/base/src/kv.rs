//! How the KV cache stores its numbers.

use crate::{Error, Result, Setting};

/// How one number of the KV cache is stored: `shaders/kv/`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[allow(non_camel_case_types)]
pub enum KvType {
    /// IEEE 32-bit.
    F32,
    /// IEEE 16-bit (packed in pairs: needs no shader-f16).
    F16,
    /// Blocks of 32 with one scale, 8 bits each.
    Q8_0,
    /// Blocks of 32 with one scale, 4 bits each.
    Q4_0,
}

impl KvType {
    /// Every type, most precise first.
    pub const ALL: [KvType; 4] = [Self::F32, Self::F16, Self::Q8_0, Self::Q4_0];

    /// (name on the command line and under `shaders/kv/`, numbers per block, bytes per block).
    fn facts(self) -> (&'static str, usize, usize) {
        match self {
            Self::F32 => ("f32", 4, 16),
            Self::F16 => ("f16", 4, 8),
            Self::Q8_0 => ("q8_0", 32, 36),
            Self::Q4_0 => ("q4_0", 32, 20),
        }
    }

    /// The name on the command line.
    pub fn name(self) -> &'static str {
        self.facts().0
    }

    /// Numbers stored together; a head is a whole number of blocks.
    pub fn block(self) -> usize {
        self.facts().1
    }

    /// Rounds numbers to what the cache would give back; `numbers` is whole blocks.
    pub fn round(self, numbers: &mut [f32]) {
        match self {
            Self::F32 => {}
            Self::F16 => {
                for x in numbers {
                    *x = half::f16::from_f32(x.clamp(-65504.0, 65504.0)).to_f32();
                }
            }
            Self::Q8_0 => {
                for block in numbers.chunks_mut(32) {
                    let d = block.iter().fold(0f32, |d, x| d.max(x.abs())) / 127.0;
                    for x in block {
                        *x = (*x / d.max(1e-30)).round_ties_even() * d;
                    }
                }
            }
            Self::Q4_0 => {
                for block in numbers.chunks_mut(32) {
                    let top = |top: f32, x: &f32| if x.abs() > top.abs() { *x } else { top };
                    let d = block.iter().fold(0f32, top) / -8.0;
                    let inverse = if d == 0.0 { 0.0 } else { 1.0 / d };
                    for x in block {
                        *x = ((*x * inverse + 8.5).clamp(0.0, 15.0).trunc() - 8.0) * d;
                    }
                }
            }
        }
    }

    /// Bytes that `numbers` take; `numbers` is a multiple of [`Self::block`].
    pub fn bytes(self, numbers: usize) -> usize {
        numbers / self.facts().1 * self.facts().2
    }
}

impl std::str::FromStr for KvType {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self> {
        Self::ALL.into_iter().find(|kv| kv.name().eq_ignore_ascii_case(name)).ok_or_else(|| {
            let names = Self::ALL.map(Self::name).join(", ");
            Error::input(format!("{name:?} is not one of {names}")).about(Setting::Kv)
        })
    }
}
