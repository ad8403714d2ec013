//! `wisp serve` as clients see it: answers, streams and vectors, in each protocol.
#![cfg(unix)]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use common::checkpoint::bert;
use common::serve::{Serve, Told, chat};
use common::{home, run_model, wisp};
use serde_json::{Value, json};

/// The chunks of a stream and its last words.
fn events(body: &str) -> Vec<Value> {
    let data = body.split("\n\n").filter_map(|event| event.strip_prefix("data: "));
    let mut chunks: Vec<&str> = data.collect();
    assert_eq!(chunks.pop(), Some("[DONE]"));
    chunks.into_iter().map(|chunk| serde_json::from_str(chunk).unwrap()).collect()
}

#[test]
fn a_stream_says_what_a_whole_answer_says() {
    let serve = Serve::start(&[]);
    let whole = serve.post("/v1/chat/completions", &chat("hello", 9));
    assert_eq!(whole.status, 200, "{}", whole.body);
    assert!(whole.head.contains("content-type: application/json"), "{}", whole.head);
    let whole = whole.json();
    assert_eq!(whole["object"], "chat.completion");
    assert_eq!(whole["model"], "tiny");
    assert_eq!(whole["usage"]["completion_tokens"], 9);
    let mut asked = chat("hello", 9);
    asked["stream"] = true.into();
    asked["stream_options"] = json!({"include_usage": true});
    let stream = serve.post("/v1/chat/completions", &asked);
    assert!(stream.head.contains("content-type: text/event-stream"), "{}", stream.head);
    let chunks = events(&stream.body);
    let text: String =
        chunks.iter().filter_map(|c| c["choices"][0]["delta"]["content"].as_str()).collect();
    assert_eq!(whole["choices"][0]["message"]["content"], text);
    assert_eq!(chunks[0]["choices"][0]["delta"]["role"], "assistant");
    assert_eq!(chunks[chunks.len() - 2]["choices"][0]["finish_reason"], "length");
    assert_eq!(chunks.last().unwrap()["usage"]["total_tokens"], whole["usage"]["total_tokens"]);
    assert!(chunks.iter().all(|chunk| chunk["id"] == chunks[0]["id"]));

    let plain = json!({"model": "tiny", "prompt": "a", "max_tokens": 3, "temperature": 0,
        "logprobs": 2});
    let plain = serve.post("/v1/completions", &plain).json();
    assert_eq!(plain["object"], "text_completion");
    assert_eq!(plain["choices"][0]["logprobs"]["token_logprobs"].as_array().unwrap().len(), 3);
    assert_eq!(serve.metric("wisp_generated_tokens_total"), 21.0);
}

