//! Requests of Anthropic's and Ollama's clients.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use serde_json::{Value, json};
use wisp_api::{
    ErrorBody, Framing, MessagesRequest, OllamaEmbedRequest, OllamaEndpoint, OllamaRequest,
    Protocol,
};
use wisp_runtime::Prompt;

fn messages(body: &Value) -> (Value, Option<Value>) {
    match MessagesRequest::read(&body.to_string(), 7).unwrap().request.prompt {
        Prompt::Chat { messages, tools } => (messages, tools),
        other => panic!("no conversation: {other:?}"),
    }
}

#[test]
fn a_message_becomes_what_templates_know() {
    let (messages, tools) = messages(&json!({
        "max_tokens": 5,
        "system": [{"type": "text", "text": "Be "}, {"type": "text", "text": "brief."}],
        "messages": [
            {"role": "user", "content": "weather?"},
            {"role": "assistant", "content": [
                {"type": "thinking", "thinking": "hm", "signature": "s"},
                {"type": "text", "text": "I look."},
                {"type": "tool_use", "id": "t1", "name": "weather", "input": {"city": "Oslo"}},
            ]},
            {"role": "user", "content": [
                {"type": "tool_result", "tool_use_id": "t1",
                    "content": [{"type": "text", "text": "rain"}]},
                {"type": "text", "text": "and tomorrow?"},
            ]},
        ],
        "tools": [{"name": "weather", "description": "d", "input_schema": {"type": "object"}}],
        "metadata": {"user_id": "u"},
    }));
    let call = json!({"name": "weather", "arguments": {"city": "Oslo"}});
    let expected = json!([
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "weather?"},
        {"role": "assistant", "content": "I look.",
            "tool_calls": [{"id": "t1", "type": "function", "function": call}]},
        {"role": "tool", "tool_call_id": "t1", "content": "rain"},
        {"role": "user", "content": "and tomorrow?"},
    ]);
    assert_eq!(messages, expected);
    let function = json!({"name": "weather", "description": "d", "parameters": {"type": "object"}});
    assert_eq!(tools, Some(json!([{"type": "function", "function": function}])));
}

#[test]
fn anthropics_settings_are_the_engines() {
    let body = json!({"model": "m", "max_tokens": 5, "temperature": 0.5, "top_p": 0.25, "top_k": 3,
        "stop_sequences": ["a", "b"], "stream": true, "thinking": {"type": "disabled"},
        "messages": [{"role": "user", "content": "a"}]});
    let read = MessagesRequest::read(&body.to_string(), 7).unwrap();
    let (request, sampling) = (&read.request, &read.request.sampling);
    assert_eq!((read.model.as_deref(), read.stream), (Some("m"), true));
    assert_eq!((sampling.temperature, sampling.top_p, sampling.top_k), (0.5, 0.25, 3));
    assert_eq!((sampling.seed, request.max_tokens), (7, 5));
    assert_eq!(request.stop, ["a", "b"]);
}

#[test]
fn what_anthropics_clients_may_not_ask_is_named() {
    let good = json!({"max_tokens": 5, "messages": [{"role": "user", "content": "a"}]});
    for (field, value, path, part) in [
        ("max_tokens", json!(0), "max_tokens", "1 or more"),
        ("temperature", json!(1.5), "temperature", "from 0 to 1"),
        ("thinking", json!({"type": "enabled", "budget_tokens": 9}), "thinking", "not supported"),
        ("tool_choice", json!({"type": "any"}), "tool_choice", "cannot force"),
        ("frequency_penalty", json!(1), "frequency_penalty", "not a field"),
        ("stop_sequences", json!([""]), "stop_sequences", "none of them empty"),
        ("messages", json!([{"role": "system", "content": "a"}]), "messages[0].role", "user or"),
        (
            "messages",
            json!([{"role": "user", "content": [{"type": "tool_use", "id": "a", "name": "b"}]}]),
            "messages[0].content[0]",
            "\"tool_use\"",
        ),
        ("tools", json!([{"type": "bash_20250124", "name": "bash"}]), "tools[0]", "custom tools"),
    ] {
        let mut body = good.clone();
        body[field] = value;
        let refusal = MessagesRequest::read(&body.to_string(), 7).unwrap_err();
        let message = refusal.error.to_string();
        assert_eq!(refusal.param.as_deref(), Some(path), "{message}");
        assert!(message.contains(part) && refusal.status() == 400, "{message}");
    }
}

