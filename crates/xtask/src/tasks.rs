//! `chat`, `bench-kernels`, `test` and `tidy`.

use crate::setup;
use crate::step::{Result, cargo, output, root, run, step, wisp};
use crate::{binary, tidy, web};
use std::path::{Path, PathBuf};
use std::process::Command;

/// The model that `chat` and the tests use.
pub const MODEL: &str = "smollm2-135m";

/// `wisp chat`, which fetches the model itself.
pub fn chat(args: &[String]) -> Result {
    become_wisp(&["chat"], args)
}

/// `wisp devices --bench`.
pub fn bench_kernels(args: &[String]) -> Result {
    become_wisp(&["devices", "--bench"], args)
}

/// Set-up, build, then `wisp` in place of us.
fn become_wisp(command: &[&str], args: &[String]) -> Result {
    setup::run()?;
    build()?;
    // Its exit status is ours: when it failed it has said why already.
    let status = Command::new(wisp())
        .args(command)
        .args(args)
        .status()
        .map_err(|cause| format!("cannot start {}: {cause}", wisp().display()))?;
    if status.success() { Ok(()) } else { std::process::exit(status.code().unwrap_or(1)) }
}

/// Everything that must hold before a change lands; stops at the first thing that does not.
///
/// All of it is in the release profile: kernels' CPU definitions are plain loops that
/// need optimising, and the dependencies are then compiled once.
pub fn test() -> Result {
    step("set-up", setup::run)?;
    step("format", || run(cargo().args(["fmt", "--all", "--check"])))?;
    step("house rules", tidy)?;
    step("build", build)?;
    step("binary", binary::check)?;
    step("lints", || {
        let flags = ["--workspace", "--all-targets", "--release", "--", "-D", "warnings"];
        run(cargo().arg("clippy").args(flags))
    })?;
    let home = home();
    let model = step("model", || pull(&home, MODEL))?;
    step("tests", || {
        run(cargo()
            .args(["test", "--release", "--workspace"])
            .env("WISP_HOME", &home)
            .env("WISP_TEST_MODEL", &model)
            .env("WISP_BIN", wisp()))
    })?;
    step("docs", || {
        run(cargo()
            .args(["doc", "--release", "--no-deps", "--workspace"])
            .env("RUSTDOCFLAGS", "-Dwarnings"))
    })?;
    web::test(&model)
}

/// The house rules.
pub fn tidy() -> Result {
    let found = tidy::check(&root())?;
    for problem in &found {
        eprintln!("{problem}");
    }
    match found.len() {
        0 => Ok(()),
        1 => Err("one house rule is broken".into()),
        n => Err(format!("house rules are broken in {n} places")),
    }
}

/// The release build of `wisp`.
pub fn build() -> Result {
    run(cargo().args(["build", "--release", "-p", "wisp-llm"]))
}

/// Where the tests keep models: out of the person's own store.
pub fn home() -> PathBuf {
    std::env::var_os("WISP_HOME").map_or_else(|| root().join(".wisp"), PathBuf::from)
}

/// Fetches a model; `wisp pull` prints its path last.
pub fn pull(home: &Path, model: &str) -> Result<PathBuf> {
    let said = output(Command::new(wisp()).args(["pull", model]).env("WISP_HOME", home))?;
    let path = said.lines().last().map(str::trim).unwrap_or_default();
    if Path::new(path).is_file() {
        Ok(PathBuf::from(path))
    } else {
        Err(format!("wisp pull {model} printed {path:?}, which is not a file"))
    }
}
