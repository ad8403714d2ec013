//! Mesa's drivers, on stubbed kernel drivers (mesa-drm-shim), compile what was linked.

use super::aco::{self, Loads};
use super::kernels::Kernel;
use crate::sid;
use crate::step::Result;
use std::collections::HashMap;
use std::fs::File;
use std::path::Path;
use std::process::Stdio;
use std::sync::Mutex;

/// Which of Mesa's drivers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Driver {
    Radv,
    Nvk,
    Honeykrisp,
    Turnip,
}

/// A driver with the GPU that it compiles for.
#[derive(Debug, Clone, Copy)]
pub struct Device {
    pub name: &'static str,
    pub driver: Driver,
    /// The environment variable that chooses the GPU.
    chip: Option<(&'static str, &'static str)>,
    /// Compiles the kernels of tests as well: one GPU of each driver does.
    pub cases: bool,
}

/// All of them.
pub const DEVICES: [Device; 7] = {
    const fn of(
        name: &'static str,
        driver: Driver,
        chip: Option<(&'static str, &'static str)>,
        cases: bool,
    ) -> Device {
        Device { name, driver, chip, cases }
    }
    const AMD: &str = "AMDGPU_GPU_ID";
    const NVIDIA: &str = "NOUVEAU_CHIPSET";
    [
        of("RADV navi21", Driver::Radv, Some((AMD, "navi21")), false),
        of("RADV navi31", Driver::Radv, Some((AMD, "navi31")), true),
        of("RADV gfx1201", Driver::Radv, Some((AMD, "gfx1201")), false),
        of("NVK Ada", Driver::Nvk, Some((NVIDIA, "192")), true),
        of("NVK Blackwell", Driver::Nvk, Some((NVIDIA, "1b2")), false),
        of("Honeykrisp M1", Driver::Honeykrisp, None, true),
        of("Turnip 740", Driver::Turnip, Some(("FD_GPU_ID", "740")), true),
    ]
};

impl Device {
    /// The kernels of which of the linker's adapters are for it.
    pub fn adapter(&self) -> &'static str {
        match self.driver {
            // RDNA 2 has no cooperative matrices.
            Driver::Radv if self.name.ends_with("navi21") => "amd rdna2",
            Driver::Radv => "amd",
            Driver::Nvk => "nvidia",
            Driver::Honeykrisp => "apple",
            Driver::Turnip => "adreno",
        }
    }
}

impl Driver {
    /// The shim's and the driver's names in Debian.
    fn files(self) -> (&'static str, &'static str) {
        match self {
            Self::Radv => ("amdgpu", "radeon"),
            Self::Nvk => ("nouveau", "nouveau"),
            Self::Honeykrisp => ("asahi", "asahi"),
            Self::Turnip => ("freedreno", "freedreno"),
        }
    }

    /// What registers and waves are called there.
    pub fn words(self) -> (&'static str, &'static str) {
        match self {
            Self::Radv => ("VGPRs", "waves per SIMD"),
            Self::Nvk => ("GPRs", "warps per SM"),
            Self::Honeykrisp => ("GPRs", "threads per core"),
            Self::Turnip => ("registers", "waves per core"),
        }
    }
}

/// What a compiler says of a kernel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Figures {
    pub registers: u32,
    pub spills: u32,
    pub waves: u32,
    pub instructions: u32,
    /// Of RADV's code only.
    pub loads: Option<Loads>,
}

/// A kernel by its number, with its figures or why there are none.
pub struct Compiled {
    pub number: String,
    pub figures: std::result::Result<Figures, String>,
    pub assembly: String,
}

/// How to compile.
#[derive(Debug, Clone, Copy)]
pub struct Flags {
    /// With checks of bounds by the device.
    pub robust: bool,
    /// Keep the assembly.
    pub assembly: bool,
}

/// Kernels that a process compiles.
const BATCH: usize = 200;

