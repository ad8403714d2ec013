//! The table of weight formats in `crates/formats/README.md` says what is tested.
//! `WISP_UPDATE=1` writes it anew.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::fmt::Write;

use wisp_base::Format;
use wisp_base::quant::{encode, repacked_words, table};
use wisp_gpu::{Gpu, Off, Scalar, Tuning, Variant};
use wisp_ops::cases;
use wisp_ops::check::{Case, run};

const README: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../formats/README.md");
const BEGIN: &str = "<!-- formats: by crates/ops/tests/formats.rs -->\n";
const END: &str = "<!-- /formats -->\n";

/// Whose numbers `base/tests/quant.rs` finds bit by bit when it decodes.
fn reference(format: Format) -> &'static str {
    match format {
        Format::Q1_0 | Format::Q2_0 => "ggml",
        Format::F8_E4M3 | Format::F8_E5M2 | Format::F8_E4M3_128 | Format::F8_E4M3_32 => "PyTorch",
        _ => "gguf-py",
    }
}

/// How `base/tests/quant.rs` checks the encoder.
fn encoder(format: Format) -> &'static str {
    let name = format.name();
    match format {
        _ if name.ends_with("_K") || name.starts_with("IQ") => "error ≤ 1.03 × ggml's",
        _ if encode(format, &[], None).is_ok() => "bit by bit",
        _ => "none",
    }
}

/// All of a row but the error.
fn facts(format: Format) -> String {
    let weights = 4096;
    let (quants, scales) = repacked_words(format, 1, weights);
    let in_file = 8.0 * format.block_bytes() as f64 / format.block() as f64;
    let on_gpu = 32.0 * (quants + scales) as f64 / weights as f64;
    format!(
        "| {format} | {} | {in_file:.4} | {on_gpu:.4} | {} | {} | {} |",
        format.block(),
        table(format).len() * 4,
        reference(format),
        encoder(format),
    )
}

#[test]
fn the_readme_says_what_was_checked() {
    let gpu = pollster::block_on(Gpu::open(None, Off::default())).unwrap();
    let readme = std::fs::read_to_string(README).unwrap();
    let (front, rest) = readme.split_once(BEGIN).expect("the table's begin is missing");
    let (old, back) = rest.split_once(END).expect("the table's end is missing");
    let mut rows = String::from(
        "| format | block | bits a weight | on the GPU | table, bytes | CPU decode exactly as | \
         CPU encode | GPU, largest error |\n|---|---|---|---|---|---|---|---|\n",
    );
    let cases = cases().unwrap();
    for format in Format::ALL {
        let of_format = |case: &&Case| {
            let mut words = case.name.split(' ');
            let operation = words.next();
            matches!(operation, Some("linear" | "embed")) && words.next() == Some(format.name())
        };
        let mut error: f64 = 0.0;
        for case in cases.iter().filter(of_format) {
            for variant in Variant::ALL {
                if variant.scalar == Scalar::F32 && variant.runs_on(gpu.facts().caps) {
                    let run = run(&gpu, case, variant, Tuning::CPU);
                    error = error.max(pollster::block_on(run).unwrap().error);
                }
            }
        }
        let row = facts(format);
        let known = old.lines().find_map(|line| line.strip_prefix(&row));
        let known = known.and_then(|error| error.trim_matches([' ', '|']).parse::<f64>().ok());
        // Another adapter adds up in another order.
        if std::env::var_os("WISP_UPDATE").is_none() {
            let known = known.unwrap_or_else(|| panic!("not in the README: {row}"));
            assert!(error <= 8.0 * known, "{format}: {error:e} is not about {known:e}");
        }
        writeln!(rows, "{row} {error:.0e} |").unwrap();
    }
    if std::env::var_os("WISP_UPDATE").is_some() {
        std::fs::write(README, format!("{front}{BEGIN}{rows}{END}{back}")).unwrap();
    }
}
