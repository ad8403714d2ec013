//! The order of quants on the GPU: planes of 1, 2, 4 or 8 bits of every code.
//!
//! A plane's word holds so many *fours* (neighbouring weights) as fit: byte `j` has
//! weight `j` of each four, the first four in the lowest bits. So a shift and a mask
//! give four weights, a byte each.

/// What `split` makes of file blocks.
#[derive(Debug, Default)]
pub(super) struct Parts {
    pub quants: Vec<u32>,
    /// Scales in the widest sense, 16 bits each; two a word at the end.
    pub halves: Vec<u16>,
    /// Scales of 8 bits, four a word at the end, in formats that have no others.
    pub bytes: Vec<u8>,
}

impl Parts {
    /// Adds the plane of `BITS` bits from `shift` on of whole blocks of 32 codes.
    pub fn plane<const BITS: u32>(&mut self, codes: &[u8], shift: u32) {
        let mask = ((1u32 << BITS) - 1) as u8;
        let fours = 8 / BITS as usize;
        for codes in codes.chunks_exact(4 * fours) {
            let mut word = 0;
            for (at, four) in codes.as_chunks::<4>().0.iter().enumerate() {
                let four = four.map(|code| (code >> shift) & mask);
                word |= u32::from_le_bytes(four) << (BITS * at as u32);
            }
            self.quants.push(word);
        }
    }

    /// Adds bytes as they are: a multiple of 4.
    pub fn words(&mut self, bytes: &[u8]) {
        self.quants.extend(bytes.as_chunks().0.iter().map(|b| u32::from_le_bytes(*b)));
    }

    /// Adds scales: an even number of bytes.
    pub fn scales(&mut self, bytes: &[u8]) {
        self.halves.extend(bytes.as_chunks().0.iter().map(|b| u16::from_le_bytes(*b)));
    }
}

/// The f16 at byte `at`.
pub(super) fn half_at(block: &[u8], at: usize) -> f32 {
    half::f16::from_bits(u16_at(block, at)).to_f32()
}

/// The 16-bit number at byte `at`.
pub(super) fn u16_at(block: &[u8], at: usize) -> u16 {
    u16::from_le_bytes([block[at], block[at + 1]])
}

/// The 32-bit number at byte `at`.
pub(super) fn u32_at(block: &[u8], at: usize) -> u32 {
    u32::from(u16_at(block, at)) | u32::from(u16_at(block, at + 2)) << 16
}
