//! `rivals browser`: the npm package beside transformers.js and wllama, in one headless
//! Chromium on its software adapter, in turns.

use crate::step::{Result, output, root, run, step, target};
use crate::{built, web};
use std::path::{Path, PathBuf};
use std::process::Command;

/// The rivals, and what drives the browser.
const PACKAGES: [(&str, &str); 3] = [
    ("@huggingface/transformers", "4.3.1"),
    ("@wllama/wllama", "3.8.1"),
    ("playwright-core", "1.65.1"),
];

/// What was asked for.
#[derive(Debug, PartialEq, Eq)]
struct Options {
    model: Option<PathBuf>,
    /// The model for transformers.js, where it need not be made.
    onnx: Option<PathBuf>,
    rounds: usize,
}

/// Runs the comparison and prints its tables.
pub fn compare(args: &[String]) -> Result {
    let options = parse(args)?;
    output(Command::new("node").arg("--version"))
        .map_err(|why| format!("{why}; this needs Node.js 20 or later with npm"))?;
    let chromium =
        web::chromium()?.ok_or("set WISP_CHROMIUM to the path of a Chromium to compare in")?;
    let model = match options.model {
        Some(model) => model,
        None => built::build().and_then(|()| built::pull(&built::home(), built::MODEL))?,
    };
    let folder = target().join("rival-browser");
    step("the rivals", || install(&folder))?;
    let onnx = match options.onnx {
        Some(onnx) => onnx,
        None => step("the model as ONNX", || make_onnx(&folder, &model))?,
    };
    // What is there is measured: whoever changes it builds it.
    let package = root().join("web").join("ts").join("dist");
    if !package.join("index.js").is_file() {
        web::build()?;
    }
    let paths = [
        ("modules", &folder),
        ("pkg", &package),
        ("model", &model),
        ("onnx", &onnx),
        ("chromium", &chromium),
    ];
    let mut node = Command::new("node");
    node.arg(scripts().join("bench.mjs")).arg(options.rounds.to_string());
    for (name, path) in paths {
        let whole =
            path.canonicalize().map_err(|cause| format!("no {}: {cause}", path.display()))?;
        node.arg(format!("{name}={}", whole.display()));
    }
    step("rounds", || run(&mut node))
}

fn parse(args: &[String]) -> Result<Options> {
    let mut options = Options { model: None, onnx: None, rounds: 3 };
    let mut words = args.iter();
    while let Some(flag) = words.next() {
        let value = words.next().ok_or_else(|| format!("{flag} needs a value"))?;
        match flag.as_str() {
            "--model" => options.model = Some(value.into()),
            "--onnx" => options.onnx = Some(value.into()),
            "--rounds" => {
                let count = value.parse().ok().filter(|count| *count > 0);
                options.rounds = count
                    .ok_or_else(|| format!("{flag} {value}: give a whole number from 1 on"))?;
            }
            _ => return Err(format!("rivals browser does not know {flag}")),
        }
    }
    Ok(options)
}

fn scripts() -> PathBuf {
    root().join("crates").join("xtask").join("rival").join("browser")
}

/// The rivals' packages; downloaded once.
fn install(folder: &Path) -> Result {
    let modules = folder.join("node_modules");
    if PACKAGES.iter().all(|(name, _)| modules.join(name).join("package.json").is_file()) {
        return Ok(());
    }
    std::fs::create_dir_all(folder)
        .and_then(|()| std::fs::write(folder.join("package.json"), "{\"private\":true}\n"))
        .map_err(|cause| format!("cannot write {}: {cause}", folder.display()))?;
    // Scripts and optional packages are for Node, not for browsers.
    let flags = ["install", "--ignore-scripts", "--omit=optional", "--no-audit", "--no-fund"];
    let pinned = PACKAGES.map(|(name, version)| format!("{name}@{version}"));
    run(web::npm().current_dir(folder).args(flags).args(pinned))
}

/// Makes the model that transformers.js reads, once for each file name, in a Python of its own.
fn make_onnx(folder: &Path, model: &Path) -> Result<PathBuf> {
    let name = model.file_stem().ok_or_else(|| format!("{} is no file", model.display()))?;
    let onnx = folder.join("onnx").join(name);
    if onnx.join("onnx").join("model_q4.onnx").is_file() {
        return Ok(onnx);
    }
    let python = python(folder)?;
    let made = run(Command::new(python).arg(scripts().join("make_onnx.py")).args([model, &onnx]));
    made.map_err(|why| format!("{why}; a model made elsewhere can be given with --onnx FOLDER"))?;
    Ok(onnx)
}

/// A virtual environment with what `requirements.txt` names; made once.
fn python(folder: &Path) -> Result<PathBuf> {
    let venv = folder.join("venv");
    let python = if cfg!(windows) {
        venv.join("Scripts").join("python.exe")
    } else {
        venv.join("bin").join("python")
    };
    let complete = venv.join("complete");
    if complete.is_file() {
        return Ok(python);
    }
    let system = if cfg!(windows) { "python" } else { "python3" };
    run(Command::new(system).args(["-m", "venv"]).arg(&venv))
        .map_err(|why| format!("{why}; the ONNX model needs Python 3.11 or later with venv"))?;
    let requirements = scripts().join("requirements.txt");
    run(Command::new(&python).args(["-m", "pip", "install", "-q", "-r"]).arg(requirements))?;
    std::fs::write(&complete, "").map_err(|cause| format!("cannot write to the venv: {cause}"))?;
    Ok(python)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn flags_are_read_and_wrong_ones_named() {
        let words = |text: &str| text.split(' ').map(String::from).collect::<Vec<_>>();
        assert_eq!(parse(&words("--rounds 5 --onnx o")).unwrap().rounds, 5);
        assert!(parse(&words("--rounds 0")).unwrap_err().contains("from 1 on"));
        assert!(parse(&words("--onnx")).unwrap_err().contains("needs a value"));
        assert!(parse(&words("--speed 1")).unwrap_err().contains("--speed"));
    }
}