#[test]
fn a_response_can_be_gone_on_from() {
    let serve = Serve::start(&[]);
    let asked = |more: Value| {
        let mut body = json!({"model": "tiny", "max_output_tokens": 4, "temperature": 0});
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        body
    };
    let first = serve.post("/v1/responses", &asked(json!({"input": "hello"})));
    assert_eq!(first.status, 200, "{}", first.body);
    let first = first.json();
    assert_eq!((&first["object"], &first["max_output_tokens"]), (&json!("response"), &json!(4)));
    let text = &first["output"][0]["content"][0]["text"];
    let whole = serve.post(
        "/v1/chat/completions",
        &json!({"model": "tiny", "max_tokens": 4,
        "temperature": 0, "messages": [{"role": "user", "content": "hello"}]}),
    );
    assert_eq!(whole.json()["choices"][0]["message"]["content"], *text);

    // The same as the whole conversation, and an instruction holds for one answer alone.
    let conversation = json!([{"role": "user", "content": "hello"},
        {"role": "assistant", "content": [{"type": "output_text", "text": text}]},
        {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "more"}]}]);
    let next = json!({"input": "more", "previous_response_id": first["id"]});
    let next = serve.post("/v1/responses", &asked(next)).json();
    let same = serve.post("/v1/responses", &asked(json!({"input": conversation}))).json();
    assert_eq!(next["usage"]["input_tokens"], same["usage"]["input_tokens"]);
    assert_eq!(next["output"][0]["content"], same["output"][0]["content"]);

    let stream = asked(json!({"input": "hello", "stream": true, "store": false}));
    let stream = serve.post("/v1/responses", &stream).body;
    let data = stream.split("\n\n").filter_map(|event| event.split_once("\ndata: "));
    let events: Vec<(&str, Value)> = data
        .map(|(name, data)| {
            (name.strip_prefix("event: ").unwrap(), serde_json::from_str(data).unwrap())
        })
        .collect();
    for (at, (name, event)) in events.iter().enumerate() {
        assert_eq!((&event["type"], &event["sequence_number"]), (&json!(name), &json!(at)));
    }
    let said: String = events.iter().filter_map(|(_, event)| event["delta"].as_str()).collect();
    assert_eq!(*text, said);
    let last = &events.last().unwrap().1["response"];
    assert_eq!(last["output"][0]["content"], first["output"][0]["content"]);
    for (more, part) in [
        (json!({"input": "a", "previous_response_id": last["id"]}), "is not known here"),
        (json!({"input": []}), "input is []"),
        (json!({"input": "a", "background": true}), "background is not supported"),
        (json!({"input": "a", "include": ["message.output_text.logprobs"]}), "include is not"),
        (json!({"input": "a", "stream_options": {"x": 1}}), "stream_options.x is not a field"),
        (json!({"input": [{"type": "item_reference", "id": "x"}]}), "input[0] is of type"),
        (json!({"input": "a", "text": {"format": {"type": "json_object"}}}), "text.format"),
        (json!({"input": "a", "tools": [{"type": "web_search"}]}), "functions only"),
    ] {
        let told = serve.post("/v1/responses", &asked(more));
        assert!(told.status == 400 && told.error().0.contains(part), "{part}: {}", told.body);
    }
}

#[test]
fn anthropics_clients_are_answered_in_their_shape() {
    let serve = Serve::start(&[]);
    // Tokens of the tiny model are bytes, and greedy answers go on: top_k 1.
    let asked = |stream: bool, stop: &[&str]| {
        json!({"model": "tiny", "max_tokens": 9, "top_k": 1, "stream": stream, "system": "be",
            "stop_sequences": stop, "messages": [{"role": "user", "content": [
                {"type": "text", "text": "hel"}, {"type": "text", "text": "lo"}]}]})
    };
    let whole = serve.post("/v1/messages", &asked(false, &[]));
    assert_eq!(whole.status, 200, "{}", whole.body);
    let whole = whole.json();
    assert_eq!((&whole["type"], &whole["role"]), (&json!("message"), &json!("assistant")));
    let text = whole["content"][0]["text"].as_str().unwrap();
    assert!(["end_turn", "max_tokens"].contains(&whole["stop_reason"].as_str().unwrap()));
    let counted = json!({"system": "be", "messages": [{"role": "user", "content": "hello"}]});
    let counted = serve.post("/v1/messages/count_tokens", &counted).json();
    assert_eq!(counted["input_tokens"], whole["usage"]["input_tokens"]);

    let stream = serve.post("/v1/messages", &asked(true, &[])).body;
    let events: Vec<(&str, Value)> = stream
        .split_terminator("\n\n")
        .map(|event| {
            let (name, data) = event.split_once('\n').unwrap();
            let data = data.strip_prefix("data: ").unwrap();
            (name.strip_prefix("event: ").unwrap(), serde_json::from_str(data).unwrap())
        })
        .collect();
    assert!(events.iter().all(|(name, data)| data["type"] == *name), "{stream}");
    let names: Vec<&str> = events.iter().map(|(name, _)| *name).collect();
    let deltas = "content_block_delta";
    let others: Vec<&str> = names.iter().copied().filter(|name| *name != deltas).collect();
    let order = [
        "message_start",
        "content_block_start",
        "content_block_stop",
        "message_delta",
        "message_stop",
    ];
    assert_eq!(others, order);
    let said: String =
        events.iter().filter_map(|(_, data)| data["delta"]["text"].as_str()).collect();
    assert_eq!(said, text);

    // The first character of the answer as a stop text.
    let first = text.chars().next().unwrap().to_string();
    let stopped = serve.post("/v1/messages", &asked(false, &["@@", &first])).json();
    assert_eq!(
        (&stopped["stop_reason"], &stopped["stop_sequence"]),
        (&json!("stop_sequence"), &json!(first))
    );
    assert_eq!(stopped["content"][0]["text"], "");

    for (body, status, kind, part) in [
        (json!({"messages": []}), 400, "invalid_request_error", "max_tokens is missing"),
        (json!({"max_tokens": 1, "messages": []}), 400, "invalid_request_error", "messages"),
        (
            json!({"max_tokens": 1, "messages": [{"role": "user", "content": [{"type": "image"}]}]}),
            400,
            "invalid_request_error",
            "messages[0].content[0]",
        ),
        (
            json!({"model": "x", "max_tokens": 1, "messages": [{"role": "user", "content": "a"}]}),
            404,
            "not_found_error",
            "name one of tiny",
        ),
    ] {
        let told = serve.post("/v1/messages", &body);
        let (message, _) = told.error();
        assert!(told.status == status && message.contains(part), "{body}: {message}");
        assert_eq!(
            (&told.json()["type"], &told.json()["error"]["type"]),
            (&json!("error"), &json!(kind))
        );
    }
}

