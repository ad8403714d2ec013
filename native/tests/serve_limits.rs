//! What `wisp serve` refuses, and what becomes of requests that nobody waits for.
#![cfg(unix)]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use common::serve::{Serve, chat, told};
use common::{Temp, run_model, tiny_file};
use rustix::process::Signal;
use serde_json::{Value, json};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

#[test]
fn what_is_wrong_is_said_in_openais_shape() {
    let serve = Serve::start(&[]);
    let chat_path = "/v1/chat/completions";
    let with = |name: &str, value: Value| {
        let mut body = chat("hello", 4);
        body[name] = value;
        body.to_string()
    };
    for (method, path, body, status, part) in [
        ("POST", chat_path, "{".to_owned(), 400, "the body is not JSON"),
        ("POST", chat_path, "[]".into(), 400, "the body is []; it must be an object"),
        ("POST", chat_path, "{}".into(), 400, "messages is missing"),
        ("POST", chat_path, with("temperature", json!("hot")), 400, "temperature is \"hot\""),
        ("POST", chat_path, with("heat", json!(1)), 400, "heat is not a field"),
        ("POST", chat_path, with("model", json!("gpt-5")), 404, "name one of tiny"),
        ("POST", chat_path, with("logit_bias", json!({"9999": 1})), 400, "token 9999"),
        ("POST", chat_path, chat(&"y".repeat(700), 4).to_string(), 400, "512"),
        ("POST", "/v1/completions", json!({"prompt": []}).to_string(), 400, "prompt is []"),
        ("POST", "/v1/embeddings", json!({"input": "a"}).to_string(), 400, "gives no vectors"),
        ("POST", "/tokenize", json!({"text": "a"}).to_string(), 400, "content is missing"),
        ("POST", "/detokenize", json!({"tokens": [9999]}).to_string(), 400, "9999"),
        ("GET", "/v1/models/other", String::new(), 404, "name one of tiny"),
        ("GET", "/v1/nothing", String::new(), 404, "nothing at this path"),
        ("GET", chat_path, String::new(), 405, "is not asked by"),
        ("DELETE", "/v1/models", String::new(), 405, "is not asked by"),
    ] {
        let told = serve.ask(method, path, &[], &body);
        let (message, _) = told.error();
        assert_eq!(told.status, status, "{method} {path} {body}: {message}");
        assert!(message.contains(part), "{method} {path} {body}: {message}");
        assert!(told.head.contains("content-type: application/json"), "{}", told.head);
    }
    let long = serve.post(chat_path, &chat(&"y".repeat(700), 4)).error().0;
    assert!(long.contains("719 tokens") && long.contains("is 512"), "both numbers: {long}");
    // Bytes that are no text.
    let mut stream = TcpStream::connect(("127.0.0.1", serve.port)).unwrap();
    let head = format!("POST {chat_path} HTTP/1.0\r\nHost: localhost\r\nContent-Length: 2\r\n\r\n");
    stream.write_all(&[head.as_bytes(), &[0xff, 0xfe]].concat()).unwrap();
    assert_eq!(told(&mut stream).error().1, "not_utf8");
    // A body that is too long is not waited for.
    let mut stream = TcpStream::connect(("127.0.0.1", serve.port)).unwrap();
    let head =
        format!("POST {chat_path} HTTP/1.0\r\nHost: localhost\r\nContent-Length: 99999999\r\n\r\n");
    stream.write_all(head.as_bytes()).unwrap();
    assert_eq!(told(&mut stream).status, 413);
    assert_eq!(serve.get("/health").json(), json!({"status": "ok"}));
}

