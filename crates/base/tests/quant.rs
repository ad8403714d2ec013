//! The codecs agree with gguf-py bit by bit (`data/make_quants.py`), and
//! splitting loses nothing.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use half::{bf16, f16};
use wisp_base::Format;
use wisp_base::quant::{Split, decode, encode, split, split_words};

/// Takes `data/quants.bin` apart.
struct Golden(&'static [u8]);

impl Golden {
    fn open() -> Self {
        Self(include_bytes!("data/quants.bin"))
    }

    fn bytes(&mut self, count: usize) -> &'static [u8] {
        let (bytes, rest) = self.0.split_at(count);
        self.0 = rest;
        bytes
    }

    fn floats(&mut self, count: usize) -> Vec<f32> {
        let bytes = self.bytes(count * 4);
        bytes.as_chunks().0.iter().map(|b| f32::from_le_bytes(*b)).collect()
    }
}

fn bits(values: &[f32]) -> Vec<u32> {
    values.iter().map(|v| v.to_bits()).collect()
}

fn decoded(format: Format, bytes: &[u8]) -> Vec<f32> {
    let mut out = vec![f32::NAN; bytes.len() / format.block_bytes() * format.block()];
    decode(format, bytes, &mut out).unwrap();
    out
}

#[test]
fn agrees_with_gguf_py_bit_by_bit() {
    let mut golden = Golden::open();
    let weights = golden.floats(768);
    for format in Format::ALL {
        let file = golden.bytes(format.bytes(weights.len()));
        let want = golden.floats(weights.len());
        assert_eq!(bits(&decoded(format, file)), bits(&want), "decode {format}");
        let encoded = encode(format, &weights).unwrap();
        for (block, (ours, theirs)) in
            encoded.chunks(format.block_bytes()).zip(file.chunks(format.block_bytes())).enumerate()
        {
            assert_eq!(ours, theirs, "encode {format}, block {block}");
        }
    }
    for format in [Format::Q8_0, Format::Q4_0, Format::Q4_1] {
        let file = golden.bytes(16 * format.block_bytes());
        let want = golden.floats(512);
        assert_eq!(bits(&decoded(format, file)), bits(&want), "decode random {format}");
    }
    assert!(golden.0.is_empty(), "{} bytes of quants.bin were not read", golden.0.len());
}

#[test]
fn lengths_are_checked() {
    let sentence = |result: wisp_base::Result<()>| result.unwrap_err().to_string();
    assert_eq!(
        sentence(decode(Format::Q8_0, &[0; 33], &mut [0.0; 32])),
        "32 weights of Q8_0 take 34 bytes, but there are 33: the tensor is damaged"
    );
    assert_eq!(
        sentence(decode(Format::Q4_1, &[0; 20], &mut [0.0; 31])),
        "31 weights are not whole blocks of Q4_1 (32 a block): use another format for this tensor"
    );
    assert_eq!(
        sentence(encode(Format::Q4_0, &[0.0; 33]).map(drop)),
        "33 weights are not whole blocks of Q4_0 (32 a block): use another format for this tensor"
    );
    assert_eq!(
        sentence(split(Format::Q4_0, &[0; 17], 32).map(drop)),
        "17 bytes are not whole rows of 32 weights of Q4_0 (18 bytes a row)"
    );
    assert_eq!(
        sentence(split(Format::F32, &[], 0).map(drop)),
        "0 bytes are not whole rows of 0 weights of F32 (0 bytes a row)"
    );
    assert!(split(Format::F32, &[0; 8], usize::MAX).is_err());
    assert!(decode(Format::F16, &[], &mut []).is_ok());
}

#[test]
fn what_a_format_cannot_hold_is_an_error() {
    let mut weights = [0.5; 64];
    weights[40] = f32::NAN;
    for format in [Format::Q8_0, Format::Q4_0, Format::Q4_1] {
        assert_eq!(
            encode(format, &weights).unwrap_err().to_string(),
            format!(
                "{format} cannot hold NaN, found in the 32 weights from number 32: the weights \
                 are damaged"
            )
        );
        let mut large = [0.5; 32];
        large[3] = 1e30;
        assert_eq!(
            encode(format, &large).unwrap_err().to_string(),
            format!(
                "the 32 weights from number 0 are too large for the scale of {format}: use F32 \
                 or BF16 for this tensor"
            )
        );
    }
    assert!(encode(Format::F32, &weights).is_ok());
}

