//! `chat`, `bench-kernels`, `test` and `tidy`.

use crate::built::{MODEL, build, home, pull};
use crate::step::{Result, cargo, root, run, step, wisp};
use crate::{binary, setup, tidy, web};
use std::process::Command;

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
    // With the tests, `wisp` among it. Tests' dependencies ask for features of num-traits, on which
    // naga and wgpu rest: built apart, as it is for people, all of them would be compiled twice.
    step("build", || run(tests().arg("--no-run")))?;
    step("binary", binary::check)?;
    step("lints", || {
        let flags = ["--workspace", "--all-targets", "--release", "--", "-D", "warnings"];
        run(cargo().arg("clippy").args(flags))
    })?;
    // With no more features than it asks for itself.
    step("wisp alone", || run(cargo().args(["check", "--release", "-p", "wisp-llm"])))?;
    let home = home();
    let model = step("model", || pull(&home, MODEL))?;
    step("tests", || {
        // One run tells of every failure.
        run(tests()
            .arg("--no-fail-fast")
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

/// All of the workspace's tests.
fn tests() -> Command {
    let mut command = cargo();
    command.args(["test", "--release", "--workspace"]);
    command
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
