//! A compiler for wasm32: the one that runs us, where its standard library for wasm is
//! here or rustup can fetch it; else Debian's, which builds the standard library itself.

use crate::setup;
use crate::step::{Result, cargo, output, run};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// What wasm calls a platform.
pub const TARGET: &str = "wasm32-unknown-unknown";

/// Debian's compiler that can make wasm, its cargo, and its standard library's source.
const DEBIAN: [&str; 3] = ["rustc-web", "cargo-web", "rust-web-src"];

/// Where that source is.
const DEBIAN_SOURCE: &str = "/usr/lib/rustlib/src/rust/library/std/src/lib.rs";

/// What compiles to wasm here.
#[derive(Debug)]
pub enum Toolchain {
    /// The one that compiled us.
    Ours,
    /// `/usr/bin/cargo` of Debian, with this linker.
    Debian(PathBuf),
}

impl Toolchain {
    /// The first that works; installs what is missing.
    pub fn find() -> Result<Self> {
        if has_target() {
            return Ok(Self::Ours);
        }
        let rustup = run(Command::new("rustup").args(["target", "add", TARGET]));
        if rustup.is_ok() && has_target() {
            return Ok(Self::Ours);
        }
        eprintln!("rustup cannot fetch {TARGET}; trying Debian's {}", DEBIAN.join(", "));
        if !Path::new(DEBIAN_SOURCE).is_file() {
            setup::apt_install(&DEBIAN).map_err(|why| {
                format!(
                    "there is no Rust compiler for {TARGET} here: install its standard library \
                     (`rustup target add {TARGET}`), then try again ({why})"
                )
            })?;
        }
        Ok(Self::Debian(linker()?))
    }

    /// `cargo build` for wasm.
    pub fn cargo_build(&self) -> Command {
        let mut command = cargo();
        if let Self::Debian(linker) = self {
            command = Command::new("/usr/bin/cargo");
            command.current_dir(crate::step::root());
            command.env("RUSTC", "/usr/bin/rustc");
            command.env("CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_LINKER", linker);
        }
        // No panic says where it was: that takes 70 kB of the gzipped module, and names
        // folders of the machine that built it. What `{:?}` shows of our types is their name:
        // 35 kB more, for what no message to a person needs. Neither this nor building std from its
        // source is stable yet.
        command.env("RUSTC_BOOTSTRAP", "1");
        let flags = "-Zlocation-detail=none -Zfmt-debug=shallow";
        command.env("CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_RUSTFLAGS", flags);
        command.args(["build", "--target", TARGET]);
        if let Self::Debian(_) = self {
            command.arg("-Zbuild-std=std,panic_abort");
        }
        command
    }
}

/// Whether our own compiler has a standard library for wasm.
fn has_target() -> bool {
    let asked = Command::new(rustc())
        .args(["--print", "target-libdir", "--target", TARGET])
        .stderr(Stdio::null())
        .output();
    let path = asked.map(|said| String::from_utf8_lossy(&said.stdout).trim().to_owned());
    path.is_ok_and(|path| Path::new(&path).is_dir())
}

/// The linker of our own compiler serves Debian's too, which has none for wasm.
fn linker() -> Result<PathBuf> {
    let sysroot = output(Command::new(rustc()).args(["--print", "sysroot"]))?;
    let host = output(Command::new(rustc()).args(["--print", "host-tuple"]))?;
    let bin = Path::new(sysroot.trim()).join("lib").join("rustlib").join(host.trim()).join("bin");
    let found = [bin.join("rust-lld"), PathBuf::from("/usr/bin/wasm-ld")];
    let found = found.into_iter().find(|path| path.is_file());
    found.ok_or_else(|| {
        "there is no linker for wasm here: install one (`apt-get install lld`), then try again"
            .into()
    })
}

fn rustc() -> std::ffi::OsString {
    std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into())
}
