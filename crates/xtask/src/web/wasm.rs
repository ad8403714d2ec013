//! The crate `wisp-web` to WebAssembly and the JavaScript that loads it.

use super::toolchain::{TARGET, Toolchain};
use crate::step::{Result, cargo, output, root, run, step};
use std::path::{Path, PathBuf};
use std::process::Command;

/// Builds into `out`: `wisp_web.js`, `wisp_web_bg.wasm` and their types.
///
/// Not through wasm-opt: it takes 8 % off the module, but what it leaves is larger when
/// gzipped (1.178 MB instead of 1.153 MB with `-Os`), and building takes a minute more.
pub fn build(out: &Path) -> Result {
    let toolchain = step("compiler for wasm", Toolchain::find)?;
    let bindgen = step("wasm-bindgen", bindgen)?;
    // Not where native builds are: neither should undo what the other has done.
    let target = root().join("target").join("web");
    step("wisp-web", || {
        let mut build = toolchain.cargo_build();
        build.args(["--profile", "wasm", "-p", "wisp-web", "--locked", "--target-dir"]);
        run(build.arg(&target))
    })?;
    let module = target.join(TARGET).join("wasm").join("wisp_web.wasm");
    run(Command::new(bindgen)
        .args(["--target", "web", "--remove-name-section", "--remove-producers-section"])
        .arg("--out-dir")
        .arg(out)
        .arg(module))
}

/// wasm-bindgen of the version that `Cargo.lock` has: others do not understand the
/// module. Built once.
fn bindgen() -> Result<PathBuf> {
    let lock = std::fs::read_to_string(root().join("Cargo.lock"))
        .map_err(|cause| format!("cannot read Cargo.lock: {cause}"))?;
    let version = locked(&lock, "wasm-bindgen").ok_or("Cargo.lock names no wasm-bindgen")?;
    let tools = root().join("target").join("tools");
    let program = tools.join("bin").join(format!("wasm-bindgen{}", std::env::consts::EXE_SUFFIX));
    let there = program.is_file()
        && output(Command::new(&program).arg("--version"))?.trim().ends_with(version);
    if !there {
        // Without its default features it has no web driver to download.
        run(cargo()
            .args(["install", "wasm-bindgen-cli", "--version", version, "--bin", "wasm-bindgen"])
            .args(["--no-default-features", "--force", "--root"])
            .arg(&tools)
            .arg("--target-dir")
            .arg(tools.join("build")))?;
    }
    Ok(program)
}

/// The version of a package in a lock file.
fn locked<'a>(lock: &'a str, package: &str) -> Option<&'a str> {
    let after = lock.split_once(&format!("name = \"{package}\"\nversion = \""))?.1;
    after.split('"').next()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_read_from_the_lock_file() {
        let lock = "[[package]]\nname = \"a-b\"\nversion = \"2.0.0\"\n\n[[package]]\n\
                    name = \"a\"\nversion = \"1.2.3\"\nsource = \"x\"\n";
        assert_eq!(locked(lock, "a"), Some("1.2.3"));
        assert_eq!(locked(lock, "b"), None);
    }
}