/// Weight `col` of `row`, out of the GPU's layout by its definition.
fn read_split(format: Format, split: &Split, cols: usize, row: usize, col: usize) -> f32 {
    let byte = |words: &[u32], at: usize| words[at / 4].to_le_bytes()[at % 4];
    let half = |words: &[u32], at: usize| (words[at / 2] >> (at % 2 * 16)) as u16;
    let padded = row * cols.next_multiple_of(8) + col;
    let block = row * (cols / format.block()) + col / format.block();
    let within = col % 32;
    let nibble = || {
        let packed = byte(&split.quants, block * 16 + within / 8 * 4 + within % 4);
        f32::from(if within % 8 < 4 { packed & 15 } else { packed >> 4 })
    };
    let scale = |at| f16::from_bits(half(&split.scales, at)).to_f32();
    match format {
        Format::F32 => f32::from_bits(split.quants[padded]),
        Format::F16 => f16::from_bits(half(&split.quants, padded)).to_f32(),
        Format::BF16 => bf16::from_bits(half(&split.quants, padded)).to_f32(),
        Format::Q8_0 => scale(block) * f32::from(byte(&split.quants, block * 32 + within) as i8),
        Format::Q4_0 => scale(block) * (nibble() - 8.0),
        Format::Q4_1 => scale(block * 2) * nibble() + scale(block * 2 + 1),
    }
}

/// Bytes that look random, with finite scales.
fn some_bytes(format: Format, rows: usize, cols: usize) -> Vec<u8> {
    let mut state = 7u32;
    let weights: Vec<f32> = (0..rows * cols)
        .map(|_| {
            state = state.wrapping_mul(1664525).wrapping_add(1013904223);
            (state >> 8) as f32 / (1 << 24) as f32 - 0.4
        })
        .collect();
    encode(format, &weights).unwrap()
}

#[test]
fn splitting_loses_nothing() {
    for format in Format::ALL {
        let sizes: &[usize] =
            if format.block() == 1 { &[1, 2, 3, 7, 8, 9, 31, 64] } else { &[32, 64, 96, 224] };
        for &cols in sizes {
            for rows in [0, 1, 2, 3, 5] {
                let bytes = some_bytes(format, rows, cols);
                let whole = split(format, &bytes, cols).unwrap();
                let words = (whole.quants.len(), whole.scales.len());
                assert_eq!(words, split_words(format, rows, cols), "{format} {rows} × {cols}");
                let want = decoded(format, &bytes);
                for row in 0..rows {
                    for col in 0..cols {
                        let got = read_split(format, &whole, cols, row, col);
                        let want = want[row * cols + col];
                        assert_eq!(got.to_bits(), want.to_bits(), "{format} {row}, {col}");
                    }
                }
            }
        }
    }
}

/// What the GPU's layout pads with is 0: kernels may read it.
#[test]
fn padding_is_zero() {
    let ones = encode(Format::F16, &[1.0; 6]).unwrap();
    assert_eq!(
        split(Format::F16, &ones, 3).unwrap().quants,
        [0x3c003c00, 0x3c00, 0, 0, 0x3c003c00, 0x3c00, 0, 0]
    );
    let ones = encode(Format::F32, &[1.0]).unwrap();
    assert_eq!(split(Format::F32, &ones, 1).unwrap().quants, [0x3f800000, 0, 0, 0, 0, 0, 0, 0]);
    let block = encode(Format::Q8_0, &[127.0; 32]).unwrap();
    assert_eq!(split(Format::Q8_0, &block, 32).unwrap().scales, [0x3c00]);
}

#[test]
fn pieces_of_an_even_number_of_rows_join() {
    for format in Format::ALL {
        let (rows, cols) = (7, 96);
        let bytes = some_bytes(format, rows, cols);
        let whole = split(format, &bytes, cols).unwrap();
        let mut joined = Split::default();
        for piece in bytes.chunks(2 * format.bytes(cols)) {
            let piece = split(format, piece, cols).unwrap();
            joined.quants.extend(piece.quants);
            joined.scales.extend(piece.scales);
        }
        assert_eq!(joined, whole, "{format}");
    }
}

#[test]
fn words_saturate() {
    let (quants, scales) = split_words(Format::Q8_0, usize::MAX, usize::MAX);
    assert_eq!(quants, usize::MAX);
    assert!(scales > usize::MAX / 4);
}