#[test]
fn ollamas_clients_are_answered_line_by_line() {
    let serve = Serve::start(&[]);
    let options = json!({"num_predict": 9, "temperature": 0});
    let chat = |stream: bool| {
        json!({"model": "tiny:latest", "stream": stream, "options": options, "keep_alive": "5m",
            "messages": [{"role": "user", "content": "hello"}]})
    };
    let whole = serve.post("/api/chat", &chat(false)).json();
    assert_eq!((&whole["done"], &whole["eval_count"]), (&json!(true), &json!(9)), "{whole}");
    let lines = serve.post("/api/chat", &chat(true));
    assert!(lines.head.contains("content-type: application/x-ndjson"), "{}", lines.head);
    let lines: Vec<Value> =
        lines.body.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let text: String =
        lines.iter().filter_map(|line| line["message"]["content"].as_str()).collect();
    assert_eq!(whole["message"]["content"], text);
    let (last, others) = lines.split_last().unwrap();
    assert_eq!((&last["done"], &last["done_reason"]), (&json!(true), &json!("length")));
    assert!(others.iter().all(|line| line["done"] == false));

    let generate = json!({"model": "tiny", "prompt": "hello", "stream": false, "options": options});
    let generated = serve.post("/api/generate", &generate).json();
    assert_eq!(generated["response"], text, "a prompt is a conversation of one message");
    let only_load = serve.post("/api/generate", &json!({"model": "tiny"})).json();
    assert_eq!(only_load["done_reason"], "load");
    let tags = serve.get("/api/tags").json();
    assert_eq!(tags["models"][0]["name"], "tiny");
    assert_eq!(tags["models"][0]["details"]["family"], "llama");
    let shown = serve.post("/api/show", &json!({"model": "tiny"})).json();
    assert_eq!(shown["capabilities"], json!(["completion"]));
    assert_eq!(serve.get("/api/ps").json()["models"][0]["context_length"], 512);
    assert!(serve.get("/api/version").json()["version"].is_string());
    for (path, body, status, part) in [
        ("/api/chat", json!({}), 400, "model is missing"),
        ("/api/chat", json!({"model": "x"}), 404, "name one of tiny"),
        ("/api/chat", json!({"model": "tiny", "format": "json"}), 400, "format is not supported"),
        (
            "/api/chat",
            json!({"model": "tiny", "options": {"mirostat": 1}}),
            400,
            "options.mirostat",
        ),
        (
            "/api/chat",
            json!({"model": "tiny", "messages": [{"role": "user", "content": "a",
            "images": ["x"]}]}),
            400,
            "messages[0].images",
        ),
        ("/api/embed", json!({"model": "tiny", "input": "a"}), 400, "gives no vectors"),
    ] {
        let told = serve.post(path, &body);
        let message = told.json()["error"].as_str().unwrap().to_owned();
        assert!(told.status == status && message.contains(part), "{path} {body}: {message}");
    }
}

