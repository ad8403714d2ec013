//! What a visitor downloads before any model, as a server sends it: gzipped. The only place where
//! these sizes are limited.

use super::folder;
use crate::step::{Result, limit, output};
use std::path::{Path, PathBuf};
use std::process::Command;

/// Bytes at most. Since 1,198,600: 4,400 measure kernel parameters, which makes products on a GPU
/// faster for all answers to come; 10,600 are shaders that keep more loads in flight, the choice
/// of how they are cut, and a scheduler apart from the device; 21,600 are recurrent layers (three
/// operations with their shaders, LFM2's and Qwen3.5's layers, snapshots of their state), 3,500 the
/// driver and hints to settings; 6,400 check requests and write answers in OpenAI's shapes (crate
/// `api`), which TypeScript did before in 2,700 bytes; 24,000 are fusion with a kernel for every
/// plain operation, and speculation with roll-back. 35,000 less: derived `{:?}` shows names only.
/// 3,500 tell which stop text ended an answer, keep waiting for a device to a library's channel, and
/// refuse tools that a template leaves out and more fields that are not honoured.
const WASM: u64 = 1_240_500;
const JAVASCRIPT: u64 = 40_000;

/// Prints the sizes of the package.
pub fn check() -> Result {
    let dist = folder("ts").join("dist");
    let mut files = Vec::new();
    find(&dist, &mut files).map_err(|cause| {
        format!("cannot read {}: {cause}; run `cargo xtask web --build` first", dist.display())
    })?;
    files.sort();
    let (wasm, javascript) = (total(&dist, &files, "wasm")?, total(&dist, &files, "js")?);
    if wasm == 0 || javascript == 0 {
        return Err(format!(
            "there is nothing to measure in {}: run `cargo xtask web --build` first",
            dist.display()
        ));
    }
    limit("WebAssembly, gzipped", wasm, WASM)?;
    limit("JavaScript, gzipped", javascript, JAVASCRIPT)
}

/// Gzipped bytes of all files with an ending.
fn total(dist: &Path, files: &[PathBuf], ending: &str) -> Result<u64> {
    let mut sum = 0;
    for file in files.iter().filter(|file| file.extension().is_some_and(|e| e == ending)) {
        let bytes = gzipped(file)?;
        println!("{bytes:>10}  {}", file.strip_prefix(dist).unwrap_or(file).display());
        sum += bytes;
    }
    Ok(sum)
}

/// Node, which the package needs anyway, can gzip; Rust's standard library cannot.
fn gzipped(file: &Path) -> Result<u64> {
    const SCRIPT: &str = "const [, file] = process.argv;
        const bytes = require('fs').readFileSync(file);
        console.log(require('zlib').gzipSync(bytes, { level: 9 }).length)";
    let said = output(Command::new("node").args(["-e", SCRIPT]).arg(file))?;
    said.trim().parse().map_err(|_| format!("node said {said:?} instead of a size"))
}

fn find(folder: &Path, files: &mut Vec<PathBuf>) -> std::io::Result<()> {
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() { find(&path, files)? } else { files.push(path) }
    }
    Ok(())
}
