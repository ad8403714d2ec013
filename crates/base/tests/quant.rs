//! The codecs agree with gguf-py and ggml bit by bit (`data/make_quants.py`), and
//! splitting loses nothing.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use half::{bf16, f16};
use wisp_base::Format;
use wisp_base::quant::{
    Repacked, decode, encode, encode_at, example, not_finite, repack, repacked_words, table,
};

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

/// As in `make_quants.py`.
const PLAIN: [Format; 6] =
    [Format::F32, Format::F16, Format::BF16, Format::Q8_0, Format::Q4_0, Format::Q4_1];
const CLASSIC: [Format; 8] = [
    Format::Q5_0,
    Format::Q5_1,
    Format::MXFP4,
    Format::NVFP4,
    Format::TQ1_0,
    Format::TQ2_0,
    Format::Q1_0,
    Format::Q2_0,
];
const GRIDS: [Format; 6] =
    [Format::IQ3_S, Format::IQ3_XXS, Format::IQ2_S, Format::IQ2_XS, Format::IQ2_XXS, Format::IQ1_S];
const WEIGHED: [Format; 14] = [
    Format::Q2_K,
    Format::Q3_K,
    Format::Q4_K,
    Format::Q5_K,
    Format::Q6_K,
    Format::IQ4_NL,
    Format::IQ4_XS,
    Format::IQ3_S,
    Format::IQ3_XXS,
    Format::IQ2_S,
    Format::IQ2_XS,
    Format::IQ2_XXS,
    Format::IQ1_S,
    Format::IQ1_M,
];

/// PyTorch decodes these: no GGUF has them.
const SCALED: [Format; 2] = [Format::F8_E4M3_128, Format::F8_E4M3_32];

#[test]
fn agrees_with_the_references_bit_by_bit() {
    let mut golden = Golden::open();
    let weights = golden.floats(768);
    let mut files = Vec::new();
    for format in PLAIN.into_iter().chain(CLASSIC) {
        let file = golden.bytes(format.bytes(weights.len()));
        let encoded = encode(format, &weights, None).unwrap();
        for (block, (ours, theirs)) in
            encoded.chunks(format.block_bytes()).zip(file.chunks(format.block_bytes())).enumerate()
        {
            assert_eq!(ours, theirs, "encode {format}, block {block}");
        }
        files.push(file);
    }
    for (format, file) in PLAIN.into_iter().zip(files) {
        let want = golden.floats(weights.len());
        assert_eq!(bits(&decoded(format, file)), bits(&want), "decode {format}");
    }
    for format in Format::ALL.into_iter().filter(|f| f.block() > 1 && f.ggml_id().is_some()) {
        let file = golden.bytes(format.bytes(256));
        let want = golden.floats(256);
        assert_eq!(bits(&decoded(format, file)), bits(&want), "decode random {format}");
    }
    let every: Vec<u8> = (0..=255).collect();
    for format in [Format::F8_E4M3, Format::F8_E5M2] {
        for (byte, (got, want)) in
            decoded(format, &every).iter().zip(golden.floats(256)).enumerate()
        {
            assert!(
                got == &want || got.is_nan() && want.is_nan(),
                "{format} {byte}: {got}, {want}"
            );
        }
    }
    for format in GRIDS {
        let words = table(format);
        let values = words.iter().flat_map(|word| word.to_le_bytes());
        let sum: i64 = values.zip(1..).map(|(value, n)| i64::from(value as i8) * n).sum();
        assert_eq!(sum.to_le_bytes(), golden.bytes(8), "grid of {format}");
    }
    let ramp = ramp(16384);
    let norm = |x: &[f32]| x.iter().map(|x| f64::from(*x).powi(2)).sum::<f64>().sqrt();
    for format in WEIGHED {
        let theirs = f64::from(golden.floats(1)[0]);
        let back = decoded(format, &encode(format, &ramp, None).unwrap());
        let error: Vec<f32> = back.iter().zip(&ramp).map(|(a, b)| a - b).collect();
        let ours = norm(&error) / norm(&ramp);
        println!("{format}: error {ours:.5}, ggml's {theirs:.5}");
        assert!(ours < 1.03 * theirs, "{format}: error {ours}, ggml's {theirs}");
    }
    for format in SCALED {
        let file = golden.bytes(format.bytes(256));
        let want = golden.floats(256);
        assert_eq!(bits(&decoded(format, file)), bits(&want), "decode random {format}");
    }
    assert!(golden.0.is_empty(), "{} bytes of quants.bin were not read", golden.0.len());
}

