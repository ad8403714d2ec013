//! Makes sure that the machine has a driver that wgpu can reach.
//!
//! macOS has Metal and Windows has DX12 (with WARP in software); on Linux a Vulkan
//! loader and at least one driver must be installed, and Mesa's lavapipe is a driver
//! that needs no GPU.

use crate::step::{self, Result};
use std::path::{Path, PathBuf};
use std::process::Command;

/// What Debian and Ubuntu call them.
const PACKAGES: [&str; 2] = ["libvulkan1", "mesa-vulkan-drivers"];

/// Folders in which the Vulkan loader looks for driver manifests.
const MANIFESTS: [&str; 3] =
    ["/usr/local/share/vulkan/icd.d", "/usr/share/vulkan/icd.d", "/etc/vulkan/icd.d"];

/// Folders in which distributions keep the loader itself.
const LIBRARIES: [&str; 6] =
    ["/usr/lib", "/usr/lib64", "/usr/local/lib", "/lib", "/lib64", "/run/opengl-driver/lib"];

/// What this machine can draw on.
#[derive(Debug, PartialEq, Eq)]
enum Drivers {
    /// No loader, or no driver.
    None,
    /// Only drivers that compute on the CPU, or no GPU to drive.
    Software,
    /// A GPU with a driver for it.
    Gpu,
}

/// Installs what is missing; says what it found.
pub fn run() -> Result {
    if !cfg!(target_os = "linux") {
        eprintln!("set-up: this system brings its own graphics driver; nothing to install");
        return Ok(());
    }
    match installed() {
        Drivers::Gpu => eprintln!("set-up: a GPU with a Vulkan driver is here"),
        Drivers::Software => {
            eprintln!("set-up: no GPU with a driver; a software Vulkan driver is here");
        }
        Drivers::None => {
            install()?;
            if installed() == Drivers::None {
                return Err(format!(
                    "{} are installed, but no Vulkan driver is to be found: run `vulkaninfo` \
                     to see why",
                    PACKAGES.join(" and ")
                ));
            }
        }
    }
    Ok(())
}

fn installed() -> Drivers {
    let found = manifests();
    if found.is_empty() || !has_loader() {
        return Drivers::None;
    }
    classify(&found, has_gpu())
}

fn classify(manifests: &[PathBuf], gpu: bool) -> Drivers {
    let software = |path: &PathBuf| {
        let name = path.file_name().unwrap_or_default().to_string_lossy().to_lowercase();
        ["lvp", "lavapipe", "swrast", "swiftshader"].iter().any(|part| name.contains(part))
    };
    if manifests.is_empty() {
        Drivers::None
    } else if gpu && !manifests.iter().all(software) {
        Drivers::Gpu
    } else {
        Drivers::Software
    }
}

/// The driver manifests that the loader would read.
fn manifests() -> Vec<PathBuf> {
    for name in ["VK_DRIVER_FILES", "VK_ICD_FILENAMES"] {
        if let Some(list) = std::env::var_os(name) {
            return std::env::split_paths(&list).filter(|path| path.exists()).collect();
        }
    }
    let home = std::env::var_os("HOME")
        .map(|home| PathBuf::from(home).join(".local").join("share").join("vulkan").join("icd.d"));
    let folders = MANIFESTS.iter().map(PathBuf::from).chain(home);
    folders.flat_map(|folder| files(&folder)).filter(|path| has_ending(path, "json")).collect()
}

/// A device node that a hardware driver would open.
fn has_gpu() -> bool {
    let render = files(Path::new("/dev/dri"));
    let is_render = |path: &PathBuf| {
        path.file_name().is_some_and(|n| n.to_string_lossy().starts_with("render"))
    };
    render.iter().any(is_render)
        || ["/dev/nvidia0", "/dev/dxg", "/dev/mali0", "/dev/kgsl-3d0"]
            .iter()
            .any(|node| Path::new(node).exists())
}

fn has_loader() -> bool {
    let is_loader = |path: &PathBuf| {
        path.file_name().is_some_and(|n| n.to_string_lossy().starts_with("libvulkan.so.1"))
    };
    LIBRARIES.iter().any(|folder| {
        let inside = files(Path::new(folder));
        // Debian has one more level: /usr/lib/x86_64-linux-gnu.
        inside.iter().any(is_loader)
            || inside
                .iter()
                .filter(|path| path.to_string_lossy().contains("-linux-"))
                .any(|path| files(path).iter().any(is_loader))
    })
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).into_iter().flatten();
    entries.filter_map(|entry| Some(entry.ok()?.path())).collect()
}

fn has_ending(path: &Path, ending: &str) -> bool {
    path.extension().is_some_and(|found| found == ending)
}

fn install() -> Result {
    eprintln!("set-up: no Vulkan driver here; installing {} with apt-get", PACKAGES.join(" and "));
    apt_install(&PACKAGES).map_err(|why| {
        format!(
            "this machine has no Vulkan driver: install one with its package manager ({} on Debian \
             and Ubuntu, mesa-vulkan-drivers and vulkan-loader on Fedora, vulkan-swrast on Arch), \
             then try again ({why})",
            PACKAGES.join(" ")
        )
    })
}

/// Makes sure that a program is on the path, by installing packages of Debian or Ubuntu.
pub fn need(program: &str, packages: &[&str]) -> Result {
    if on_path(program) || Path::new("/usr/sbin").join(program).is_file() {
        return Ok(());
    }
    eprintln!("installing {} with apt-get", packages.join(", "));
    apt_install(packages).map_err(|why| format!("there is no {program}: {why}"))
}

/// Installs packages of Debian or Ubuntu.
pub fn apt_install(packages: &[&str]) -> Result {
    let root = is_root();
    if !on_path("apt-get") {
        return Err("there is no apt-get".into());
    }
    if !root && !on_path("sudo") {
        return Err("apt-get needs root, and there is no sudo".into());
    }
    let apt = |args: &[&str]| {
        let mut command = if root {
            Command::new("apt-get")
        } else {
            let mut command = Command::new("sudo");
            command.arg("apt-get");
            command
        };
        command.args(args).env("DEBIAN_FRONTEND", "noninteractive");
        step::run(&mut command)
    };
    // A list of packages that is old but good enough may do: the update may fail.
    let updated = apt(&["update", "-q"]);
    let mut args = vec!["install", "-q", "-y", "--no-install-recommends"];
    args.extend(packages);
    apt(&args).map_err(|why| match updated {
        Ok(()) => why,
        Err(first) => format!("{first}; then {why}"),
    })
}

fn is_root() -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let uid = status.lines().find_map(|line| line.strip_prefix("Uid:"));
    uid.and_then(|ids| ids.split_whitespace().nth(1)) == Some("0")
}

fn on_path(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|folder| folder.join(program).is_file())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_driver_without_its_gpu_is_software() {
        let files = |names: &[&str]| names.iter().map(PathBuf::from).collect::<Vec<_>>();
        let mesa = files(&["lvp_icd.x86_64.json", "radeon_icd.x86_64.json"]);
        assert_eq!(classify(&mesa, false), Drivers::Software);
        assert_eq!(classify(&mesa, true), Drivers::Gpu);
        assert_eq!(classify(&files(&["lvp_icd.x86_64.json"]), true), Drivers::Software);
        assert_eq!(classify(&[], true), Drivers::None);
    }
}
