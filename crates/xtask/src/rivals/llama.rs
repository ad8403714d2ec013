//! llama.cpp, built by others: its libraries out of npm packages, and a program of ours on its
//! C interface (`rival/llama.c`), since a language between would be measured too.

use crate::step::{Result, copy, output, root, run, target};
use std::path::{Path, PathBuf};
use std::process::Command;

/// Its backends, by the packages that hold them.
pub const BACKENDS: [(&str, &str); 3] = [
    ("vulkan", "@node-llama-cpp/linux-x64-vulkan"),
    ("cpu", "@node-llama-cpp/linux-x64"),
    ("cuda", "@node-llama-cpp/linux-x64-cuda"),
];

/// Of the packages; llama.cpp's own is `v0.5.0`.
const VERSION: &str = "3.22.1";

/// With ptxas of the CUDA that the package was built with.
const CUDA_TOOLS: [&str; 2] = ["nvidia-cuda-nvcc==13.1.115", "zstandard==0.25.0"];

/// `llama` and its libraries, a backend in a folder of its own; made once. With `arch` CUDA's
/// machine code is that of one kind of GPU, 90 for Hopper's.
pub fn install(backends: &[&str], arch: Option<&str>) -> Result<PathBuf> {
    let folder = target().join("rival");
    let modules = download(&folder, backends)?;
    let made = folder.join("llama");
    let bins = |(name, package): (&str, &str)| {
        let end = if name == "cpu" { String::new() } else { format!("-{name}") };
        modules.join(package).join("bins").join(format!("linux-x64{end}"))
    };
    // Every package has llama.cpp itself and its CPU backend.
    let common = bins(BACKENDS[1]);
    std::fs::create_dir_all(&made).map_err(|cause| cannot(&made, &cause))?;
    for file in files(&common)? {
        if file.extension().is_some_and(|end| end == "so") {
            copy(&file, &made)?;
        }
    }
    for backend in BACKENDS.iter().filter(|(name, _)| *name != "cpu" && backends.contains(name)) {
        let library = format!("libggml-{}.so", backend.0);
        let (from, to) = (bins(*backend).join(&library), made.join(backend.0));
        std::fs::create_dir_all(&to).map_err(|cause| cannot(&to, &cause))?;
        match arch.filter(|_| backend.0 == "cuda") {
            Some(arch) => one_architecture(&folder, &from, &to, arch)?,
            None => copy(&from, &to)?,
        }
    }
    compile(&modules, &made)?;
    Ok(made)
}

/// The packages; those of the CPU are needed by all.
fn download(folder: &Path, backends: &[&str]) -> Result<PathBuf> {
    let modules = folder.join("node_modules");
    let wanted = BACKENDS.iter().filter(|(name, _)| *name == "cpu" || backends.contains(name));
    let packages: Vec<&str> =
        std::iter::once("node-llama-cpp").chain(wanted.map(|(_, package)| *package)).collect();
    if packages.iter().all(|package| modules.join(package).join("package.json").is_file()) {
        return Ok(modules);
    }
    std::fs::create_dir_all(folder)
        .and_then(|()| std::fs::write(folder.join("package.json"), "{\"private\":true}\n"))
        .map_err(|cause| cannot(folder, &cause))?;
    // Scripts would build llama.cpp; optional packages are those of other platforms.
    let mut npm = crate::web::npm();
    npm.current_dir(folder).args(["install", "--ignore-scripts", "--omit=optional"]);
    npm.args(["--no-audit", "--no-fund"]);
    npm.args(packages.iter().map(|package| format!("{package}@{VERSION}")));
    run(&mut npm).map_err(|why| format!("{why}; the rivals need Node.js with npm"))?;
    Ok(modules)
}

/// `llama` out of `rival/llama.c`, with the header that `node-llama-cpp` carries.
fn compile(modules: &Path, made: &Path) -> Result {
    let source = root().join("crates").join("xtask").join("rival").join("llama.c");
    let headers = made.with_file_name("headers");
    if !headers.join("include").join("llama.h").is_file() {
        let bundle = modules.join("node-llama-cpp").join("llama").join("gitRelease.bundle");
        std::fs::remove_dir_all(&headers).ok();
        run(Command::new("git").args(["clone", "-q", "--no-checkout"]).arg(bundle).arg(&headers))?;
        let git = ["checkout", "-q", "HEAD", "--", "include", "ggml/include"];
        run(Command::new("git").arg("-C").arg(&headers).args(git))?;
    }
    let named = |part: &str| {
        let all = files(made)?;
        let is_it = |name: &str| name.starts_with(part) && name.ends_with(".so");
        let mut names = all.iter().filter_map(|file| file.file_name()?.to_str());
        let found = names.find(|name| is_it(name)).map(|name| format!("-l:{name}"));
        found.ok_or_else(|| format!("the package has no {part}*.so"))
    };
    run(Command::new("cc")
        .args(["-O2", "-Wall", "-Wextra", "-o"])
        .arg(made.join("llama"))
        .arg(source)
        .arg(format!("-I{}", headers.join("include").display()))
        .arg(format!("-I{}", headers.join("ggml").join("include").display()))
        .arg(format!("-L{}", made.display()))
        .args([named("libllama.v")?, named("libggml.v")?, named("libggml-base")?])
        .args(["-Wl,-rpath,$ORIGIN", "-Wl,--allow-shlib-undefined"]))
    .map_err(|why| format!("{why}; the rivals need a C compiler"))
}

/// CUDA's library with the machine code of one architecture; made once.
fn one_architecture(folder: &Path, from: &Path, to: &Path, arch: &str) -> Result {
    let out = to.join("libggml-cuda.so");
    let done = to.join("architecture");
    if out.is_file() && std::fs::read_to_string(&done).is_ok_and(|known| known == arch) {
        return Ok(());
    }
    let venv = folder.join("venv");
    let python = venv.join("bin").join("python");
    run(Command::new("python3").args(["-m", "venv"]).arg(&venv))
        .map_err(|why| format!("{why}; CUDA's library is made with Python 3 and its venv"))?;
    run(Command::new(&python).args(["-m", "pip", "install", "-q"]).args(CUDA_TOOLS))?;
    let place = "import nvidia.cu13 as tools; print(*tools.__path__)";
    let tools = output(Command::new(&python).args(["-c", place]))?;
    run(Command::new(&python)
        .arg(root().join("crates").join("xtask").join("rival").join("cuda.py"))
        .args([from, &Path::new(tools.trim()).join("bin"), &out])
        .arg(arch))?;
    std::fs::write(&done, arch).map_err(|cause| cannot(&done, &cause))
}

fn files(folder: &Path) -> Result<Vec<PathBuf>> {
    let entries = std::fs::read_dir(folder).map_err(|cause| cannot(folder, &cause))?;
    Ok(entries.filter_map(|entry| Some(entry.ok()?.path())).collect())
}

fn cannot(path: &Path, cause: &std::io::Error) -> String {
    format!("cannot use {}: {cause}", path.display())
}