/// Compiles the kernels of each device, several at once; also Mesa's version.
pub fn all(
    sid: &Path,
    jobs: &[(Device, Vec<&Kernel>)],
    flags: Flags,
) -> Result<(Vec<Vec<Compiled>>, String)> {
    let batches: Vec<(usize, usize, &[&Kernel])> = jobs
        .iter()
        .enumerate()
        .flat_map(|(job, (_, kernels))| {
            kernels.chunks(BATCH).enumerate().map(move |(at, part)| (job, at, part))
        })
        .collect();
    let waiting = Mutex::new(batches.into_iter());
    let done = Mutex::new(Vec::new());
    let next = || waiting.lock().ok().and_then(|mut waiting| waiting.next());
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                while let Some((job, at, kernels)) = next() {
                    let compiled = batch(sid, jobs[job].0, at, kernels, flags);
                    if let Ok(mut done) = done.lock() {
                        done.push((job, at, compiled));
                    }
                }
            });
        }
    });
    let mut done = done.into_inner().map_err(|_| "a thread panicked")?;
    done.sort_by_key(|(job, at, _)| (*job, *at));
    let mut all: Vec<Vec<Compiled>> = jobs.iter().map(|_| Vec::new()).collect();
    let mut mesa = String::new();
    for (job, _, compiled) in done {
        let (compiled, version) = compiled?;
        all[job].extend(compiled);
        mesa = version;
    }
    Ok((all, mesa))
}

/// Compiles some kernels; where the compiler crashes, goes on behind that kernel.
fn batch(
    sid: &Path,
    device: Device,
    at: usize,
    mut kernels: &[&Kernel],
    flags: Flags,
) -> Result<(Vec<Compiled>, String)> {
    let list = sid::files(sid).join(format!("{}-{at}.list", device.name.replace(' ', "-")));
    let cannot = |cause| format!("{}: {cause}", list.display());
    let mut compiled = Vec::new();
    let mut mesa = String::new();
    while !kernels.is_empty() {
        let lines: String =
            kernels.iter().map(|of| format!("{}\t{}\n", of.number, of.bindings)).collect();
        std::fs::write(&list, lines).map_err(cannot)?;
        let (shim, icd) = device.driver.files();
        let shim = format!("lib{shim}_noop_drm_shim.so");
        let mut command = sid::inside(sid, "pipelines");
        command
            .env("LD_PRELOAD", Path::new("/").join(sid::libraries()).join(shim))
            .env("VK_DRIVER_FILES", format!("/usr/share/vulkan/icd.d/{icd}_icd.json"))
            .env("MESA_SHADER_CACHE_DISABLE", "true")
            .envs(device.chip)
            .stdin(File::open(&list).map_err(cannot)?)
            .stderr(Stdio::null());
        if flags.robust {
            command.arg("--robust");
        }
        if flags.assembly || device.driver == Driver::Radv {
            command.arg("--assembly");
        }
        let output = command
            .arg("/wisp/kernels")
            .output()
            .map_err(|cause| format!("cannot start chroot: {cause}"))?;
        let (version, mut part) = read(device, &String::from_utf8_lossy(&output.stdout));
        if version.is_empty() {
            return Err(format!("{} has no device: {}", device.name, output.status));
        }
        mesa = version;
        if part.len() < kernels.len() && output.status.success() {
            return Err(format!("{}: kernels are missing in what it printed", device.name));
        }
        if !output.status.success() {
            let Some(last) = part.last_mut() else {
                return Err(format!("{} ends before any kernel: {}", device.name, output.status));
            };
            last.figures = Err(format!("its compiler ends with {}", output.status));
        }
        kernels = &kernels[part.len()..];
        compiled.extend(part);
    }
    std::fs::remove_file(&list).map_err(cannot)?;
    Ok((compiled, mesa))
}

