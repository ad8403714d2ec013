//! `coop`: cooperative matrices without a GPU. Debian's next release has a lavapipe with them.

use crate::built::{self, MODEL, home, pull};
use crate::sid::{self, inside};
use crate::step::{Result, cargo, copy, output, root, run, step, wisp};
use std::path::{Path, PathBuf};

/// Prompts by matrix products as on a GPU, with cooperative matrices or without.
const TUNE: &str = "matvec.up_to=8,matmul.coop_tokens=16,matmul.coop_rows=16,matmul.coop=";

/// Most that the mean negative log-likelihood of a text may change: weights are rounded once
/// more, by 2⁻¹¹ at most, as activations are.
const MOST: f64 = 2e-3;

/// What the model reads.
const TEXT: &str = "README.md";

/// The kernels' tests, the self-check's, and a whole model with and without.
pub fn check() -> Result {
    let sid = step("a newer lavapipe", sid::folder)?;
    built::build()?;
    let model = step("model", || pull(&home(), MODEL))?;
    let files = sid::files(&sid);
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

fn likelihood(sid: &Path, coop: &str) -> Result<f64> {
    let tune = format!("--tune={TUNE}{coop}");
    let args = ["perplexity", "/wisp/model.gguf", "--text-file=/wisp/text", "--json", &tune];
    let said = output(inside(sid, "wisp").args(args))?;
    let mean = said.split_once("\"mean_nll\":").map(|(_, rest)| rest);
    let mean = mean.and_then(|rest| rest.split([',', '}']).next()?.trim().parse().ok());
    mean.ok_or_else(|| format!("wisp perplexity said {said:?}"))
}
