//! A signal while a model is loaded: kernels are compiled in other threads then, which must not see
//! their compiler go.
#![cfg(unix)]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use std::process::{Child, Stdio};
use std::time::Duration;

use common::tiny::Tiny;
use common::wisp;
use rustix::process::{Pid, Signal, kill_process};

const AT_ONCE: usize = 4;
const ROUNDS: u64 = 6;

#[test]
fn a_signal_while_kernels_are_compiled_ends_with_its_own_status() {
    let folder = tempfile::tempdir().unwrap();
    let model = folder.path().join("tiny.gguf");
    std::fs::write(&model, Tiny::new().bytes()).unwrap();
    for round in 0..ROUNDS {
        let (signal, status) = [(Signal::INT, 130), (Signal::TERM, 143)][round as usize % 2];
        // Homes without results of the self-check, which takes seconds.
        let homes: Vec<_> = (0..AT_ONCE).map(|_| tempfile::tempdir().unwrap()).collect();
        let start = |home: &tempfile::TempDir| {
            let mut command = wisp(home.path());
            command.args(["generate", model.to_str().unwrap(), "--tokens", "1", "--quiet"]);
            command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
        };
        let mut children: Vec<Child> = homes.iter().map(start).collect();
        for child in &mut children {
            std::thread::sleep(Duration::from_millis(300 + 60 * round));
            kill_process(Pid::from_child(child), signal).unwrap();
        }
        for mut child in children {
            let ended = child.wait().unwrap();
            assert_eq!(ended.code(), Some(status), "{ended}");
        }
    }
}