/// What `crates/gpu/examples/pipelines.rs` prints: Mesa's version, and each kernel that was begun.
fn read(device: Device, said: &str) -> (String, Vec<Compiled>) {
    let mut version = String::new();
    let mut all: Vec<Compiled> = Vec::new();
    let mut lines = said.lines();
    while let Some(line) = lines.next() {
        let (word, rest) = line.split_once(['\t', ' ']).unwrap_or((line, ""));
        match (word, all.last_mut()) {
            ("device", _) => version = rest.split('\t').nth(1).unwrap_or_default().to_owned(),
            ("begin", _) => all.push(Compiled {
                number: rest.to_owned(),
                figures: Err("nothing was said of it".into()),
                assembly: String::new(),
            }),
            ("done", Some(last)) => last.figures = figures(device.driver, rest),
            ("failed", Some(last)) => last.figures = Err(rest.to_owned()),
            ("begin-text", Some(last)) => {
                let text: Vec<_> = lines.by_ref().take_while(|line| *line != "end-text").collect();
                last.assembly = text.join("\n");
                if let (Driver::Radv, Ok(figures)) = (device.driver, &mut last.figures) {
                    figures.loads = Some(aco::loads(&last.assembly));
                }
            }
            _ => {}
        }
    }
    (version, all)
}

/// Figures out of statistics, each of which has another name in each driver.
fn figures(driver: Driver, statistics: &str) -> std::result::Result<Figures, String> {
    let all: HashMap<&str, u32> = statistics
        .split('\t')
        .filter_map(|one| one.split_once('='))
        .filter_map(|(name, value)| Some((name, value.parse::<f64>().ok()? as u32)))
        .collect();
    let of = |name: &str| {
        all.get(name).copied().ok_or_else(|| format!("{name:?} is not among its statistics"))
    };
    Ok(match driver {
        Driver::Radv => Figures {
            registers: of("VGPRs")?,
            spills: of("Spilled SGPRs")? + of("Spilled VGPRs")?,
            // Counted in subgroups of 32, of which one of 64 is two.
            waves: of("Subgroups per SIMD")? * 32 / of("subgroup")?.max(32),
            instructions: of("Instructions")?,
            loads: None,
        },
        Driver::Nvk => Figures {
            registers: of("Number of GPRs")?,
            spills: of("Spills to memory")?,
            waves: of("Max warps/SM")?,
            instructions: of("Instruction count")?,
            loads: None,
        },
        Driver::Honeykrisp => Figures {
            registers: of("GPRs")?,
            spills: of("Spills")?,
            waves: of("Threads")?,
            instructions: of("Instructions")?,
            loads: None,
        },
        Driver::Turnip => Figures {
            registers: of("Registers used")?,
            spills: of("STP Count")?,
            waves: of("Max Waves Per Core")?,
            instructions: of("Instruction Count")?,
            loads: None,
        },
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn statistics_are_read_by_their_names() {
        let said = "device\tAMD\tMesa 26.2.6-1\t32\t64\t65536\n\
                    begin 00007\n\
                    done\tsubgroup=64\tVGPRs=72\tSpilled SGPRs=0\tSpilled VGPRs=3\t\
                    Subgroups per SIMD=20\tInstructions=732\n\
                    begin-text Assembly\nBB0:\nbuffer_load_b32 v1, v2 ; 00\n\
                    s_waitcnt vmcnt(0) ; 00\nend-text\n\
                    begin 00009\nfailed\tOUT_OF_HOST_MEMORY\nbegin 00010\n";
        let (version, all) = read(DEVICES[1], said);
        assert_eq!(version, "Mesa 26.2.6-1");
        let numbers: Vec<_> = all.iter().map(|one| one.number.as_str()).collect();
        assert_eq!(numbers, ["00007", "00009", "00010"]);
        let figures = all[0].figures.clone().unwrap();
        assert_eq!((figures.registers, figures.spills, figures.waves), (72, 3, 10));
        assert_eq!(figures.loads, Some(Loads { first: 1, bytes: 4, waits: 1 }));
        assert_eq!(all[1].figures, Err("OUT_OF_HOST_MEMORY".into()));
        assert!(all[2].figures.is_err());
    }
}
