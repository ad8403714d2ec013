//! Compilers that give no figures, only errors: Microsoft's DXC, under Wine, and Chromium's Tint,
//! both from the npm package `webgpu`.

use super::kernels::Kernel;
use crate::setup;
use crate::sid;
use crate::step::{Result, cargo, copy, root, run, target};
use crate::web::npm;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Dawn's node binding, with the libraries that it needs on Windows.
const PACKAGE: &str = "webgpu@0.6.2";

/// What compiles Windows programs, by its package.
const MINGW: (&str, &str) = ("x86_64-w64-mingw32-g++", "g++-mingw-w64-x86-64-win32");

/// Where Wine is: on the path, or where Debian has it.
const WINE: [&str; 3] = ["wine64", "/usr/lib/wine/wine64", "wine"];

/// One of the compilers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Validator {
    Dxc,
    Tint,
}

impl Validator {
    pub const ALL: [Validator; 2] = [Self::Dxc, Self::Tint];

    pub fn name(self) -> &'static str {
        match self {
            Self::Dxc => "DXC",
            Self::Tint => "Tint",
        }
    }

    /// The kernels of which of the linker's adapters are for it.
    pub fn adapter(self) -> &'static str {
        match self {
            Self::Dxc => "dx12",
            Self::Tint => "browser",
        }
    }

    /// Compiles them; the numbers of those that it refuses, with its messages.
    pub fn check(self, sid: &Path, kernels: &[&Kernel]) -> Result<Vec<(String, String)>> {
        let folder = target().join("drivers");
        let package = download(&folder)?;
        let shaders = sid::files(sid).join("kernels");
        let shaders =
            shaders.canonicalize().map_err(|cause| format!("{}: {cause}", shaders.display()))?;
        let wgsl = list(&folder, &shaders, kernels, "wgsl")?;
        let mut command = match self {
            Self::Dxc => {
                let program = dxc(&folder, &package)?;
                let features = ["--example", "hlsl", "--features", "hlsl"];
                run(cargo().args(["build", "--release", "-p", "wisp-xtask"]).args(features))?;
                let hlsl = target().join("release").join("examples").join("hlsl");
                run(Command::new(hlsl).stdin(open(&wgsl)?))?;
                let mut command = Command::new(wine()?);
                command.arg(program).env("WINEPREFIX", folder.join("wine"));
                command.env("WINEDEBUG", "-all");
                command.stdin(open(&list(&folder, &shaders, kernels, "hlsl")?)?);
                command
            }
            Self::Tint => {
                let mut command = Command::new("node");
                command.arg(ours("tint.mjs")).arg(package).stdin(open(&wgsl)?);
                command
            }
        };
        let output = command.output().map_err(|cause| format!("{}: {cause}", self.name()))?;
        let said = String::from_utf8_lossy(&output.stdout);
        if !said.lines().any(|line| line.trim_end() == format!("compiled {}", kernels.len())) {
            let why = String::from_utf8_lossy(&output.stderr);
            return Err(format!("{} did not compile all: {}\n{why}", self.name(), output.status));
        }
        Ok(refused(&said))
    }
}

/// Out of lines of a path, a tab and a message.
fn refused(said: &str) -> Vec<(String, String)> {
    let failures = said.lines().filter_map(|line| line.split_once('\t'));
    let number = |path: &str| Path::new(path).file_stem().map(|stem| stem.to_string_lossy().into());
    failures.map(|(path, why)| (number(path).unwrap_or_default(), why.to_owned())).collect()
}

/// The npm package's folder, fetched once.
fn download(folder: &Path) -> Result<PathBuf> {
    let package = folder.join("node_modules").join("webgpu");
    if !package.join("package.json").is_file() {
        std::fs::create_dir_all(folder)
            .and_then(|()| std::fs::write(folder.join("package.json"), "{\"private\":true}\n"))
            .map_err(|cause| format!("{}: {cause}", folder.display()))?;
        let flags = ["install", "--ignore-scripts", "--no-audit", "--no-fund", PACKAGE];
        run(npm().current_dir(folder).args(flags))
            .map_err(|why| format!("{why}; DXC and Tint need Node.js with npm"))?;
    }
    Ok(package)
}

/// `dxc.cpp` as a program for Windows, beside the library that it loads.
fn dxc(folder: &Path, package: &Path) -> Result<PathBuf> {
    let (compiler, its_package) = MINGW;
    setup::need(compiler, &[its_package])?;
    let program = folder.join("dxc.exe");
    run(Command::new(compiler)
        .args(["-O2", "-static", "-Wall", "-o"])
        .arg(&program)
        .arg(ours("dxc.cpp")))?;
    copy(&package.join("dist").join("win32-x64").join("dxcompiler.dll"), folder)?;
    Ok(program)
}

/// Wine's program, installed if there is none.
fn wine() -> Result<&'static str> {
    let found = || {
        let starts = |name: &&&str| Command::new(name).arg("--version").output().is_ok();
        WINE.iter().find(starts).copied()
    };
    if found().is_none() {
        setup::apt_install(&["wine64"])?;
    }
    found().ok_or_else(|| "there is no Wine".into())
}

/// A program of this command in another language.
fn ours(name: &str) -> PathBuf {
    root().join("crates").join("xtask").join("drivers").join(name)
}

/// A file with the paths of shaders, one a line.
fn list(folder: &Path, shaders: &Path, kernels: &[&Kernel], ending: &str) -> Result<PathBuf> {
    let line = |of: &&Kernel| format!("{}/{}.{ending}\n", shaders.display(), of.number);
    let path = folder.join(format!("{ending}.list"));
    std::fs::write(&path, kernels.iter().map(line).collect::<String>())
        .map_err(|cause| format!("{}: {cause}", path.display()))?;
    Ok(path)
}

fn open(path: &Path) -> Result<File> {
    File::open(path).map_err(|cause| format!("{}: {cause}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refused_kernels_are_found() {
        let said = "wine: configuration updated\n/a/00007.hlsl\tno such type\r\ncompiled 1\r\n";
        assert_eq!(refused(said), [("00007".to_owned(), "no such type".to_owned())]);
    }
}