/// Near normal, alike in `make_quants.py`.
fn ramp(count: usize) -> Vec<f32> {
    let mut state = 7u32;
    let mut next = || {
        state = state.wrapping_mul(1664525).wrapping_add(1013904223);
        f64::from(state >> 8) / f64::from(1 << 24) - 0.5
    };
    (0..count).map(|_| (next() + next() + next() + next()) as f32).collect()
}

/// Columns that matter more come out better.
#[test]
fn importance_moves_the_error() {
    let weights = ramp(4096);
    let mut importance = [0.1; 512];
    importance.iter_mut().skip(3).step_by(8).for_each(|column| *column = 10.0);
    for format in WEIGHED {
        let error = |importance: Option<&[f32]>| {
            let back = decoded(format, &encode(format, &weights, importance).unwrap());
            let all = back.iter().zip(&weights).enumerate().filter(|(at, _)| at % 8 == 3);
            all.map(|(_, (a, b))| f64::from(a - b).powi(2)).sum::<f64>()
        };
        assert!(error(Some(&importance)) < error(None), "{format}");
    }
}

/// Numbers at the ends of what can be stored: the error is never that of other blocks.
#[test]
fn odd_blocks_are_encoded_or_refused() {
    let ramp = ramp(256);
    for format in WEIGHED {
        let back = |weights: &[f32], importance: Option<&[f32]>| {
            Some(decoded(format, &encode(format, weights, importance).ok()?))
        };
        let scaled = |by: f32| ramp.iter().map(|x| x * by).collect::<Vec<_>>();
        assert_eq!(back(&[0.0; 256], None).unwrap(), [0.0; 256], "{format}");
        for tiny in [1e-42, 1e-32, 1e-20, 1e-9] {
            let error = back(&scaled(tiny), None).unwrap();
            assert!(error.iter().all(|x| x.abs() < 1e-7), "{format} {tiny}: {error:?}");
        }
        for huge in [1e12, 1e30, 3e38 / 2.0] {
            assert_eq!(back(&scaled(huge), None), None, "{format} {huge}");
        }
        let mut spike = [0.0; 256];
        spike[37] = -900.0;
        let error = (back(&spike, None).unwrap()[37] / 900.0 + 1.0).abs();
        assert!(error < 0.2, "{format}: {error}");
        for bad in [f32::NAN, f32::INFINITY] {
            spike[38] = bad;
            assert_eq!(back(&spike, None), None, "{format}");
        }
        for same in [0.0, 1e-30, 1e30] {
            let numbers = back(&ramp, Some(&[same; 256])).unwrap();
            assert!(numbers.iter().all(|x| x.is_finite()), "{format} {same}");
        }
    }
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
        sentence(encode(Format::Q4_0, &[0.0; 33], None).map(drop)),
        "33 weights are not whole blocks of Q4_0 (32 a block): use another format for this tensor"
    );
    assert_eq!(
        sentence(repack(Format::Q4_0, &[0; 17], 32).map(drop)),
        "17 bytes are not whole rows of 32 weights of Q4_0 (18 bytes a row)"
    );
    assert_eq!(
        sentence(repack(Format::F32, &[], 0).map(drop)),
        "0 bytes are not whole rows of 0 weights of F32 (0 bytes a row)"
    );
    assert!(repack(Format::F32, &[0; 8], usize::MAX).is_err());
    assert!(decode(Format::F16, &[], &mut []).is_ok());
}

