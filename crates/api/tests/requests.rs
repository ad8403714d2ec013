//! Requests as clients send them: each field is honoured, ignored by the table, or refused by
//! its path.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use serde_json::{Value, json};
use wisp_api::{
    EmbeddingFormat, EmbeddingInput, EmbeddingRequest, Endpoint, GenerationRequest, IGNORED,
    Refusal, ResponseForm, UNSUPPORTED,
};
use wisp_base::Error;
use wisp_runtime::{Prompt, Sampling};

fn read(endpoint: Endpoint, base: Value, more: &Value) -> Result<GenerationRequest, Refusal> {
    let mut body = base;
    body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    GenerationRequest::read(endpoint, &body.to_string(), 7)
}

fn chat(more: Value) -> Result<GenerationRequest, Refusal> {
    read(Endpoint::Chat, json!({"messages": [{"role": "user", "content": "a"}]}), &more)
}

fn completion(more: Value) -> Result<GenerationRequest, Refusal> {
    read(Endpoint::Completions, json!({"prompt": "a"}), &more)
}

fn tools_of(request: GenerationRequest) -> Option<Value> {
    let Prompt::Chat { tools, .. } = request.request.prompt else { panic!("a conversation") };
    tools
}

#[test]
fn every_setting_reaches_the_engine() {
    let request = chat(json!({
        "model": "m", "stream": true, "stream_options": {"include_usage": true},
        "max_completion_tokens": 9, "max_tokens": 4, "stop": ["x", "y"], "seed": -1,
        "temperature": 0.5, "top_p": 0.25, "top_k": 3, "min_p": 0.125, "frequency_penalty": -1,
        "presence_penalty": 2, "repetition_penalty": 1.5, "logit_bias": {"5": -100, "6": 1.5},
        "logprobs": true, "top_logprobs": 2, "n": 1,
    }));
    let request = request.unwrap();
    assert_eq!(request.model.as_deref(), Some("m"));
    let form = ResponseForm {
        endpoint: Endpoint::Chat,
        stream: true,
        include_usage: true,
        logprobs: true,
    };
    assert_eq!(request.form, form);
    let asked = request.request;
    assert_eq!((asked.max_tokens, asked.logprobs), (9, Some(2)));
    assert_eq!(asked.stop, ["x", "y"]);
    let sampling = Sampling {
        temperature: 0.5,
        top_p: 0.25,
        top_k: 3,
        min_p: 0.125,
        frequency_penalty: -1.0,
        presence_penalty: 2.0,
        repetition_penalty: 1.5,
        logit_bias: vec![(5, -100.0), (6, 1.5)],
        seed: u64::MAX,
    };
    assert_eq!(asked.sampling, sampling);
}

#[test]
fn defaults_are_those_of_openai_and_null_counts_as_absent() {
    let request = chat(json!({"temperature": null, "stop": null, "stream": null, "tools": null}));
    let asked = request.unwrap().request;
    let usual = Sampling { temperature: 1.0, seed: 7, ..Sampling::default() };
    assert_eq!((asked.sampling, asked.max_tokens), (usual, usize::MAX));
    assert_eq!((asked.stop, asked.logprobs), (Vec::new(), None));
}

