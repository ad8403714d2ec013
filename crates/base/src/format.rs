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
    /// As `Q4_0` with 5 bits; `w = d·(q − 16)`.
    Q5_0,
    /// As `Q4_1` with 5 bits.
    Q5_1,
    /// Blocks of 256: 2 bit, scale and minimum of 4 bit for each 16.
    Q2_K,
    /// Blocks of 256: 3 bit, scale of 6 bit for each 16.
    Q3_K,
    /// Blocks of 256: 4 bit, scale and minimum of 6 bit for each 32.
    Q4_K,
    /// Blocks of 256: 5 bit, scale and minimum of 6 bit for each 32.
    Q5_K,
    /// Blocks of 256: 6 bit, scale of 8 bit for each 16.
    Q6_K,
    /// Blocks of 32: 4 bit, of 16 values that are not evenly spaced.
    IQ4_NL,
    /// Blocks of 256: as `IQ4_NL`, scale of 6 bit for each 32.
    IQ4_XS,
    /// Blocks of 32: 4-bit floats (E2M1), a power of two as scale.
    MXFP4,
    /// Blocks of 64: 4-bit floats (E2M1), an 8-bit float as scale for each 16.
    NVFP4,
    /// Blocks of 256: 512 fours of values, signs apart.
    IQ3_S,
    /// Blocks of 256: 256 fours of values, signs apart.
    IQ3_XXS,
    /// Blocks of 256: 1024 eights of values, signs apart.
    IQ2_S,
    /// Blocks of 256: 512 eights of values, signs apart.
    IQ2_XS,
    /// Blocks of 256: 256 eights of values, signs apart.
    IQ2_XXS,
    /// Blocks of 256: 2048 eights of −1, 0, 1, all moved by ±1/8.
    IQ1_S,
    /// As `IQ1_S`, with a scale for each 16.
    IQ1_M,
    /// Blocks of 256: −1, 0 or 1, five a byte.
    TQ1_0,
    /// Blocks of 256: −1, 0 or 1, four a byte.
    TQ2_0,
    /// Blocks of 128: −1 or 1.
    Q1_0,
    /// Blocks of 64: −1, 0, 1 or 2.
    Q2_0,
    /// 8-bit float: sign, 4 bits of exponent, 3 of mantissa; no infinities.
    F8_E4M3,
    /// 8-bit float: the upper half of an F16.
    F8_E5M2,
    /// Blocks of 128: f32 scale `d`, 128 × `F8_E4M3`; `w = d·q`.
    F8_E4M3_128,
    /// As `F8_E4M3_128` in blocks of 32.
    F8_E4M3_32,
}

/// One row a format: the only table of their facts.
struct Facts {
    format: Format,
    name: &'static str,
    /// None: safetensors only.
    ggml_id: Option<u32>,
    /// Weights per block.
    block: usize,
    /// Bytes per block, as stored in a file.
    block_bytes: usize,
}

const FACTS: [Facts; 32] = [
    facts(Format::F32, "F32", Some(0), 1, 4),
    facts(Format::F16, "F16", Some(1), 1, 2),
    facts(Format::BF16, "BF16", Some(30), 1, 2),
    facts(Format::Q8_0, "Q8_0", Some(8), 32, 34),
    facts(Format::Q4_0, "Q4_0", Some(2), 32, 18),
    facts(Format::Q4_1, "Q4_1", Some(3), 32, 20),
    facts(Format::Q5_0, "Q5_0", Some(6), 32, 22),
    facts(Format::Q5_1, "Q5_1", Some(7), 32, 24),
    facts(Format::Q2_K, "Q2_K", Some(10), 256, 84),
    facts(Format::Q3_K, "Q3_K", Some(11), 256, 110),
    facts(Format::Q4_K, "Q4_K", Some(12), 256, 144),
    facts(Format::Q5_K, "Q5_K", Some(13), 256, 176),
    facts(Format::Q6_K, "Q6_K", Some(14), 256, 210),
    facts(Format::IQ4_NL, "IQ4_NL", Some(20), 32, 18),
    facts(Format::IQ4_XS, "IQ4_XS", Some(23), 256, 136),
    facts(Format::MXFP4, "MXFP4", Some(39), 32, 17),
    facts(Format::NVFP4, "NVFP4", Some(40), 64, 36),
    facts(Format::IQ3_S, "IQ3_S", Some(21), 256, 110),
    facts(Format::IQ3_XXS, "IQ3_XXS", Some(18), 256, 98),
    facts(Format::IQ2_S, "IQ2_S", Some(22), 256, 82),
    facts(Format::IQ2_XS, "IQ2_XS", Some(17), 256, 74),
    facts(Format::IQ2_XXS, "IQ2_XXS", Some(16), 256, 66),
    facts(Format::IQ1_S, "IQ1_S", Some(19), 256, 50),
    facts(Format::IQ1_M, "IQ1_M", Some(29), 256, 56),
    facts(Format::TQ1_0, "TQ1_0", Some(34), 256, 54),
    facts(Format::TQ2_0, "TQ2_0", Some(35), 256, 66),
    facts(Format::Q1_0, "Q1_0", Some(41), 128, 18),
    facts(Format::Q2_0, "Q2_0", Some(42), 64, 18),
    facts(Format::F8_E4M3, "F8_E4M3", None, 1, 1),
    facts(Format::F8_E5M2, "F8_E5M2", None, 1, 1),
    facts(Format::F8_E4M3_128, "F8_E4M3_128", None, 128, 132),
    facts(Format::F8_E4M3_32, "F8_E4M3_32", None, 32, 36),
];

