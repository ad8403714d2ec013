//! `rivals gpu`: what a machine with a GPU is asked. A script does it, for a bare machine that
//! has nothing but the `wisp` binary and the script; here it is built and run on what is there.

use crate::step::{Result, root, run, step, target, wisp};
use crate::{setup, tasks};
use std::process::Command;

/// Builds, and runs `rival/gpu.sh`; `--quick` measures a small model in place of large ones.
pub fn compare(args: &[String]) -> Result {
    let quick = match args {
        [] => false,
        [flag] if flag == "--quick" => true,
        other => return Err(format!("rivals gpu does not know {}: give --quick", other.join(" "))),
    };
    setup::run()?;
    tasks::build()?;
    let out = target().join("gpu");
    let script = root().join("crates").join("xtask").join("rival").join("gpu.sh");
    step("the adapter's rows", || {
        let mut bash = Command::new("bash");
        bash.arg(script).arg(wisp()).arg(&out);
        run(bash.env("QUICK", if quick { "1" } else { "" }))
    })?;
    println!("results: {}", out.display());
    Ok(())
}
