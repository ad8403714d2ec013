//! Conversations through pipes, and Ctrl-C.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use common::{Temp, home, run_with, tiny_file, wisp};
use serde_json::{Value, json};
use std::process::Command;

/// Answers of `x` only: nothing random in what is looked for.
fn chat(path: &str) -> Command {
    let mut command = wisp(&home());
    command.args(["chat", path, "--ctx", "512", "--max-tokens", "4", "--temp", "0"]);
    command.args(["--repeat-penalty", "1", "--logit-bias", "120=1000"]);
    command
}

#[test]
fn one_question_one_answer() {
    let file = tiny_file();
    let mut command = chat(file.path());
    let run = common::run(command.arg("hello"));
    assert_eq!(run.ok(), "xxxx\n");
    assert!(run.stderr.contains("[4 tokens, ") && run.stderr.contains(" tokens/s; "));
    let quiet = common::run(command.arg("--quiet"));
    assert_eq!((quiet.ok(), quiet.stderr.as_str()), ("xxxx\n", ""));
}

#[test]
fn commands_do_what_help_says() {
    let file = tiny_file();
    let saved = Temp::new("saved.json", "");
    let old = json!([
        {"role": "user", "content": "q"}, {"role": "assistant", "content": "a"},
    ]);
    let old = Temp::new("old.json", old.to_string());
    let input = format!(
        "/help\nfirst\n/save {saved}\n/stats\n/clear\n/stats\n/load {old}\n/set\n\
         /set max_tokens 2\nsecond\n\n/save {saved}2\n/set system Be brief.\n/set temp 0.25\n\
         /set\nthird\n/save {saved}3\n/exit\nnever\n",
        saved = saved.path(),
        old = old.path()
    );
    let run = run_with(&mut chat(file.path()), input);
    assert_eq!(run.ok(), "xxxx\nxx\nxx\n");
    for part in [
        "/help              this list",
        "/clear             forget",
        "/exit              leave",
        "the conversation is forgotten",
        "2 messages loaded",
        "temperature 0\n",
        "temperature 0.25\n",
        "max_tokens 4\n",
        "max_tokens 2\n",
        "set; the conversation begins anew",
        " of 512 tokens in 2 messages",
        " of 512 tokens in 0 messages",
        "memory    ",
        "device    ",
        "[4 tokens, ",
        "[2 tokens, ",
    ] {
        assert!(run.stderr.contains(part), "{part}: {}", run.stderr);
    }
    let read = |more: &str| -> Value {
        let text = std::fs::read_to_string(format!("{}{more}", saved.path())).unwrap();
        serde_json::from_str(&text).unwrap()
    };
    let message = |role: &str, content: &str| json!({"role": role, "content": content});
    assert_eq!(read(""), json!([message("user", "first"), message("assistant", "xxxx")]));
    let second = [
        message("user", "q"),
        message("assistant", "a"),
        message("user", "second"),
        message("assistant", "xx"),
    ];
    assert_eq!(read("2"), json!(second));
    let third =
        [message("system", "Be brief."), message("user", "third"), message("assistant", "xx")];
    assert_eq!(read("3"), json!(third));
}

#[test]
fn the_end_of_input_is_the_end() {
    let file = tiny_file();
    let run = run_with(&mut chat(file.path()), "hello");
    assert_eq!(run.ok(), "xxxx\n");
    assert_eq!(run_with(&mut chat(file.path()), "").ok(), "");
}

#[test]
fn a_wrong_command_ends_a_script_with_a_sentence() {
    let file = tiny_file();
    for (line, part) in [
        ("/jump", "there is no command /jump: /help lists them"),
        ("/save", "/save needs a file: /save chat.json"),
        ("/load", "/load needs a file"),
        ("/load no/such.json", "cannot read no/such.json"),
        ("/set heat 1", "there is no setting heat: /set alone lists them"),
        ("/set top_k x", "top_k cannot be \"x\""),
        ("/set top_p 7", "top_p is 7; it must be from 0 to 1"),
        ("/save no/such/folder/a.json", "cannot write no/such/folder/a.json"),
    ] {
        let run = run_with(&mut chat(file.path()), format!("{line}\nhello\n"));
        assert!(run.sentence().contains(part), "{line}: {}", run.sentence());
        assert_eq!((run.status, run.stdout.as_str()), (1, ""), "{line}");
    }
}