#[test]
fn what_a_format_cannot_hold_is_an_error() {
    let mut weights = [0.5; 64];
    weights[40] = f32::NAN;
    for format in [Format::Q8_0, Format::Q4_0, Format::Q4_1] {
        assert_eq!(
            encode(format, &weights, None).unwrap_err().to_string(),
            "weight 40 is NaN: the weights are damaged"
        );
        let mut large = [0.5; 32];
        large[3] = 1e30;
        assert_eq!(
            encode(format, &large, None).unwrap_err().to_string(),
            format!(
                "the 32 weights from number 0 are too large for the scale of {format}: use F32 \
                 or BF16"
            )
        );
    }
    assert!(encode(Format::NVFP4, &[2700.0; 64], None).is_ok());
    let said = encode(Format::NVFP4, &[2800.0; 64], None).unwrap_err().to_string();
    assert!(said.contains("too large for the scale of NVFP4"), "{said}");
    // Floats of NaN would be as wrong, and infinities where there were numbers worse.
    for (format, weight, sentence) in [
        (Format::F32, f32::NAN, "weight 140 is NaN: the weights are damaged"),
        (Format::F16, f32::NEG_INFINITY, "weight 140 is -inf: the weights are damaged"),
        (Format::BF16, f32::NAN, "weight 140 is NaN: the weights are damaged"),
        (Format::F16, 1e6, "weight 140 is 1000000, which is too large for F16: use F32 or BF16"),
        // The largest f16 and half a step: ties go to the even one, which is infinite.
        (Format::F16, 65520.0, "weight 140 is 65520, which is too large for F16: use F32 or BF16"),
        (Format::F16, -65519.99, ""),
        (Format::BF16, 3.38e38, ""),
        (Format::F32, f32::MAX, ""),
    ] {
        weights[40] = weight;
        let encoded = encode_at(format, &weights, None, 100);
        assert_eq!(encoded.map_or_else(|why| why.to_string(), |_| String::new()), sentence);
    }
    weights[40] = f32::MAX;
    let said = encode(Format::BF16, &weights, None).unwrap_err().to_string();
    assert!(said.contains("weight 40 is") && said.contains("too large for BF16"), "{said}");
}

/// What is found by exponents and scales alone is what decoding all of it finds.
#[test]
fn weights_that_are_not_finite_are_found_as_by_decoding() {
    let mut random = wisp_base::splitmix64(7);
    for format in Format::ALL {
        let (block, size) = (format.block(), format.block_bytes());
        let mut found = 0;
        for round in 0..600 {
            let blocks = [1, 3, 300][round % 3].min(1 + 4096 / block);
            let mut bytes = example(format, round as u64, blocks * block).unwrap();
            assert_eq!(not_finite(format, &bytes), None, "{format}");
            // Random bytes in one block: scales of all kinds.
            let at = random() as usize % blocks;
            bytes[at * size..(at + 1) * size].fill_with(|| (random() >> 40) as u8);
            if round % 2 == 0 {
                // Every exponent is all ones somewhere.
                let byte = random() as usize % size;
                bytes[at * size + byte] |= 0x7f;
                bytes[at * size + byte.saturating_sub(1)] |= 0xc0;
            }
            let mut numbers = vec![0.0; blocks * block];
            decode(format, &bytes, &mut numbers).unwrap();
            let want = numbers.iter().position(|number| !number.is_finite());
            let got = not_finite(format, &bytes);
            assert_eq!(got.map(|(at, _)| at), want, "{format}, round {round}");
            found += usize::from(want.is_some());
        }
        // NVFP4 takes the NaN of its scales for 0, as ggml does.
        assert_eq!(found > 0, format != Format::NVFP4, "{format}: {found}");
    }
}

/// Weight `col` of `row`, out of the GPU's layout by its definition; of the formats
/// whose layout is simple. Kernels' cases compare the others.
fn read_split(
    format: Format,
    split: &Repacked,
    cols: usize,
    row: usize,
    col: usize,
) -> Option<f32> {
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
    Some(match format {
        Format::F32 => f32::from_bits(split.quants[padded]),
        Format::F16 => f16::from_bits(half(&split.quants, padded)).to_f32(),
        Format::BF16 => bf16::from_bits(half(&split.quants, padded)).to_f32(),
        Format::F8_E5M2 => f16::from_le_bytes([0, byte(&split.quants, padded)]).to_f32(),
        Format::F8_E4M3_128 | Format::F8_E4M3_32 => {
            let mut code = [0.0];
            let at = row * cols + col;
            decode(Format::F8_E4M3, &[byte(&split.quants, at)], &mut code).unwrap();
            f32::from_bits(split.scales[block]) * code[0]
        }
        Format::Q8_0 => scale(block) * f32::from(byte(&split.quants, block * 32 + within) as i8),
        Format::Q4_0 => scale(block) * (nibble() - 8.0),
        Format::Q4_1 => scale(block * 2) * nibble() + scale(block * 2 + 1),
        _ => return None,
    })
}

