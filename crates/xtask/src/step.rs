//! Running other programs, one named and timed step after another.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

/// A sentence for the person at the terminal.
pub type Result<T = ()> = std::result::Result<T, String>;

/// The repository's root, as `cargo run` tells it now: this build may be of a folder
/// that has moved since.
pub fn root() -> PathBuf {
    let told = std::env::var_os("CARGO_MANIFEST_DIR").map(PathBuf::from);
    let here = told.unwrap_or_else(|| env!("CARGO_MANIFEST_DIR").into());
    here.ancestors().nth(2).unwrap_or(&here).to_path_buf()
}

/// Copies a file, under its own name where `to` is a folder.
pub fn copy(file: &Path, to: &Path) -> Result {
    let named = to.join(file.file_name().unwrap_or_default());
    std::fs::copy(file, if to.is_dir() { &named } else { to })
        .map(drop)
        .map_err(|cause| format!("cannot copy {} to {}: {cause}", file.display(), to.display()))
}

/// The cargo that runs us, without what it told us of this package: some crates would be built
/// anew for it.
pub fn cargo() -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.current_dir(root());
    for (name, _) in std::env::vars_os() {
        let text = name.to_string_lossy();
        if text.starts_with("CARGO_PKG_") || text.starts_with("CARGO_MANIFEST_") {
            command.env_remove(&name);
        }
    }
    command
}

/// The folder with this build's profiles: `target`, wherever cargo was told to put it.
pub fn target() -> PathBuf {
    let ours = std::env::current_exe().ok();
    let beside = ours.as_deref().and_then(|exe| exe.ancestors().nth(2));
    beside.map_or_else(|| root().join("target"), Path::to_path_buf)
}

/// The release build of `wisp`.
pub fn wisp() -> PathBuf {
    target().join("release").join(format!("wisp{}", std::env::consts::EXE_SUFFIX))
}

/// Runs `work` under a heading and prints how long it took.
pub fn step<T>(name: &str, work: impl FnOnce() -> Result<T>) -> Result<T> {
    eprintln!("── {name}");
    let start = Instant::now();
    let result = work();
    let seconds = start.elapsed().as_secs_f64();
    eprintln!("── {name}: {} in {seconds:.1} s", if result.is_ok() { "done" } else { "FAILED" });
    result
}

/// Runs a program to its end; a status other than 0 is an error that shows the command.
pub fn run(command: &mut Command) -> Result {
    let status = command.status().map_err(|cause| cannot_start(command, &cause))?;
    if status.success() { Ok(()) } else { Err(format!("{} failed: {status}", shown(command))) }
}

/// Runs a program and returns what it wrote to stdout.
pub fn output(command: &mut Command) -> Result<String> {
    command.stderr(Stdio::inherit());
    let output = command.output().map_err(|cause| cannot_start(command, &cause))?;
    if !output.status.success() {
        return Err(format!("{} failed: {}", shown(command), output.status));
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

fn cannot_start(command: &Command, cause: &std::io::Error) -> String {
    format!("cannot start {}: {cause}", shown(command))
}

fn shown(command: &Command) -> String {
    let mut words = vec![command.get_program().to_string_lossy().into_owned()];
    words.extend(command.get_args().map(|arg| arg.to_string_lossy().into_owned()));
    words.join(" ")
}

/// Says how large something is; too large is an error.
pub fn limit(what: &str, bytes: u64, most: u64) -> Result {
    println!("{what}: {bytes} bytes, {most} at most");
    if bytes <= most { Ok(()) } else { Err(format!("{what}: {bytes} bytes; {most} are the most")) }
}