#[test]
fn a_message_longer_than_the_context_says_so() {
    let file = tiny_file();
    let run = run_with(chat(file.path()).args(["--quiet"]), "y".repeat(600));
    let sentence = run.sentence();
    assert!(
        sentence.contains("but the context has room for 512: give a shorter one"),
        "{sentence}"
    );
}

/// Prompt tokens that each answer found not in the cache.
fn computed(stderr: &str) -> Vec<usize> {
    let after = stderr.split("prompt ").skip(1);
    after.filter_map(|text| text.split_once(" new")?.0.parse().ok()).collect()
}

#[test]
fn a_full_context_leaves_out_the_oldest_turns() {
    let file = tiny_file();
    let saved = Temp::new("saved.json", "");
    let long = "y".repeat(50);
    let mut input: String = (0..20).map(|turn| format!("turn {turn} {long}\n")).collect();
    input += &format!("/stats\n/save {}\n/clear\n/stats\n", saved.path());
    let run = run_with(chat(file.path()).args(["--system", "Be brief."]), input);
    assert_eq!(run.ok(), "xxxx\n".repeat(20));
    let said = run.stderr.matches("the context is full: from now on the oldest messages").count();
    assert_eq!(said, 1, "{}", run.stderr);
    // All that was said is kept, and most answers compute little more than the last turn.
    let messages: Value =
        serde_json::from_str(&std::fs::read_to_string(saved.path()).unwrap()).unwrap();
    assert_eq!(messages.as_array().unwrap().len(), 41);
    assert_eq!(messages[0]["content"], "Be brief.");
    let left_out = run.stderr.split(" in 41 messages, the oldest ").nth(1).unwrap();
    let left_out: usize = left_out.split_once(" left out").unwrap().0.parse().unwrap();
    assert!(left_out.is_multiple_of(2) && (20..40).contains(&left_out), "{left_out}");
    assert!(run.stderr.contains(" in 1 messages\n"), "{}", run.stderr);
    let computed = computed(&run.stderr);
    let short = computed.iter().take(20).filter(|count| **count < 130).count();
    assert!(short >= 12, "{computed:?}");
}

#[test]
fn an_answer_that_the_context_cuts_says_so() {
    let file = tiny_file();
    let with = |most: &'static str| {
        let mut command = wisp(&home());
        command.args(["chat", file.path(), "hello", "--ctx", "128", "--max-tokens", most]);
        let run = common::run(command.args(["--ignore-eos", "--logit-bias", "120=1000"]));
        (run.ok().len(), run.stderr)
    };
    for most in ["-1", "1000"] {
        let (len, stderr) = with(most);
        assert!(len > 60 && stderr.contains("; context full]"), "{len}: {stderr}");
    }
    let (len, stderr) = with("8");
    assert!(len == 9 && stderr.contains("; length]"), "{len}: {stderr}");
}

#[test]
fn a_message_may_begin_with_a_path() {
    let file = tiny_file();
    let input = "/some/file is what?\n /help\n/no-such/file\n";
    let run = run_with(&mut chat(file.path()), input);
    assert_eq!(run.ok(), "xxxx\n".repeat(3), "{}", run.stderr);
}

#[test]
fn what_is_piped_in_follows_the_prompt() {
    let file = tiny_file();
    let tokens = |prompt: &str, input: &[u8]| {
        let run = run_with(chat(file.path()).arg(prompt), input);
        assert_eq!(run.ok(), "xxxx\n");
        computed(&run.stderr)[0]
    };
    let alone = tokens("Summarize", b"");
    assert_eq!(tokens("Summarize", b"one\ntwo\n"), alone + "\n\none\ntwo".len());
    // U+FFFD, which has three bytes.
    assert_eq!(tokens("Summarize", b"caf\xe9"), alone + 8);
}

