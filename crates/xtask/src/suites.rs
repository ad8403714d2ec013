//! `suites`: tests that take long, or need what only a package index has. Their last results are
//! in `tests/clients/README.md`.

use crate::step::{Result, root, run, step, target, wisp};
use crate::{built, setup};
use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

/// The model that answers, and the one that gives vectors.
const MODELS: [&str; 2] = [built::MODEL, "minilm"];

/// Runs a suite.
pub fn suites(args: &[String]) -> Result {
    let words: Vec<&str> = args.iter().map(String::as_str).collect();
    match words.as_slice() {
        ["clients"] => clients(),
        ["load", rest @ ..] => load(rest),
        _ => Err("name a suite: clients, or load [SECONDS] [CLIENTS]".into()),
    }
}

/// Clients of other people's, unchanged, against `wisp serve`.
fn clients() -> Result {
    let python = step("Python's clients", python)?;
    let modules = step("JavaScript's clients", modules)?;
    let server = Server::start(&[])?;
    let asked = |mut command: Command| {
        command.arg(&server.url).args(MODELS);
        command
    };
    let mut command = Command::new(python);
    command.arg(scripts().join("clients.py"));
    step("clients in Python", || run(&mut asked(command)))?;
    let mut command = Command::new("node");
    command.arg(modules.join("clients.mjs"));
    step("clients in JavaScript", || run(&mut asked(command)))
}

/// Many clients at once, some of which go away.
fn load(args: &[&str]) -> Result {
    let python = step("Python's clients", python)?;
    let server = Server::start(&["--parallel", "16", "--ctx", "2048"])?;
    let mut command = Command::new(python);
    command.arg(scripts().join("load.py")).arg(&server.url).arg(built::MODEL).args(args);
    step("load", || run(&mut command))
}

fn scripts() -> PathBuf {
    root().join("tests").join("clients")
}

/// A Python with the clients.
fn python() -> Result<PathBuf> {
    let venv = target().join("suites").join("python");
    let python = venv.join("bin").join("python");
    let windows = venv.join("Scripts").join("python.exe");
    let python = if cfg!(windows) { windows } else { python };
    if !python.is_file() {
        let own = std::env::var_os("WISP_PYTHON").unwrap_or_else(|| "python3".into());
        run(Command::new(own).args(["-m", "venv"]).arg(&venv))?;
    }
    let wanted = scripts().join("requirements.txt");
    run(Command::new(&python).args(["-m", "pip", "install", "--quiet", "-r"]).arg(wanted))?;
    Ok(python)
}

/// A folder with the clients of npm and the script that uses them.
fn modules() -> Result<PathBuf> {
    let folder = target().join("suites").join("npm");
    std::fs::create_dir_all(&folder)
        .map_err(|cause| format!("cannot make {}: {cause}", folder.display()))?;
    for name in ["package.json", "clients.mjs"] {
        crate::step::copy(&scripts().join(name), &folder)?;
    }
    let npm = if cfg!(windows) { "npm.cmd" } else { "npm" };
    run(Command::new(npm).args(["install", "--no-audit", "--no-fund"]).current_dir(&folder))?;
    Ok(folder)
}

/// `wisp serve` with both models, until it is dropped.
struct Server {
    child: Child,
    url: String,
}

impl Server {
    fn start(args: &[&str]) -> Result<Self> {
        setup::run()?;
        step("build", built::build)?;
        let home = built::home();
        for model in MODELS {
            built::pull(&home, model)?;
        }
        let mut command = Command::new(wisp());
        command.arg("serve").args(MODELS).args(["--port", "0"]).args(args);
        command.env("WISP_HOME", &home).stderr(Stdio::piped());
        let cannot = |cause| format!("cannot start {}: {cause}", wisp().display());
        let mut child = command.spawn().map_err(cannot)?;
        let stderr = child.stderr.take().map(BufReader::new);
        let mut server = Self { child, url: String::new() };
        let mut lines = stderr.into_iter().flat_map(BufRead::lines).map_while(std::io::Result::ok);
        let found = lines.find_map(|line| {
            eprintln!("{line}");
            line.strip_prefix("listening on ").map(str::to_owned)
        });
        server.url = found.ok_or("the server did not start")?;
        // What it says goes on being read, so that it is never held up.
        std::thread::spawn(move || lines.for_each(|line| eprintln!("{line}")));
        Ok(server)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
