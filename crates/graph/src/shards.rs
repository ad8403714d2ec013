//! Weights bigger than one binding are split by rows over several buffers.

use std::ops::Range;

use wisp_base::quant::repacked_words;

use crate::tape::Weight;

/// Rows of each shard such that none exceeds `most` bytes, cut where words are whole.
pub fn shards(weight: &Weight, most: u64) -> Vec<Range<usize>> {
    let bytes = |rows| {
        let (quants, scales) = repacked_words(weight.format, rows, weight.cols);
        (quants.max(scales) as u64).saturating_mul(4)
    };
    let together = weight.format.rows_together();
    let whole = usize::try_from(most / bytes(together).max(1)).unwrap_or(usize::MAX);
    let each = whole.saturating_mul(together).max(together);
    (0..weight.rows).step_by(each).map(|at| at..(at + each).min(weight.rows)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use wisp_base::Format;

    #[test]
    fn shards_cover_all_rows_and_fit() {
        let mut weight = Weight {
            parts: vec![],
            interleave: false,
            format: Format::Q4_1,
            rows: 49,
            cols: 64, // 32 bytes of quants a row
        };
        assert_eq!(shards(&weight, 1 << 20), vec![0..49; 1]);
        assert_eq!(shards(&weight, 32 * 21), [0..20, 20..40, 40..49]);
        weight.format = Format::MXFP4;
        assert_eq!(shards(&weight, 32 * 23), [0..20, 20..40, 40..49]);
    }
}