#[cfg(unix)]
mod interrupts {
    use super::*;
    use std::io::{BufRead, BufReader, Read, Write};
    use std::process::{Child, ChildStderr, Stdio};
    use std::time::{Duration, Instant};

    fn interrupt(child: &Child) {
        let id = child.id().to_string();
        assert!(Command::new("kill").args(["-INT", &id]).status().unwrap().success());
    }

    fn spawn(command: &mut Command) -> Child {
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command.spawn().unwrap()
    }

    /// An answer that goes on for minutes.
    fn endless(command: &str, path: &str) -> Command {
        let mut wisp = wisp(&home());
        wisp.args([command, path, "--ctx", "100000", "--ignore-eos", "--verbose"]);
        wisp.args(["--logit-bias", "120=1000"]);
        wisp
    }

    /// Waits until some of the answer has come.
    fn first_text(child: &mut Child) {
        let mut some = [0; 8];
        child.stdout.as_mut().unwrap().read_exact(&mut some).unwrap();
        assert_eq!(&some, b"xxxxxxxx");
    }

    fn lines_until(stderr: &mut BufReader<ChildStderr>, part: &str) -> String {
        let mut line = String::new();
        while !line.contains(part) {
            line.clear();
            assert_ne!(stderr.read_line(&mut line).unwrap(), 0, "no line has {part}");
        }
        line
    }

    /// What is left of stdout, and the status; it must not take long.
    fn end(mut child: Child) -> (String, Option<i32>) {
        let start = Instant::now();
        let mut rest = String::new();
        child.stdout.take().unwrap().read_to_string(&mut rest).unwrap();
        let status = child.wait().unwrap().code();
        assert!(start.elapsed() < Duration::from_secs(10), "it went on");
        (rest, status)
    }

    #[test]
    fn generate_stops_and_says_what_there_is() {
        let file = tiny_file();
        let base = ["--tokens", "1,2", "--max-tokens", "90000"];
        let mut child = spawn(endless("generate", file.path()).args(base));
        first_text(&mut child);
        interrupt(&child);
        let (rest, status) = end(child);
        assert_eq!(status, Some(130));
        assert!(rest.chars().all(|c| c == 'x') && rest.len() < 80_000);

        let mut child = spawn(endless("generate", file.path()).args(base).arg("--json"));
        let mut stderr = BufReader::new(child.stderr.take().unwrap());
        lines_until(&mut stderr, " loaded in ");
        std::thread::sleep(Duration::from_secs(2));
        interrupt(&child);
        let (out, status) = end(child);
        assert_eq!(status, Some(0));
        let value: Value = serde_json::from_str(&out).unwrap();
        assert_eq!(value["finish_reason"], "cancelled");
        assert!(value["tokens"].as_array().unwrap().iter().all(|token| *token == 120));
    }

    #[test]
    fn in_a_chat_the_first_stops_the_answer_and_the_next_leaves() {
        let file = tiny_file();
        let mut child = spawn(&mut endless("chat", file.path()));
        let mut stdin = child.stdin.take().unwrap();
        let mut stderr = BufReader::new(child.stderr.take().unwrap());
        stdin.write_all(b"hello\n").unwrap();
        first_text(&mut child);
        interrupt(&child);
        assert!(lines_until(&mut stderr, " tokens/s; ").ends_with("; cancelled]\n"));
        // It is still there, and knows what was said.
        stdin.write_all(b"/stats\n").unwrap();
        assert!(lines_until(&mut stderr, "context ").contains(" in 2 messages"));
        interrupt(&child);
        let (rest, status) = end(child);
        assert_eq!(status, Some(130));
        assert_eq!(rest.trim_start_matches('x'), "\n");
    }

    #[test]
    fn one_shot_chat_ends_with_the_status_of_an_interrupt() {
        let file = tiny_file();
        let mut child = spawn(endless("chat", file.path()).arg("hello"));
        // What is piped in would follow.
        drop(child.stdin.take());
        first_text(&mut child);
        interrupt(&child);
        assert_eq!(end(child).1, Some(130));
    }
}
