//! The weight formats, by the names and numbers that GGUF gives them
//! (ggml `enum ggml_type`).

use crate::{Error, Result};

/// How a tensor's numbers are stored in a file and on the GPU.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[allow(non_camel_case_types)]
pub enum Format {
    /// IEEE 32-bit.
    F32,
    /// IEEE 16-bit.
    F16,
    /// The upper half of an IEEE 32-bit number.
    BF16,
    /// Blocks of 32: f16 scale `d`, 32 × i8; `w = d·q`.
    Q8_0,
    /// Blocks of 32: f16 scale `d`, 32 × 4 bit; `w = d·(q − 8)`.
    Q4_0,
    /// Blocks of 32: f16 scale `d`, f16 minimum `m`, 32 × 4 bit; `w = d·q + m`.
    Q4_1,
}

/// One row a format: the only table of their facts.
struct Facts {
    format: Format,
    name: &'static str,
    ggml_id: u32,
    /// Weights a block.
    block: usize,
    /// Bytes a block, as stored in a file.
    block_bytes: usize,
}

const FACTS: [Facts; 6] = [
    facts(Format::F32, "F32", 0, 1, 4),
    facts(Format::F16, "F16", 1, 1, 2),
    facts(Format::BF16, "BF16", 30, 1, 2),
    facts(Format::Q8_0, "Q8_0", 8, 32, 34),
    facts(Format::Q4_0, "Q4_0", 2, 32, 18),
    facts(Format::Q4_1, "Q4_1", 3, 32, 20),
];

const fn facts(
    format: Format,
    name: &'static str,
    ggml_id: u32,
    block: usize,
    block_bytes: usize,
) -> Facts {
    Facts { format, name, ggml_id, block, block_bytes }
}

/// Every tensor type of ggml by its number, for messages; types that it has
/// dropped are empty.
const GGML_NAMES: [&str; 42] = [
    "F32", "F16", "Q4_0", "Q4_1", "", "", "Q5_0", "Q5_1", "Q8_0", "Q8_1", "Q2_K", "Q3_K", "Q4_K",
    "Q5_K", "Q6_K", "Q8_K", "IQ2_XXS", "IQ2_XS", "IQ3_XXS", "IQ1_S", "IQ4_NL", "IQ3_S", "IQ2_S",
    "IQ4_XS", "I8", "I16", "I32", "I64", "F64", "IQ1_M", "BF16", "", "", "", "TQ1_0", "TQ2_0", "",
    "", "", "MXFP4", "NVFP4", "Q1_0",
];

impl Format {
    /// Every format, in the order of the table.
    pub const ALL: [Format; 6] =
        [Self::F32, Self::F16, Self::BF16, Self::Q8_0, Self::Q4_0, Self::Q4_1];

    fn facts(self) -> &'static Facts {
        &FACTS[self as usize]
    }

    /// The field's name for it: `Q4_1`.
    pub fn name(self) -> &'static str {
        self.facts().name
    }

    /// The number that a GGUF tensor header holds.
    pub fn ggml_id(self) -> u32 {
        self.facts().ggml_id
    }

    /// Weights a block; a row is a whole number of blocks.
    pub fn block(self) -> usize {
        self.facts().block
    }

    /// Bytes a block, as stored in a file.
    pub fn block_bytes(self) -> usize {
        self.facts().block_bytes
    }

    /// Bytes that `weights` take in a file; `weights` is a multiple of [`Self::block`].
    pub fn bytes(self, weights: usize) -> usize {
        weights / self.block() * self.block_bytes()
    }

    /// By the number in a GGUF tensor header.
    ///
    /// # Errors
    /// A type that this version does not read, by its name where ggml has one.
    pub fn from_ggml_id(id: u32) -> Result<Self> {
        FACTS.iter().find(|f| f.ggml_id == id).map(|f| f.format).ok_or_else(|| {
            let read = FACTS.map(|f| f.name).join(", ");
            Error::unsupported(match Self::ggml_name(id) {
                Some(name) => format!(
                    "stored as {name}, which this version does not read (it reads {read}): \
                     use a file in one of those"
                ),
                None => format!(
                    "stored as type {id}, which ggml does not have (this version reads {read}): \
                     the file is damaged, or newer than this version"
                ),
            })
        })
    }

    /// What ggml calls tensor type `id`, whether this version reads it or not.
    pub fn ggml_name(id: u32) -> Option<&'static str> {
        GGML_NAMES.get(id as usize).copied().filter(|name| !name.is_empty())
    }

    /// By name, in any case: `q4_1`.
    pub fn from_name(name: &str) -> Option<Self> {
        FACTS.iter().find(|f| f.name.eq_ignore_ascii_case(name)).map(|f| f.format)
    }
}

impl std::fmt::Display for Format {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn table_is_in_the_order_of_the_enum() {
        for (index, format) in Format::ALL.into_iter().enumerate() {
            assert_eq!(format as usize, index);
            assert_eq!(Format::from_ggml_id(format.ggml_id()).ok(), Some(format));
            assert_eq!(Format::ggml_name(format.ggml_id()), Some(format.name()));
            assert_eq!(Format::from_name(&format.name().to_lowercase()), Some(format));
        }
    }
}
