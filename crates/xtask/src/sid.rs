//! Debian unstable in a folder, entered by `chroot`: for drivers newer than this system's, which
//! need the rest of that release.

use crate::setup;
use crate::step::{Result, output, run, target};
use std::path::{Path, PathBuf};
use std::process::Command;

/// Vulkan, Mesa's drivers, and stubs of the kernel drivers that those for GPUs talk to.
const PACKAGES: &str = "--include=libvulkan1,mesa-vulkan-drivers,mesa-drm-shim";

/// The other system's folder, made at the first use.
pub fn folder() -> Result<PathBuf> {
    let sid = target().join("sid");
    if !is_made(&sid) {
        setup::need("debootstrap", &["debootstrap"])?;
        // What an older version of this command made, or part of it.
        std::fs::remove_dir_all(&sid).ok();
        let mut command = Command::new("debootstrap");
        command.args(["--variant=minbase", PACKAGES, "sid"]).arg(&sid).args(mirror());
        run(&mut command).map_err(|why| format!("{why} (it needs root)"))?;
    }
    let files = files(&sid);
    std::fs::create_dir_all(&files).map_err(|cause| format!("{}: {cause}", files.display()))?;
    Ok(sid)
}

/// Where programs put what they need there: the other system's `/wisp`.
pub fn files(sid: &Path) -> PathBuf {
    sid.join("wisp")
}

/// The other system's folder of libraries, without the root: `usr/lib/x86_64-linux-gnu`.
pub fn libraries() -> PathBuf {
    let machine = format!("{}-linux-gnu", std::env::consts::ARCH);
    Path::new("usr").join("lib").join(machine)
}

/// A program of `files`, run with the other system's libraries.
pub fn inside(sid: &Path, program: &str) -> Command {
    let mut command = Command::new("chroot");
    command.arg(sid).arg(format!("/wisp/{program}"));
    command.env("XDG_RUNTIME_DIR", "/wisp").env("WISP_HOME", "/wisp/home");
    command
}

fn is_made(sid: &Path) -> bool {
    let drivers = sid.join("usr").join("share").join("vulkan").join("icd.d");
    drivers.is_dir() && sid.join(libraries()).join("libamdgpu_noop_drm_shim.so").is_file()
}

/// Where this system takes its own packages from; without it debootstrap asks Debian's servers.
fn mirror() -> Option<String> {
    let flags = ["indextargets", "--format", "$(REPO_URI)"];
    let said = output(Command::new("apt-get").args(flags)).ok()?;
    let debian = |address: &&str| address.trim_end_matches('/').ends_with("/debian");
    said.lines().find(debian).map(str::to_owned)
}
