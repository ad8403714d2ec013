//! A chat at a terminal: lines that come at once, and bytes that are no UTF-8.
#![cfg(unix)]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use common::{Temp, home, tiny_file, wisp};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use serde_json::Value;
use std::fs::File;
use std::io::{Read, Write};
use std::process::Child;
use std::sync::mpsc;
use std::time::{Duration, Instant};

/// `wisp chat` with a terminal of its own.
struct Terminal {
    child: Child,
    keys: File,
    /// What it shows, piece by piece.
    shown: mpsc::Receiver<Vec<u8>>,
    all: String,
}

impl Terminal {
    fn chat(path: &str, kind: &str) -> Self {
        let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
        grantpt(&master).unwrap();
        unlockpt(&master).unwrap();
        let name = ptsname(&master, Vec::new()).unwrap().into_string().unwrap();
        let end = || File::options().read(true).write(true).open(&name).unwrap();
        let mut command = wisp(&home());
        command.args(["chat", path, "--ctx", "512", "--max-tokens", "4", "--temp", "0"]);
        command.args(["--repeat-penalty", "1", "--logit-bias", "120=1000"]);
        command.env("TERM", kind).stdin(end()).stdout(end()).stderr(end());
        let child = command.spawn().unwrap();
        let keys = File::from(master);
        let mut screen = keys.try_clone().unwrap();
        let (sender, shown) = mpsc::channel();
        std::thread::spawn(move || {
            let mut bytes = [0; 4096];
            while let Ok(count @ 1..) = screen.read(&mut bytes) {
                if sender.send(bytes[..count].to_vec()).is_err() {
                    return;
                }
            }
        });
        Self { child, keys, shown, all: String::new() }
    }

    /// Until `text` was shown so many times.
    fn wait_for(&mut self, text: &str, times: usize) {
        let end = Instant::now() + Duration::from_secs(120);
        while self.all.matches(text).count() < times {
            match self.shown.recv_timeout(end.saturating_duration_since(Instant::now())) {
                Ok(bytes) => self.all.push_str(&String::from_utf8_lossy(&bytes)),
                Err(why) => panic!("{why}: {text} is not shown {times} times: {:?}", self.all),
            }
        }
    }

    fn keys(&mut self, keys: &[u8]) {
        self.keys.write_all(keys).unwrap();
    }
}

/// What a person said in a saved conversation.
fn said(saved: &Temp) -> Vec<String> {
    let text = std::fs::read_to_string(saved.path()).unwrap();
    let messages: Vec<Value> = serde_json::from_str(&text).unwrap();
    let of_user = messages.iter().filter(|message| message["role"] == "user");
    of_user.map(|message| message["content"].as_str().unwrap().to_string()).collect()
}

#[test]
fn lines_that_come_at_once_are_all_read_and_no_byte_ends_the_chat() {
    let file = tiny_file();
    // The second is one where the line is not edited.
    for kind in ["xterm", "dumb"] {
        let saved = Temp::new("saved.json", "");
        let enter: &[u8] = if kind == "xterm" { b"\r" } else { b"\n" };
        let mut terminal = Terminal::chat(file.path(), kind);
        terminal.wait_for("> ", 1);
        std::thread::sleep(Duration::from_millis(300));
        let lines: [&[u8]; 4] = [b"one", b"two caf\xe9 gr\xfc\xdfe", "größe 👩".as_bytes(), b""];
        terminal.keys(&lines.join(enter));
        terminal.wait_for("; length]", 3);
        // Typed one by one, the first byte of a character that never ends.
        for key in [b"f", b"\xe9", b"e", enter] {
            terminal.keys(key);
            std::thread::sleep(Duration::from_millis(50));
        }
        terminal.wait_for("; length]", 4);
        terminal.keys(&[format!("/save {}", saved.path()).as_bytes(), enter].concat());
        terminal.wait_for("saved to", 1);
        terminal.keys(&[b"/exit", enter].concat());
        assert!(terminal.child.wait().unwrap().success(), "{kind}");
        let want = ["one", "two caf\u{fffd} gr\u{fffd}\u{fffd}e", "größe 👩", "f\u{fffd}e"];
        assert_eq!(said(&saved), want, "{kind}");
    }
}