#[test]
fn messages_reach_the_template_as_it_knows_them() {
    let call = json!({"id": "1", "type": "function", "function": {"name": "f", "arguments": "{}"}});
    let tools = json!([{"type": "function", "function": {"name": "f"}}]);
    let request = chat(json!({
        "messages": [
            {"role": "developer", "content": "rules"},
            {"role": "user", "content": [{"type": "text", "text": "a "}, {"type": "text", "text": "b"}]},
            {"role": "assistant", "content": null, "tool_calls": [call]},
            {"content": "4", "tool_call_id": "1", "name": null, "role": "tool"},
        ],
        "tools": tools,
    }));
    let Prompt::Chat { messages, tools: given } = request.unwrap().request.prompt else {
        panic!("a conversation")
    };
    let want = json!([
        {"role": "system", "content": "rules"},
        {"role": "user", "content": "a b"},
        {"role": "assistant", "content": "", "tool_calls": [call]},
        {"role": "tool", "content": "4", "tool_call_id": "1"},
    ]);
    assert_eq!((&messages, given), (&want, Some(tools)));
    // In the client's order: a template may write a message as JSON.
    assert_eq!(messages[3].to_string(), r#"{"content":"4","tool_call_id":"1","role":"tool"}"#);
    let none =
        json!({"tools": [{"type": "function", "function": {"name": "f"}}], "tool_choice": "none"});
    assert_eq!(tools_of(chat(none).unwrap()), None);
}

#[test]
fn what_is_wrong_is_named_by_its_path() {
    let user = |content: Value| json!({"messages": [{"role": "user", "content": content}]});
    let cases = [
        (json!({"messages": []}), "messages is []", "messages"),
        (
            json!({"messages": [{"role": "bot", "content": ""}]}),
            "messages[0].role is \"bot\"; it must be system, developer, user, assistant or tool",
            "messages[0].role",
        ),
        (
            json!({"messages": [{"role": "user"}]}),
            "messages[0].content is missing",
            "messages[0].content",
        ),
        (
            user(json!([{"type": "text"}])),
            "messages[0].content[0].text is missing",
            "messages[0].content[0].text",
        ),
        (
            json!({"temperature": 3}),
            "temperature is 3; it must be a number from 0 to 2",
            "temperature",
        ),
        (json!({"n": 2}), "n is 2; it must be 1: one answer a request", "n"),
        (json!({"top_p": "1"}), "top_p is \"1\"", "top_p"),
        (
            json!({"max_tokens": 0}),
            "max_tokens is 0; it must be a whole number, 1 or more",
            "max_tokens",
        ),
        (json!({"max_tokens": 1.5}), "max_tokens is 1.5", "max_tokens"),
        (json!({"stop": [""]}), "stop is [\"\"]", "stop"),
        (json!({"top_logprobs": 2}), "top_logprobs needs logprobs: true", "top_logprobs"),
        (
            json!({"logit_bias": {"x": 1}}),
            "a token of logit_bias is \"x\"",
            "a token of logit_bias",
        ),
        (json!({"logit_bias": {"5": 101}}), "logit_bias.5 is 101", "logit_bias.5"),
        (json!({"temprature": 1}), "temprature is not a field of this request", "temprature"),
        (json!({"tools": "x"}), "tools is \"x\"", "tools"),
        (json!({"tools": [{}]}), "tools[0].function is missing", "tools[0].function"),
        (
            json!({"stream_options": {"include_usage": 1}}),
            "stream_options.include_usage is 1",
            "stream_options.include_usage",
        ),
    ];
    for (more, message, path) in cases {
        let refusal = chat(more.clone()).expect_err(&more.to_string());
        let text = refusal.error.to_string();
        assert!(text.starts_with(message), "{text}");
        assert_eq!((refusal.param.as_deref(), refusal.status()), (Some(path), 400), "{text}");
        let body = serde_json::to_value(refusal.body(|_| None)).unwrap();
        assert_eq!(body["error"]["type"], "invalid_request_error");
        assert_eq!(
            (&body["error"]["param"], &body["error"]["message"]),
            (&json!(path), &json!(text))
        );
    }
    let refusal = GenerationRequest::read(Endpoint::Chat, "[1]", 0).unwrap_err();
    assert!(refusal.error.to_string().starts_with("the body is [1]; it must be an object"));
    let cut = GenerationRequest::read(Endpoint::Chat, "{", 0).unwrap_err();
    assert!(cut.error.to_string().starts_with("the body is not JSON: EOF"));
    let long = chat(json!({"top_p": "y".repeat(500)})).unwrap_err().error.to_string();
    assert!(long.len() < 130 && long.contains('…'), "{long}");
}

#[test]
fn what_is_not_honoured_is_refused_by_name() {
    let image = json!([{"type": "image_url", "image_url": {}}]);
    for (more, path) in [
        (json!({"n": 2}), "n"),
        (json!({"response_format": {"type": "json_object"}}), "response_format"),
        (json!({"tool_choice": "required"}), "tool_choice"),
        (json!({"tool_choice": {"type": "function"}}), "tool_choice"),
        (json!({"echo": true}), "echo"),
        (json!({"messages": [{"role": "user", "content": image}]}), "messages[0].content[0]"),
    ] {
        let refusal = chat(more.clone()).expect_err(&more.to_string());
        assert!(matches!(refusal.error, Error::Unsupported(_)), "{more}");
        assert_eq!(refusal.param.as_deref(), Some(path), "{more}");
    }
    for (name, _) in UNSUPPORTED {
        let refusal = chat(json!({name: {"no": "such"}})).unwrap_err();
        assert_eq!(refusal.param.as_deref(), Some(name));
    }
}

#[test]
fn what_changes_nothing_may_be_passed() {
    for name in IGNORED {
        chat(json!({name: "x"})).unwrap();
        completion(json!({name: "x"})).unwrap();
    }
    let plain = json!({"response_format": {"type": "text"}, "modalities": ["text"], "best_of": 1});
    chat(plain.clone()).unwrap();
    completion(plain).unwrap();
}

#[test]
fn text_completions_take_a_text_or_tokens() {
    let text = completion(json!({"logprobs": 3, "max_tokens": 5})).unwrap();
    assert_eq!(text.request.prompt, Prompt::Text(b"a".to_vec()));
    assert_eq!((text.request.logprobs, text.request.max_tokens), (Some(3), 5));
    let tokens = completion(json!({"prompt": [1, 2.0, 3]})).unwrap();
    assert_eq!(tokens.request.prompt, Prompt::Tokens(vec![1, 2, 3]));
    for wrong in [json!([]), json!(["a", "b"]), json!([-1]), json!([1u64 << 32]), json!(1)] {
        let refusal = completion(json!({"prompt": wrong})).unwrap_err();
        assert!(
            refusal.error.to_string().contains("it must be one text, or one list of token ids")
        );
    }
    assert!(completion(json!({"messages": []})).is_err());
}

#[test]
fn embeddings_take_texts_or_tokens() {
    let read = |input: Value| EmbeddingRequest::read(json!({"input": input}));
    let text = |text: &str| EmbeddingInput::Text(text.into());
    let tokens = |tokens: &[u32]| EmbeddingInput::Tokens(tokens.to_vec());
    assert_eq!(read(json!("a")).unwrap().inputs, [text("a")]);
    assert_eq!(read(json!(["a", "b"])).unwrap().inputs, [text("a"), text("b")]);
    assert_eq!(read(json!([1, 2])).unwrap().inputs, [tokens(&[1, 2])]);
    assert_eq!(read(json!([[1], [2, 3]])).unwrap().inputs, [tokens(&[1]), tokens(&[2, 3])]);
    for wrong in [json!(""), json!([]), json!([[]]), json!([1, "a"]), json!(null)] {
        assert_eq!(read(wrong).unwrap_err().param.as_deref(), Some("input"));
    }
    let format =
        |format: &str| EmbeddingRequest::read(json!({"input": "a", "encoding_format": format}));
    assert_eq!(format("base64").unwrap().format, EmbeddingFormat::Base64);
    assert_eq!(format("hex").unwrap_err().param.as_deref(), Some("encoding_format"));
    let cut = EmbeddingRequest::read(json!({"input": "a", "dimensions": 8})).unwrap_err();
    assert_eq!(cut.param.as_deref(), Some("dimensions"));
}