#[test]
fn ollamas_options_are_the_engines() {
    let body = json!({"model": "m:latest", "prompt": "p", "system": "s", "keep_alive": "5m",
        "template": "", "context": [], "think": false, "options": {"temperature": 0.5, "top_k": 0,
        "top_p": 1, "min_p": 0.1, "repeat_penalty": 1.5, "seed": 3, "num_predict": 9,
        "stop": ["a", ""], "num_ctx": 4096}});
    let read = OllamaRequest::read(OllamaEndpoint::Generate, &body.to_string(), 7).unwrap();
    assert_eq!((read.model.as_str(), read.stream), ("m", true));
    let request = read.request.unwrap();
    let sampling = &request.sampling;
    assert_eq!((sampling.temperature, sampling.top_k, sampling.top_p), (0.5, 0, 1.0));
    assert_eq!((sampling.repetition_penalty, sampling.seed), (1.5, 3));
    assert_eq!((request.max_tokens, request.stop.len()), (9, 1));
    let chat = json!([{"role": "system", "content": "s"}, {"role": "user", "content": "p"}]);
    assert_eq!(request.prompt, Prompt::Chat { messages: chat, tools: None });

    let usual = json!({"model": "m", "prompt": "p", "raw": true});
    let usual = OllamaRequest::read(OllamaEndpoint::Generate, &usual.to_string(), 7).unwrap();
    let request = usual.request.unwrap();
    assert_eq!(request.prompt, Prompt::Text(b"p".into()));
    let sampling = &request.sampling;
    assert_eq!((sampling.temperature, sampling.top_k, sampling.top_p), (0.8, 40, 0.9));
    assert_eq!((sampling.seed, request.max_tokens), (7, usize::MAX));
    // -1: to the end.
    let endless = json!({"model": "m", "prompt": "p", "options": {"num_predict": -1}});
    let endless = OllamaRequest::read(OllamaEndpoint::Generate, &endless.to_string(), 7).unwrap();
    assert_eq!(endless.request.unwrap().max_tokens, usize::MAX);
    let embed = json!({"model": "m", "prompt": "p"}).to_string();
    assert!(OllamaEmbedRequest::read(&embed).unwrap().truncate);
}

#[test]
fn what_ollamas_clients_may_not_ask_is_named() {
    for (body, path) in [
        (json!({"prompt": "p"}), "model"),
        (json!({"model": "m", "prompt": "p", "suffix": "s"}), "suffix"),
        (json!({"model": "m", "prompt": "p", "format": {"type": "object"}}), "format"),
        (json!({"model": "m", "prompt": "p", "think": true}), "think"),
        (json!({"model": "m", "prompt": "p", "images": ["x"]}), "images"),
        (json!({"model": "m", "prompt": "p", "options": {"tfs_z": 1}}), "options.tfs_z"),
        (json!({"model": "m", "prompt": "p", "options": {"top_p": 2}}), "options.top_p"),
        (json!({"model": "m", "prompt": "p", "options": {"stop": [1]}}), "options.stop"),
    ] {
        let read = OllamaRequest::read(OllamaEndpoint::Generate, &body.to_string(), 7);
        assert_eq!(read.unwrap_err().param.as_deref(), Some(path), "{body}");
    }
}

#[test]
fn each_protocol_has_its_paths_frames_and_errors() {
    let body = ErrorBody::new("no".into(), "invalid_request_error", "x");
    for (path, protocol, framing, error) in [
        (
            "/v1/chat/completions",
            Protocol::OpenAi,
            Framing::Events,
            json!({"error": {"message": "no", "type": "invalid_request_error", "param": null,
                "code": "x"}}),
        ),
        (
            "/v1/messages/count_tokens",
            Protocol::Anthropic,
            Framing::NamedEvents,
            json!({"type": "error", "error": {"type": "not_found_error", "message": "no"}}),
        ),
        ("/api/chat", Protocol::Ollama, Framing::Lines, json!({"error": "no"})),
    ] {
        assert_eq!((Protocol::of(path), protocol.framing()), (protocol, framing));
        let told: Value = serde_json::from_str(&protocol.error(404, &body)).unwrap();
        assert_eq!(told, error);
    }
}
