//! Tests of what browsers get: the packages' own, then all of it in Chromium.

use super::{build, folder, install, npm};
use crate::step::{Result, run, step, wisp};
use crate::{built, setup};
use std::path::{Path, PathBuf};
use std::process::Command;

/// Where Debian and Ubuntu put it.
const CHROMIUM: &str = "/usr/bin/chromium";

/// Builds everything for browsers and tests it with the model at `model`.
pub fn test(model: &Path) -> Result {
    build()?;
    step("download sizes", super::sizes::check)?;
    for name in ["ts", "chat"] {
        step(&format!("web/{name}: tests"), || {
            run(npm().current_dir(folder(name)).args(["run", "test"]))
        })?;
    }
    step("web/ts: types", || run(npm().current_dir(folder("ts")).args(["run", "check"])))?;
    let Some(chromium) = step("browser", chromium)? else { return Ok(()) };
    step("web/test: tests in Chromium", || run(&mut suite(&chromium, model)?))
}

/// The browser's tests, to be run with the model at `model`.
fn suite(chromium: &Path, model: &Path) -> Result<Command> {
    let folder = folder("test");
    install(&folder)?;
    run(npm().current_dir(&folder).args(["run", "check"]))?;
    let mut test = npm();
    test.current_dir(&folder)
        .args(["run", "test"])
        .env("WISP_CHROMIUM", chromium)
        .env("WISP_TEST_MODEL", model)
        .env("WISP_BIN", wisp());
    Ok(test)
}

/// Larger models than SmolLM2, in Chromium.
pub fn models() -> Result {
    step("set-up", setup::run)?;
    step("build", built::build)?;
    build()?;
    let home = built::home();
    let small = step("model", || built::pull(&home, built::MODEL))?;
    let mut folder = None;
    for name in ["gemma3-270m", "qwen2.5-coder-1.5b"] {
        let path = step(name, || built::pull(&home, name))?;
        folder = path.parent().map(Path::to_path_buf);
    }
    let Some(chromium) = step("browser", chromium)? else { return Ok(()) };
    step("web/test: larger models in Chromium", || {
        let mut test = suite(&chromium, &small)?;
        run(test.env("WISP_TEST_MODELS", folder.unwrap_or_default()))
    })
}

/// The Chromium to test in; installs Debian's. `None`, and a sentence, where the system's
/// package manager is another.
pub fn chromium() -> Result<Option<PathBuf>> {
    let named = std::env::var_os("WISP_CHROMIUM").filter(|named| !named.is_empty());
    if let Some(named) = named.map(PathBuf::from) {
        if !named.is_file() {
            return Err(format!("WISP_CHROMIUM is {}, where there is no file", named.display()));
        }
        return Ok(Some(named));
    }
    if !cfg!(target_os = "linux") {
        eprintln!("NOT TESTED in a browser: set WISP_CHROMIUM to the path of a Chromium to do so");
        return Ok(None);
    }
    if !Path::new(CHROMIUM).is_file() {
        setup::apt_install(&["chromium"]).map_err(|why| {
            format!(
                "there is no Chromium to test in: install one and set WISP_CHROMIUM to its path, \
                 then try again ({why})"
            )
        })?;
    }
    Ok(Some(CHROMIUM.into()))
}
