//! What of the catalog this machine runs: on its adapter.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use common::{Reply, Server, has_keys, object, run, wisp};
use serde_json::Value;

fn fit(home: &std::path::Path, args: &[&str]) -> Value {
    let run = run(wisp(home).args(["models", "--fit", "--json"]).args(args));
    object(&run, &["device", "index", "memory", "copy_gb_per_s", "models", "too_large"])
}

#[test]
fn the_catalog_is_sorted_by_what_this_machine_runs() {
    let home = tempfile::tempdir().unwrap();
    let found = fit(home.path(), &[]);
    let memory = found["memory"].as_u64().unwrap();
    let models = found["models"].as_array().unwrap();
    // Any machine with an adapter runs the smallest.
    assert!(models.iter().any(|model| model["name"] == "smollm2-135m"), "{found}");
    for model in models {
        has_keys(
            model,
            &[
                "name",
                "bytes",
                "path",
                "purpose",
                "type",
                "requantized",
                "kv",
                "ctx",
                "memory",
                "tokens_per_s",
            ],
        );
        assert!(model["memory"].as_u64().unwrap() <= memory, "{model}");
        assert_eq!(model["tokens_per_s"].is_null(), model["purpose"] == "embed", "{model}");
    }
    let purposes: Vec<&str> = models.iter().map(|it| it["purpose"].as_str().unwrap()).collect();
    let mut grouped = purposes.clone();
    grouped.dedup();
    assert_eq!(grouped, ["chat", "base", "embed"], "{purposes:?}");
    let too_large = found["too_large"].as_array().unwrap();
    assert_eq!(models.len() + too_large.len(), 18);
    // What is asked for is kept, and all of it fits or does not.
    let asked = fit(home.path(), &["--ctx", "512", "--kv", "f32"]);
    for model in asked["models"].as_array().unwrap() {
        assert_eq!((model["ctx"].as_u64(), model["kv"].as_str()), (Some(512), Some("f32")));
    }
}

#[test]
fn the_best_is_what_is_pulled() {
    let home = tempfile::tempdir().unwrap();
    let server = Server::start(|_, _| Reply::status("404 Not Found"));
    let mut command = wisp(home.path());
    command.env("WISP_HUB", &server.address).args(["pull", "--best"]);
    let run = run(&mut command);
    assert_eq!(run.status, 1, "{}", run.stderr);
    let (note, sentence) = run.stderr.split_once('\n').unwrap();
    let best = note.split_once(": ").unwrap().1.split_whitespace().next().unwrap();
    assert!(sentence.contains(&format!("cannot download {best}: ")), "{}", run.stderr);
    // Measured at another moment, another one may be the best; it is of the catalog, to chat with.
    let found = fit(home.path(), &[]);
    let known = found["models"].as_array().unwrap().iter().find(|model| model["name"] == best);
    assert_eq!(known.unwrap()["purpose"], "chat");
    assert!(server.asked().iter().any(|asked| asked.method == "HEAD"));
}

#[test]
fn a_type_that_is_asked_for_is_refused() {
    let home = tempfile::tempdir().unwrap();
    for args in [&["models", "--fit"][..], &["pull", "--best"]] {
        let failed = run(wisp(home.path()).args(args).args(["--quantize", "q4_0"]));
        assert!(failed.sentence().contains("--quantize q4_0 does not go with this"));
    }
    let failed = run(wisp(home.path()).args(["pull", "--best", "smollm2-135m"]));
    assert!(failed.sentence().contains("--best"), "{}", failed.sentence());
}
