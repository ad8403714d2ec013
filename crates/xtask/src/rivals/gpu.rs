//! `rivals gpu`: what a machine with a GPU is asked. A script does it, on what one folder holds:
//! `wisp`, llama.cpp with its backends, the loader of Vulkan. The folder is made here, and used
//! here, or packed for a bare machine.

use super::llama;
use crate::step::{Result, copy, output, root, run, step, target, wisp};
use crate::{built, setup};
use std::path::{Path, PathBuf};
use std::process::Command;

/// A part of the pack, in MiB: what channels to such machines carry at once.
const PART: u64 = 56;

/// What was asked for.
#[derive(Debug, PartialEq, Eq, Default)]
struct Options {
    quick: bool,
    pack: bool,
    /// The architecture that CUDA's machine code is packed for.
    arch: Option<String>,
}

/// Builds the folder, then runs `rival/gpu.sh` in it or packs it.
pub fn compare(args: &[String]) -> Result {
    let options = parse(args)?;
    setup::run()?;
    built::build()?;
    let arch = options.arch.as_deref();
    // CUDA's library is large: where no driver is, it is fetched for the pack alone.
    let cuda = options.pack || output(Command::new("nvidia-smi").arg("-L")).is_ok();
    let backends: &[&str] = if cuda { &["vulkan", "cuda"] } else { &["vulkan"] };
    let rival = step("the rivals", || llama::install(backends, arch))?;
    let folder = step("the folder", || gather(&rival))?;
    if options.pack {
        return step("the pack", || pack(&folder));
    }
    let out = target().join("gpu");
    step("the adapter's rows", || {
        let mut bash = Command::new("bash");
        bash.arg(folder.join("gpu.sh")).arg(&out);
        run(bash.env("QUICK", if options.quick { "1" } else { "" }))
    })?;
    println!("results: {}", out.display());
    Ok(())
}

fn parse(args: &[String]) -> Result<Options> {
    let mut options = Options::default();
    let mut words = args.iter();
    while let Some(flag) = words.next() {
        match flag.as_str() {
            "--quick" => options.quick = true,
            "--pack" => {
                options.pack = true;
                options.arch.get_or_insert_with(|| "90".into());
            }
            "--arch" => {
                let arch = words.next().filter(|arch| arch.parse::<u32>().is_ok());
                options.arch = Some(arch.ok_or("--arch needs a number, as 90 of sm_90")?.clone());
            }
            other => {
                return Err(format!(
                    "rivals gpu does not know {other}: give --quick, --pack or --arch N"
                ));
            }
        }
    }
    Ok(options)
}

/// `target/gpu-pack/wisp`: all that the script needs.
fn gather(rival: &Path) -> Result<PathBuf> {
    let folder = target().join("gpu-pack").join("wisp");
    std::fs::remove_dir_all(&folder).ok();
    let lib = folder.join("loader");
    std::fs::create_dir_all(&lib)
        .map_err(|cause| format!("cannot make {}: {cause}", lib.display()))?;
    // A bare machine needs no names of functions.
    run(Command::new("strip").arg("-o").arg(folder.join("wisp")).arg(wisp()))?;
    copy(&root().join("crates").join("xtask").join("rival").join("gpu.sh"), &folder)?;
    run(Command::new("cp").arg("-r").arg(rival).arg(&folder))?;
    if let Some(loader) = loader() {
        copy(&loader, &lib)?;
    }
    Ok(folder)
}

/// Vulkan's, for machines that have a driver and no loader.
fn loader() -> Option<PathBuf> {
    let known = output(Command::new("ldconfig").arg("-p"))
        .or_else(|_| output(Command::new("/sbin/ldconfig").arg("-p")))
        .ok()?;
    let line = known.lines().find(|line| line.contains("libvulkan.so.1 ("))?;
    Some(line.split_once("=> ")?.1.trim().into())
}

/// `target/gpu-pack/partN`, and what to do with them.
fn pack(folder: &Path) -> Result {
    let above = folder.parent().unwrap_or(folder);
    for old in std::fs::read_dir(above).into_iter().flatten().flatten() {
        if old.file_name().to_string_lossy().starts_with("part") {
            std::fs::remove_dir_all(old.path()).ok();
        }
    }
    // Nothing but tar and gzip is sure to be there.
    let archive = above.join("wisp.tar.gz");
    let tar = "tar -C \"$1\" -c wisp | gzip -9 > \"$2\"";
    run(Command::new("bash").args(["-c", tar, "tar"]).arg(above).arg(&archive))?;
    let bytes = std::fs::metadata(&archive).map_or(0, |data| data.len());
    let parts = bytes.div_ceil(PART << 20);
    let split = "split -b ${3}m -d -a 1 --numeric-suffixes=1 \"$1\" \"$2/piece\"
        for piece in \"$2\"/piece?; do n=${piece: -1}; mkdir \"$2/part$n\"
        mv \"$piece\" \"$2/part$n/\"; done; rm \"$1\"";
    run(Command::new("bash")
        .args(["-c", split, "split"])
        .args([&archive, above])
        .arg(PART.to_string()))?;
    println!(
        "{:.1} MiB in {parts} parts: {}/partN/pieceN",
        bytes as f64 / 1048576.0,
        above.display()
    );
    println!(
        "On a machine with a GPU, with every part in one folder, say PARTS:\n  \
         cat PARTS/part?/piece? | tar xz && bash wisp/gpu.sh OUT\n\
         If not all can be carried at once, first keep each there, in a folder that stays:\n  \
         mkdir -p KEPT && cp -r PARTS/part1 KEPT\n\
         It ends within 9 minutes (LIMIT=SECONDS for less), and OUT/summary.md has what there was \
         time for."
    );
    Ok(())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn flags_are_read_and_wrong_ones_named() {
        let words = |text: &str| text.split(' ').map(String::from).collect::<Vec<_>>();
        assert_eq!(parse(&words("--pack")).unwrap().arch.unwrap(), "90");
        assert_eq!(parse(&words("--pack --arch 120")).unwrap().arch.unwrap(), "120");
        assert!(parse(&words("--quick")).unwrap().quick);
        assert!(parse(&words("--arch hopper")).unwrap_err().contains("sm_90"));
        assert!(parse(&words("--speed")).unwrap_err().contains("--speed"));
    }
}
