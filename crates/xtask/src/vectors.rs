//! Fetches llama.cpp's tokenizer vectors (vocabularies, texts and ids) and chat templates out of the
//! source package of llama-cpp-python, by pip. Kept under the target folder.

use crate::built;
use crate::step::{Result, cargo, output, root, run, target, wisp};
use std::path::{Path, PathBuf};
use std::process::Command;

const NAME: &str = "llama_cpp_python-0.3.36";
const SHA256: &str = "832db0699007f1be95a7e41ef12e88926b02ba836461e36a36372db2760c1a2e";

/// Fetches what is not here yet, and runs the tests that read it.
pub fn compare() -> Result {
    fetch_all()?;
    run(cargo().args(["test", "--release", "-p", "wisp-tokenizer", "--test", "llama_cpp"]).args([
        "--test",
        "templates",
        "--",
        "--ignored",
        "--nocapture",
    ]))
}

/// Of llama.cpp's vocabularies these do not say how they split text.
const UNNAMED: [&str; 2] = ["ggml-vocab-aquila.gguf", "ggml-vocab-gpt-neox.gguf"];

/// How many strings each vocabulary is compared on.
const STRINGS: &str = "10000";

/// Compares `wisp tokenize` with Hugging Face's tokenizers on generated strings: llama.cpp's
/// vocabularies, and `models`. WISP_PYTHON has the packages that the script names.
pub fn strings(models: &[String]) -> Result {
    fetch_all()?;
    built::build()?;
    let folder = target().join("tmp/llama.cpp-models");
    let entries = std::fs::read_dir(&folder)
        .map_err(|e| format!("cannot read {}: {e}", folder.display()))?
        .filter_map(|entry| Some(entry.ok()?.path()));
    let is_named = |path: &PathBuf| {
        let name = path.file_name().unwrap_or_default();
        path.extension().is_some_and(|end| end == "gguf") && UNNAMED.iter().all(|no| name != *no)
    };
    let mut all: Vec<PathBuf> = entries.filter(is_named).collect();
    all.sort();
    all.extend(models.iter().map(PathBuf::from));
    let python = std::env::var_os("WISP_PYTHON").unwrap_or_else(|| "python3".into());
    let script = root().join("crates/tokenizer/tests/data/strings.py");
    run(Command::new(python).arg(script).arg(wisp()).arg(STRINGS).args(all))
}

fn fetch_all() -> Result {
    let temporary = target().join("tmp");
    let models = temporary.join("llama.cpp-models");
    if models.join("complete").is_file() {
        eprintln!("vectors: llama.cpp's are here");
        return Ok(());
    }
    let package = fetch(&temporary)?;
    std::fs::create_dir_all(&models)
        .map_err(|e| format!("cannot make {}: {e}", models.display()))?;
    // Its folder is vendor/llama.cpp/models; templates are in a folder within.
    run(Command::new("tar")
        .arg("-xzf")
        .arg(&package)
        .arg("-C")
        .arg(&models)
        .args(["--strip-components=4".to_string(), format!("{NAME}/vendor/llama.cpp/models")]))?;
    std::fs::write(models.join("complete"), SHA256)
        .map_err(|e| format!("cannot write into {}: {e}", models.display()))
}

fn fetch(folder: &Path) -> Result<PathBuf> {
    let package = folder.join(format!("{NAME}.tar.gz"));
    if !package.is_file() {
        std::fs::create_dir_all(folder)
            .map_err(|e| format!("cannot make {}: {e}", folder.display()))?;
        let args = ["-m", "pip", "download", "--no-deps", "--no-binary", ":all:", "-d"];
        run(Command::new("python3").args(args).arg(folder).arg("llama-cpp-python==0.3.36"))?;
    }
    let script =
        "import hashlib,sys;print(hashlib.sha256(open(sys.argv[1],'rb').read()).hexdigest())";
    let found = output(Command::new("python3").args(["-c", script]).arg(&package))?;
    if found.trim() != SHA256 {
        return Err(format!(
            "{} is not what it should be (SHA-256 {}): delete it and try again",
            package.display(),
            found.trim()
        ));
    }
    Ok(package)
}