const fn facts(
    format: Format,
    name: &'static str,
    ggml_id: Option<u32>,
    block: usize,
    block_bytes: usize,
) -> Facts {
    Facts { format, name, ggml_id, block, block_bytes }
}

/// Every tensor type of ggml by its number, for messages; types that it has
/// dropped are empty.
const GGML_NAMES: [&str; 43] = [
    "F32", "F16", "Q4_0", "Q4_1", "", "", "Q5_0", "Q5_1", "Q8_0", "Q8_1", "Q2_K", "Q3_K", "Q4_K",
    "Q5_K", "Q6_K", "Q8_K", "IQ2_XXS", "IQ2_XS", "IQ3_XXS", "IQ1_S", "IQ4_NL", "IQ3_S", "IQ2_S",
    "IQ4_XS", "I8", "I16", "I32", "I64", "F64", "IQ1_M", "BF16", "", "", "", "TQ1_0", "TQ2_0", "",
    "", "", "MXFP4", "NVFP4", "Q1_0", "Q2_0",
];

impl Format {
    /// Every format, in the order of the table.
    pub const ALL: [Format; 32] = [
        Self::F32,
        Self::F16,
        Self::BF16,
        Self::Q8_0,
        Self::Q4_0,
        Self::Q4_1,
        Self::Q5_0,
        Self::Q5_1,
        Self::Q2_K,
        Self::Q3_K,
        Self::Q4_K,
        Self::Q5_K,
        Self::Q6_K,
        Self::IQ4_NL,
        Self::IQ4_XS,
        Self::MXFP4,
        Self::NVFP4,
        Self::IQ3_S,
        Self::IQ3_XXS,
        Self::IQ2_S,
        Self::IQ2_XS,
        Self::IQ2_XXS,
        Self::IQ1_S,
        Self::IQ1_M,
        Self::TQ1_0,
        Self::TQ2_0,
        Self::Q1_0,
        Self::Q2_0,
        Self::F8_E4M3,
        Self::F8_E5M2,
        Self::F8_E4M3_128,
        Self::F8_E4M3_32,
    ];

    fn facts(self) -> &'static Facts {
        &FACTS[self as usize]
    }

    /// The field's name for it: `Q4_1`.
    pub fn name(self) -> &'static str {
        self.facts().name
    }

    /// The number that a GGUF tensor header holds; none for formats that GGUF lacks.
    pub fn ggml_id(self) -> Option<u32> {
        self.facts().ggml_id
    }

    /// Weights per block; a row is a whole number of blocks.
    pub fn block(self) -> usize {
        self.facts().block
    }

    /// Weights that a kernel reads as one block: `BLOCK` of its file in `shaders/weight`.
    pub fn gpu_block(self) -> usize {
        if self.block() == 1 { 8 } else { 32 }
    }

    /// Rows that pieces of a matrix on the GPU have whole multiples of, so that their words
    /// are whole: kernels take rows in pairs, and scales lie two a word or four.
    pub fn rows_together(self) -> usize {
        if self == Self::MXFP4 { 4 } else { 2 }
    }

    /// Bytes per block, as stored in a file.
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
        FACTS.iter().find(|f| f.ggml_id == Some(id)).map(|f| f.format).ok_or_else(|| {
            Error::unsupported(match Self::ggml_name(id) {
                Some(name) => format!(
                    "stored as {name}, which this version does not read as weights: use a file in \
                     another format"
                ),
                None => format!(
                    "stored as type {id}, which ggml does not have: the file is damaged, or newer \
                     than this version"
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
            if let Some(id) = format.ggml_id() {
                assert_eq!(Format::from_ggml_id(id).ok(), Some(format));
                assert_eq!(Format::ggml_name(id), Some(format.name()));
            }
            assert_eq!(Format::from_name(&format.name().to_lowercase()), Some(format));
        }
    }
}
