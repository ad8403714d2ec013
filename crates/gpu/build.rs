//! Takes in every file under `shaders/`, so that a new kernel is one new file: without
//! comments, which a browser need not download; line by line the same. What no browser can
//! run it does not get either.

use std::path::{Path, PathBuf};
use std::{env, fs, io};

/// Files and folders with cooperative matrices (`NATIVE`).
const NATIVE: [&str; 4] = ["matmul_coop", "fragment/", "element/", "subgroups/"];

fn main() -> io::Result<()> {
    let web = env::var_os("CARGO_CFG_TARGET_ARCH").is_some_and(|arch| arch == "wasm32");
    let manifest = PathBuf::from(env::var_os("CARGO_MANIFEST_DIR").unwrap_or_default());
    let root = manifest.join("../../shaders").canonicalize()?;
    let mut files = Vec::new();
    walk(&root, &mut files)?;
    files.sort();
    // Relative: a copy of the project, with what was built, watches its own.
    println!("cargo::rerun-if-changed=../../shaders");
    let mut rows = String::new();
    for path in &files {
        let name = path.strip_prefix(&root).unwrap_or(path).with_extension("");
        let name = name.to_string_lossy().replace('\\', "/");
        if web && NATIVE.iter().any(|native| name.starts_with(native)) {
            continue;
        }
        let text: Vec<_> = fs::read_to_string(path)?.lines().map(code).collect();
        rows += &format!("    ({name:?}, {:?}),\n", text.join("\n") + "\n");
    }
    let out = PathBuf::from(env::var_os("OUT_DIR").unwrap_or_default()).join("shaders.rs");
    fs::write(out, format!("&[\n{rows}]\n"))
}

/// A line without its comment; `//!` is for the linker. WGSL has no text in quotes.
fn code(line: &str) -> String {
    let comment = line.find("//").filter(|at| !line[*at..].starts_with("//!"));
    line[..comment.unwrap_or(line.len())].trim_end().to_owned()
}

fn walk(folder: &Path, files: &mut Vec<PathBuf>) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            walk(&path, files)?;
        } else if path.extension().is_some_and(|e| e == "wgsl") {
            files.push(path);
        }
    }
    Ok(())
}
