//! `coop`: cooperative matrices without a GPU. Debian's next release has a lavapipe with them,
//! which needs the rest of that release: all of it goes into a folder of its own.

use crate::step::{Result, cargo, copy, output, root, run, step, target, wisp};
use crate::tasks::{self, MODEL, home, pull};
use std::path::{Path, PathBuf};
use std::process::Command;

/// Prompts by matrix products as on a GPU, with cooperative matrices or without.
const TUNE: &str = "matvec.up_to=8,matmul.coop_tokens=16,matmul.coop_rows=16,matmul.coop=";

/// Most that the mean negative log-likelihood of a text may change: weights are rounded once
/// more, by 2⁻¹¹ at most, as activations are.
const MOST: f64 = 2e-3;

/// What the model reads.
const TEXT: &str = "README.md";

/// The kernels' tests, the self-check's, and a whole model with and without.
pub fn check() -> Result {
    let sid = target().join("sid");
    step("a newer lavapipe", || debian(&sid))?;
    tasks::build()?;
    let model = step("model", || pull(&home(), MODEL))?;
    let files = sid.join("wisp");
    std::fs::create_dir_all(&files).map_err(|cause| format!("{}: {cause}", files.display()))?;
    for (package, of) in [("wisp-ops", "--tests"), ("wisp-runtime", "--lib")] {
        let test = step(package, || executable(package, of))?;
        copy(&test, &files.join(package))?;
        step("its tests", || run(inside(&sid, package).args(["cooperative", "--nocapture"])))?;
    }
    copy(&wisp(), &files.join("wisp"))?;
    copy(&model, &files.join("model.gguf"))?;
    copy(&root().join(TEXT), &files.join("text"))?;
    step("a model", || {
        let [with, without] = ["1", "0"].map(|coop| likelihood(&sid, coop));
        let (with, without) = (with?, without?);
        println!("mean NLL: {with:.6} with cooperative matrices, {without:.6} without");
        let same = (with - without).abs() <= MOST;
        if same { Ok(()) } else { Err(format!("they differ by more than {MOST}")) }
    })
}

/// Debian unstable, with what Vulkan needs; made once.
fn debian(sid: &Path) -> Result {
    if sid.join("usr").join("share").join("vulkan").join("icd.d").is_dir() {
        return Ok(());
    }
    let packages = "--include=libvulkan1,mesa-vulkan-drivers";
    let mut command = Command::new("debootstrap");
    command.args(["--variant=minbase", packages, "sid"]).arg(sid).args(mirror());
    run(&mut command).map_err(|why| format!("{why} (it needs root, and the package debootstrap)"))
}

/// Where this system takes its own packages from; without it debootstrap asks Debian's servers.
fn mirror() -> Option<String> {
    let flags = ["indextargets", "--format", "$(REPO_URI)"];
    let said = output(Command::new("apt-get").args(flags)).ok()?;
    let debian = |address: &&str| address.trim_end_matches('/').ends_with("/debian");
    said.lines().find(debian).map(str::to_owned)
}

/// The test program of a package, built.
fn executable(package: &str, of: &str) -> Result<PathBuf> {
    let flags = ["test", "--release", "--no-run", "--message-format=json", "-p", package, of];
    let said = output(cargo().args(flags))?;
    let found = said.lines().filter_map(|line| {
        let (_, rest) = line.split_once("\"executable\":\"")?;
        rest.split_once('"').map(|(path, _)| path)
    });
    // Of several, the one with the kernels' tests.
    let mut found: Vec<_> = found.collect();
    found.sort_by_key(|path| !path.contains("kernels"));
    found.first().map(PathBuf::from).ok_or_else(|| format!("{package} has no tests"))
}

/// A program of `files`, run with the other system's libraries.
fn inside(sid: &Path, program: &str) -> Command {
    let mut command = Command::new("chroot");
    command.arg(sid).arg(format!("/wisp/{program}"));
    command.env("XDG_RUNTIME_DIR", "/wisp").env("WISP_HOME", "/wisp/home");
    command
}

fn likelihood(sid: &Path, coop: &str) -> Result<f64> {
    let tune = format!("--tune={TUNE}{coop}");
    let args = ["perplexity", "/wisp/model.gguf", "--text-file=/wisp/text", "--json", &tune];
    let said = output(inside(sid, "wisp").args(args))?;
    let mean = said.split_once("\"mean_nll\":").map(|(_, rest)| rest);
    let mean = mean.and_then(|rest| rest.split([',', '}']).next()?.trim().parse().ok());
    mean.ok_or_else(|| format!("wisp perplexity said {said:?}"))
}