fn sizes(format: Format) -> Vec<usize> {
    match format.block() {
        1 => vec![1, 2, 3, 7, 8, 9, 31, 64],
        block => [1, 2, 3, 7].map(|blocks| blocks * block).to_vec(),
    }
}

#[test]
fn splitting_loses_nothing() {
    for format in Format::ALL {
        for cols in sizes(format) {
            for rows in [0, 1, 2, 3, 5] {
                let bytes = example(format, 1, rows * cols).unwrap();
                let whole = repack(format, &bytes, cols).unwrap();
                let words = (whole.quants.len(), whole.scales.len());
                assert_eq!(words, repacked_words(format, rows, cols), "{format} {rows} × {cols}");
                let want = decoded(format, &bytes);
                for (at, want) in want.iter().enumerate() {
                    let (row, col) = (at / cols, at % cols);
                    let Some(got) = read_split(format, &whole, cols, row, col) else { break };
                    assert_eq!(got.to_bits(), want.to_bits(), "{format} {row}, {col}");
                }
            }
        }
    }
}

/// Any change of a bit of the file changes the GPU's words, and they are few.
#[test]
fn every_bit_is_kept_and_little_is_added() {
    for format in Format::ALL {
        let cols = format.block().max(8);
        let bytes = example(format, 3, 4 * cols).unwrap();
        let whole = repack(format, &bytes, cols).unwrap();
        let words = 4 * (whole.quants.len() + whole.scales.len());
        assert!(words as f64 <= 1.06 * bytes.len() as f64, "{format}: {words} of {}", bytes.len());
        for bit in 0..8 * bytes.len() {
            let mut other = bytes.clone();
            other[bit / 8] ^= 1 << (bit % 8);
            assert_ne!(repack(format, &other, cols).unwrap(), whole, "{format}, bit {bit}");
        }
    }
}

/// Examples hold finite numbers, whose size is that of weights.
#[test]
fn examples_are_finite() {
    for format in Format::ALL {
        let numbers = decoded(format, &example(format, 5, 1024).unwrap());
        let largest = numbers.iter().fold(0f32, |max, x| max.max(x.abs()));
        assert!((0.1..3e4).contains(&largest) && numbers.iter().all(|x| x.is_finite()), "{format}");
    }
}

/// What the GPU's layout pads with is 0: kernels may read it.
#[test]
fn padding_is_zero() {
    let ones = encode(Format::F16, &[1.0; 6], None).unwrap();
    assert_eq!(
        repack(Format::F16, &ones, 3).unwrap().quants,
        [0x3c003c00, 0x3c00, 0, 0, 0x3c003c00, 0x3c00, 0, 0]
    );
    let ones = encode(Format::F32, &[1.0], None).unwrap();
    assert_eq!(repack(Format::F32, &ones, 1).unwrap().quants, [0x3f800000, 0, 0, 0, 0, 0, 0, 0]);
    let block = encode(Format::Q8_0, &[127.0; 32], None).unwrap();
    assert_eq!(repack(Format::Q8_0, &block, 32).unwrap().scales, [0x3c00]);
}

#[test]
fn pieces_of_whole_words_join() {
    for format in Format::ALL {
        let cols = sizes(format)[2];
        let bytes = example(format, 2, 11 * cols).unwrap();
        let whole = repack(format, &bytes, cols).unwrap();
        let mut joined = Repacked::default();
        for piece in bytes.chunks(format.rows_together() * format.bytes(cols)) {
            let piece = repack(format, piece, cols).unwrap();
            joined.quants.extend(piece.quants);
            joined.scales.extend(piece.scales);
        }
        assert_eq!(joined, whole, "{format}");
    }
}

#[test]
fn words_saturate() {
    let (quants, scales) = repacked_words(Format::Q8_0, usize::MAX, usize::MAX);
    assert_eq!(quants, usize::MAX);
    assert!(scales > usize::MAX / 4);
}
