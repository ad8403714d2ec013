//! How the KV cache stores its numbers.

use crate::{Error, Result};

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

    /// (name on the command line and under `shaders/kv/`, numbers a block, bytes a block).
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

    /// Bytes that `numbers` take; `numbers` is a multiple of [`Self::block`].
    pub fn bytes(self, numbers: usize) -> usize {
        numbers / self.facts().1 * self.facts().2
    }
}

impl std::str::FromStr for KvType {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self> {
        Self::ALL.into_iter().find(|kv| kv.name().eq_ignore_ascii_case(name)).ok_or_else(|| {
            Error::input(format!(
                "--kv {name}: not a KV cache type; give one of f32, f16, q8_0, q4_0"
            ))
        })
    }
}