#[test]
fn whoever_goes_away_gives_back_what_the_request_held() {
    let serve = Serve::start(&["--parallel", "2", "--queue", "9"]);
    let free = serve.metric("wisp_kv_pages_free");
    let whole = chat("hello", 400);
    let mut stream = whole.clone();
    stream["stream"] = true.into();
    // Two at work, others in the queue; of all kinds.
    let gone: Vec<TcpStream> = (0..8)
        .map(|at| if at % 2 == 0 { &stream } else { &whole })
        .map(|body| serve.send("POST", "/v1/chat/completions", &[], &body.to_string()))
        .collect();
    while serve.metric("wisp_requests_in_progress{") < 8.0 {
        std::thread::sleep(Duration::from_millis(10));
    }
    let steps = serve.metric("wisp_steps_total");
    drop(gone);
    serve.wait_until_idle();
    // Of 8 answers of 400 tokens, two at a time, nearly nothing was made.
    let more = serve.metric("wisp_steps_total") - steps;
    assert!(more < 100.0, "{more} steps for nobody");
    // Those who stay are answered, and all pages are free again.
    let stays = serve.post("/v1/chat/completions", &chat("hello", 3));
    assert_eq!(stays.json()["usage"]["completion_tokens"], 3);
    let start = Instant::now();
    while serve.metric("wisp_kv_pages_free") != free {
        assert!(start.elapsed() < Duration::from_secs(20), "pages are not free again");
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn a_full_queue_says_when_to_come_back() {
    let serve = Serve::start(&["--parallel", "1", "--queue", "1"]);
    let long = chat("hello", 450).to_string();
    let waiting: Vec<TcpStream> =
        (0..2).map(|_| serve.send("POST", "/v1/chat/completions", &[], &long)).collect();
    while serve.metric("wisp_requests_in_progress{") < 2.0 {
        std::thread::sleep(Duration::from_millis(10));
    }
    let told = serve.post("/v1/chat/completions", &chat("hello", 1));
    assert_eq!((told.status, told.error().1.as_str()), (429, "queue_full"));
    assert!(told.head.contains("retry-after: "), "{}", told.head);
    drop(waiting);
    serve.wait_until_idle();
    assert_eq!(serve.post("/v1/chat/completions", &chat("hello", 1)).status, 200);
}

#[test]
fn who_has_no_key_or_comes_from_elsewhere_is_refused() {
    let open = Serve::start(&["--cors", "https://example.org"]);
    let status = |headers: &[&str]| open.ask("GET", "/v1/models", headers, "").status;
    assert_eq!(status(&[]), 200);
    assert_eq!(status(&["Host: evil.example"]), 403, "DNS rebinding");
    assert_eq!(status(&["Origin: https://evil.example"]), 403);
    assert_eq!(status(&["Origin: null"]), 403);
    assert_eq!(status(&["Origin: http://localhost:3000"]), 200);
    let page = open.ask("GET", "/v1/models", &["Origin: https://example.org"], "");
    assert!(page.head.contains("access-control-allow-origin: https://example.org"));
    let before = ["Origin: https://example.org", "Access-Control-Request-Method: POST"];
    assert_eq!(open.ask("OPTIONS", "/v1/chat/completions", &before, "").status, 204);

    let closed = Serve::start(&["--api-key", "secret"]);
    let status = |headers: &[&str]| closed.ask("GET", "/v1/models", headers, "").status;
    assert_eq!(status(&[]), 401);
    assert_eq!(status(&["Authorization: Bearer wrong"]), 401);
    assert_eq!(status(&["Authorization: Bearer secret"]), 200);
    assert_eq!(status(&["X-Api-Key: secret", "Host: my.example"]), 200);
    assert_eq!(closed.get("/health").status, 200, "what watches a server has no key");
    assert_eq!(closed.get("/metrics").status, 401);
    assert_eq!(status(&["authorization: bearer secret"]), 200, "schemes have no case");
    let asks = "Access-Control-Request-Headers: authorization,x-stainless-os";
    let before = [&before[..], &[asks]].concat();
    let allowed = open.ask("OPTIONS", "/v1/chat/completions", &before, "");
    assert!(allowed.head.contains("access-control-allow-headers: authorization,x-stainless-os"));
    let status = |headers: &[&str]| open.ask("GET", "/v1/models", headers, "").status;
    assert_eq!(status(&["Origin: http://\u{e9}vil.example"]), 403);
    assert_eq!(status(&["Origin: chrome-extension://localhost"]), 403);
    assert_eq!(status(&["Host: localhost", "Host: evil.example"]), 403);
}

#[test]
fn a_server_that_is_asked_to_end_finishes_what_it_has_begun() {
    for signal in [Signal::TERM, Signal::INT] {
        let mut serve = Serve::start(&[]);
        let mut body = chat("hello", 60);
        body["stream"] = true.into();
        let mut stream = serve.send("POST", "/v1/chat/completions", &[], &body.to_string());
        let mut first = [0; 64];
        stream.read_exact(&mut first).unwrap();
        serve.signal(signal);
        let mut rest = String::new();
        stream.read_to_string(&mut rest).unwrap();
        assert!(rest.ends_with("data: [DONE]\n\n"), "{rest}");
        let (status, said) = serve.ended();
        assert_eq!((status, said.as_str()), (Some(0), ""));
    }
}

#[test]
fn a_server_that_could_not_serve_does_not_start() {
    let file = tiny_file();
    let wrong = |args: &[&str]| {
        let run = run_model(&[&["serve"], args].concat());
        run.sentence().to_owned()
    };
    let said = wrong(&[file.path(), "--host", "0.0.0.0"]);
    assert!(said.contains("give an --api-key"), "{said}");
    let said = wrong(&[file.path(), "--api-key", "schl\u{fc}ssel"]);
    assert!(said.contains("visible ASCII"), "{said}");
    let said = wrong(&[file.path(), "--cors", "example.org"]);
    assert!(said.contains("--cors example.org is no origin"), "{said}");
    let said = wrong(&["no/such.gguf", "--port", "0"]);
    assert!(said.contains("there is no file no/such.gguf"), "{said}");
    let said = wrong(&[file.path(), file.path()]);
    assert!(said.contains("would both be the model tiny"), "{said}");
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    let said = wrong(&[file.path(), "--port", &port]);
    assert!(said.contains(&format!("cannot listen on 127.0.0.1:{port}")), "{said}");
}

#[test]
fn a_second_model_is_loaded_when_it_is_asked_for() {
    let other = Temp::new("other.gguf", common::tiny::Tiny::new().bytes());
    let serve = Serve::start(&[other.path()]);
    let loaded = || serve.get("/props").json()["models"].as_array().unwrap().len();
    assert_eq!(loaded(), 1);
    let unnamed = serve.post("/v1/chat/completions", &chat("hello", 2));
    assert_eq!(unnamed.status, 404);
    assert!(unnamed.error().0.contains("name one of tiny, other"), "{}", unnamed.body);
    let mut named = chat("hello", 2);
    named["model"] = "other".into();
    assert_eq!(serve.post("/v1/chat/completions", &named).json()["model"], "other");
    assert_eq!(loaded(), 2);
}

#[test]
fn a_load_that_nobody_waits_for_goes_on_and_happens_once() {
    let other = Temp::new("other.gguf", common::tiny::Tiny::new().bytes());
    let serve = Serve::start(&[other.path(), "--verbose"]);
    let mut named = chat("hello", 2);
    named["model"] = "other".into();
    for _ in 0..5 {
        let gone = serve.send("POST", "/v1/chat/completions", &[], &named.to_string());
        std::thread::sleep(Duration::from_millis(30));
        drop(gone);
    }
    assert_eq!(serve.post("/v1/chat/completions", &named).json()["model"], "other");
    let mut serve = serve;
    serve.signal(Signal::TERM);
    let said = serve.ended().1;
    assert_eq!(said.matches("other.gguf on ").count(), 1, "{said}");
}

#[test]
fn a_model_whose_file_is_gone_is_no_fault_of_the_client() {
    let other = Temp::new("other.gguf", common::tiny::Tiny::new().bytes());
    let serve = Serve::start(&[other.path()]);
    std::fs::remove_file(other.path()).unwrap();
    let mut named = chat("hello", 2);
    named["model"] = "other".into();
    let told = serve.post("/v1/chat/completions", &named);
    assert_eq!((told.status, told.error().1.as_str()), (503, "model_unavailable"));
    assert!(!told.body.contains(other.path()), "{}", told.body);
    assert_eq!(serve.post("/tokenize", &json!({"content": "a", "model": "tiny"})).status, 200);
}

#[test]
fn half_a_request_holds_up_no_end() {
    let mut serve = Serve::start(&[]);
    let mut stream = TcpStream::connect(("127.0.0.1", serve.port)).unwrap();
    stream.write_all(b"GET /hea").unwrap();
    std::thread::sleep(Duration::from_millis(100));
    let start = Instant::now();
    serve.signal(Signal::TERM);
    assert_eq!(serve.ended(), (Some(0), String::new()));
    assert!(start.elapsed() < Duration::from_secs(10), "{:?}", start.elapsed());
}

#[test]
fn what_would_be_ignored_is_refused() {
    let serve = Serve::start(&[]);
    let tool = json!([{"type": "function", "function": {"name": "f"}}]);
    let mut tools = chat("hello", 2);
    tools["tools"] = tool.clone();
    let message = serve.post("/v1/chat/completions", &tools).error().0;
    assert!(message.contains("template knows no tools"), "{message}");
    tools["tool_choice"] = "none".into();
    assert_eq!(serve.post("/v1/chat/completions", &tools).status, 200);
    let prefill = json!({"max_tokens": 2, "messages": [{"role": "user", "content": "a"},
        {"role": "assistant", "content": "b"}]});
    let message = serve.post("/v1/messages", &prefill).error().0;
    assert!(message.contains("does not continue"), "{message}");
    let mut more = chat("hello", 2);
    more["stream_options"] = json!({"foo": 1});
    let message = serve.post("/v1/chat/completions", &more).error().0;
    assert!(message.contains("stream_options.foo is not a field"), "{message}");
    let mut long = chat("hello", 2);
    long["x".repeat(100_000)] = 1.into();
    assert!(serve.post("/v1/chat/completions", &long).body.len() < 1000);
    // As many as any vocabulary has: all.
    let mut all = chat("hello", 2);
    all["top_k"] = json!(4_294_967_297_u64);
    assert_eq!(serve.post("/v1/chat/completions", &all).status, 200);
    assert_eq!(serve.get("/v1/models/%ff").error().1, "model_not_found");
    let mut cut = TcpStream::connect(("127.0.0.1", serve.port)).unwrap();
    let head = "POST /tokenize HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\
                Transfer-Encoding: chunked\r\n\r\nZZ\r\n";
    cut.write_all(head.as_bytes()).unwrap();
    assert_eq!(told(&mut cut).status, 400);
}