#[test]
fn an_encoder_gives_the_vectors_of_wisp_embed() {
    let folder = bert();
    let path = folder.path().to_str().unwrap();
    let serve = Serve::start_with(path, &[]);
    let name = folder.path().file_name().unwrap().to_str().unwrap();
    let mut command = wisp(&home());
    let texts = "\"the cat\"\n\"sat on the mat\"\n";
    let run = common::run_with(command.args(["embed", path, "--json"]), texts);
    let expected: Value = serde_json::from_str(run.ok()).unwrap();
    let close = |given: &Value, wanted: &Value| {
        let numbers = |value: &Value| -> Vec<f64> {
            value.as_array().unwrap().iter().map(|number| number.as_f64().unwrap()).collect()
        };
        let (given, wanted) = (numbers(given), numbers(wanted));
        assert_eq!(given.len(), wanted.len());
        assert!(given.iter().zip(&wanted).all(|(a, b)| (a - b).abs() < 1e-4));
    };
    let asked = json!({"model": name, "input": ["the cat", "sat on the mat"]});
    let given = serve.post("/v1/embeddings", &asked);
    assert_eq!(given.status, 200, "{}", given.body);
    for at in 0..2 {
        close(&given.json()["data"][at]["embedding"], &expected["embeddings"][at]);
    }
    let given = serve.post("/api/embed", &asked).json();
    close(&given["embeddings"][1], &expected["embeddings"][1]);
    let long = json!({"model": name, "input": "the ".repeat(600)});
    let told = serve.post("/v1/embeddings", &long);
    assert!(told.status == 400 && told.error().0.contains("but the model takes"), "{}", told.body);
    assert_eq!(serve.post("/api/embed", &long).status, 200, "Ollama's are cut");
    let told = serve.post("/v1/completions", &json!({"prompt": "the cat"}));
    assert!(told.status == 400 && told.error().0.contains("encoder"), "{}", told.body);
}

#[test]
fn answers_that_are_made_together_are_those_made_alone() {
    let serve = Serve::start(&["--parallel", "5"]);
    let text = |told: Told| told.json()["choices"][0]["message"]["content"].clone();
    let asked: Vec<Value> = (0..9).map(|at| chat(&"ab".repeat(5 * at + 1), 20)).collect();
    let alone: Vec<Value> =
        asked.iter().map(|body| text(serve.post("/v1/chat/completions", body))).collect();
    let together: Vec<Value> = std::thread::scope(|scope| {
        let serve = &serve;
        let ask = |body| scope.spawn(move || text(serve.post("/v1/chat/completions", body)));
        let all: Vec<_> = asked.iter().map(ask).collect();
        all.into_iter().map(|one| one.join().unwrap()).collect()
    });
    assert_eq!(alone, together);
}

#[test]
fn tokens_and_templates_are_those_of_the_command_line() {
    let serve = Serve::start(&[]);
    let tokens = serve.post("/tokenize", &json!({"content": "hello there"})).json();
    let model = serve.model.as_ref().unwrap().path();
    let there = run_model(&["detokenize", model, "--tokens", &ids(&tokens["tokens"])]);
    assert_eq!(there.ok().trim_end(), "hello there");
    let back = serve.post("/detokenize", &tokens).json();
    assert_eq!(back["content"], "hello there");
    let spelled = json!({"content": "<|im_start|>", "parse_special": false});
    let spelled = serve.post("/tokenize", &spelled).json();
    let parsed = serve.post("/tokenize", &json!({"content": "<|im_start|>"})).json();
    let count = |told: &Value| told["tokens"].as_array().unwrap().len();
    assert!(count(&parsed) == 1 && count(&spelled) > 1, "{parsed} {spelled}");
    let prompt = serve.post("/apply-template", &json!({"messages": chat("hello", 1)["messages"]}));
    assert!(prompt.json()["prompt"].as_str().unwrap().contains("hello"), "{}", prompt.body);
    let props = serve.get("/props").json();
    assert_eq!(props["models"][0]["context"], 512);
    let listed = serve.get("/v1/models").json();
    assert_eq!(listed["data"][0]["id"], "tiny");
    assert_eq!(serve.get("/v1/models/tiny").json()["object"], "model");
}

fn ids(tokens: &Value) -> String {
    let ids = tokens.as_array().unwrap().iter().map(Value::to_string);
    ids.collect::<Vec<_>>().join(",")
}
