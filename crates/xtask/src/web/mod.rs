//! `web`: the engine as WebAssembly, the npm package around it, the chat page, and a
//! server to look at it.

mod serve;
mod sizes;
mod test;
mod toolchain;
mod wasm;

use crate::step::{Result, output, root, run, step, wisp};
use std::path::{Path, PathBuf};
use std::process::Command;

use test::models;
pub use test::{chromium, test};

/// `web`: builds and serves; `--build` does not serve; `--models` tests with larger models;
/// `--sizes` builds nothing and fails where what is there is too large.
pub fn web(args: &[String]) -> Result {
    match args.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        [] => {
            build().and_then(|()| serve::Site::new(&folder("chat").join("dist"), local())?.serve())
        }
        ["--build"] => build(),
        ["--models"] => models(),
        ["--sizes"] => sizes::check(),
        other => {
            let other = other.join(" ");
            Err(format!("web does not know {other}: give nothing, --build, --models or --sizes"))
        }
    }
}

/// The models that `wisp`, where it was built, has in its store: the page offers them as being on
/// this computer, so that it works where a model's own host is out of reach.
fn local() -> Vec<(String, PathBuf)> {
    let listing = output(Command::new(wisp()).arg("models"));
    listing.map_or_else(|_| Vec::new(), |listing| serve::models_of(&listing))
}

/// From Rust to a folder of static files.
pub fn build() -> Result {
    step("wasm", || wasm::build(&wasm_out()))?;
    step("npm package", || package(&folder("ts")))?;
    step("chat page", || package(&folder("chat")))
}

/// `web/NAME`
fn folder(name: &str) -> PathBuf {
    root().join("web").join(name)
}

/// Where TypeScript takes the module from.
fn wasm_out() -> PathBuf {
    folder("ts").join("src").join("wasm")
}

/// Builds an npm package, with what its lock file names.
fn package(folder: &Path) -> Result {
    install(folder)?;
    run(npm().current_dir(folder).args(["run", "build"]))
}

/// Installs what a package's lock file names, where that has not been done.
fn install(folder: &Path) -> Result {
    if is_installed(folder) {
        return Ok(());
    }
    run(npm().current_dir(folder).args(["ci", "--no-audit", "--no-fund"])).map_err(|why| {
        format!("{why}; this needs Node.js 20 or later with npm: install it, then try again")
    })
}

/// Whether npm has installed what the lock file names since it was last changed.
fn is_installed(folder: &Path) -> bool {
    let changed = |path: PathBuf| path.metadata().and_then(|file| file.modified()).ok();
    let installed = changed(folder.join("node_modules").join(".package-lock.json"));
    let wanted = changed(folder.join("package-lock.json"));
    installed.zip(wanted).is_some_and(|(installed, wanted)| installed >= wanted)
}

/// npm, wherever it is on the path.
pub fn npm() -> Command {
    Command::new(if cfg!(windows) { "npm.cmd" } else { "npm" })
}
