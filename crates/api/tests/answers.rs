//! Answers as clients read them.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use serde_json::{Value, json, to_value};
use wisp_api::{EmbeddingFormat, EmbeddingResponse, Endpoint, Head, ResponseForm, ResponseWriter};
use wisp_base::Error;
use wisp_runtime::{Completion, FinishReason, Logprobs, Piece, Timings};
use wisp_tokenizer::{Tokenizer, Vocabulary};

/// Tokens 0 and 1 are a letter each, 2 begins a character of two bytes, and 3 ends it.
fn tokenizer() -> Tokenizer {
    // "Ã" and "©" stand for the bytes C3 and A9, of which "é" is made.
    let tokens = ["a", "b", "Ã", "©", "<end>"];
    Tokenizer::from_vocabulary(Vocabulary {
        model: "gpt2".into(),
        tokens: tokens.map(String::from).into(),
        types: vec![1, 1, 1, 1, 3],
        eos: Some(4),
        ..Vocabulary::default()
    })
    .unwrap()
}

fn head() -> Head {
    Head { id: "chatcmpl-1".into(), created: 5, model: "m".into() }
}

fn pieces(logprobs: bool) -> Vec<Piece> {
    let piece = |token, text: &str| Piece {
        token: Some(token),
        text: text.into(),
        logprobs: logprobs.then(|| Logprobs { logprob: -0.5, top: vec![(token, -0.5)] }),
    };
    vec![piece(0, "a"), piece(2, ""), piece(3, "é")]
}

fn completion(finish: FinishReason) -> Completion {
    let timings = Timings {
        prefill_ms: 10.0,
        prefill_tokens: 1,
        decode_ms: 20.0,
        decode_tokens: 2,
        accepted_draft_tokens: 0,
    };
    Completion { tokens: vec![0, 2, 3], text: "aé".into(), finish, stop: None, timings }
}

fn form(endpoint: Endpoint) -> ResponseForm {
    ResponseForm { endpoint, stream: false, include_usage: false, logprobs: false }
}

/// All that is written of the pieces, with logprobs where `form` has them.
fn written(form: ResponseForm, finish: FinishReason) -> wisp_base::Result<Vec<Value>> {
    let tokenizer = tokenizer();
    let mut writer = ResponseWriter::new(head(), &tokenizer, form);
    let mut texts = Vec::from_iter(writer.start());
    texts.extend(pieces(form.logprobs).iter().filter_map(|piece| writer.piece(piece)));
    texts.extend(writer.end(&completion(finish), 3)?);
    Ok(texts.iter().map(|text| serde_json::from_str(text).unwrap()).collect())
}

const USAGE: &str = r#"{"prompt_tokens": 3, "completion_tokens": 3, "total_tokens": 6,
    "prompt_tokens_details": {"cached_tokens": 2}}"#;

fn usage() -> Value {
    serde_json::from_str(USAGE).unwrap()
}

#[test]
fn a_whole_answer_has_text_usage_and_how_likely_tokens_were() {
    let form = ResponseForm { logprobs: true, ..form(Endpoint::Chat) };
    let texts = written(form, FinishReason::Stop).unwrap();
    let [whole] = texts.as_slice() else { panic!("{texts:?}") };
    assert_eq!(whole["object"], "chat.completion");
    assert_eq!(
        (&whole["id"], &whole["created"], &whole["model"]),
        (&json!("chatcmpl-1"), &json!(5), &json!("m"))
    );
    let choice = &whole["choices"][0];
    assert_eq!(choice["message"], json!({"role": "assistant", "content": "aé", "refusal": null}));
    assert_eq!((&choice["finish_reason"], &choice["index"]), (&json!("stop"), &json!(0)));
    assert!(choice.get("delta").is_none() && choice.get("text").is_none());
    let first = json!({"token": "a", "logprob": -0.5, "bytes": [97], "top_logprobs": [
        {"token": "a", "logprob": -0.5, "bytes": [97]}
    ]});
    assert_eq!(choice["logprobs"]["content"][0], first);
    assert_eq!(choice["logprobs"]["content"][1]["bytes"], json!([0xc3]));
    assert_eq!(choice["logprobs"].get("refusal"), Some(&Value::Null));
    assert_eq!(whole["usage"], usage());
    assert_eq!(whole["timings"]["prefill_tokens_per_second"], 100.0);
    assert_eq!(whole["timings"]["decode_tokens_per_second"], 100.0);
}

#[test]
fn a_stream_begins_with_the_role_and_ends_with_the_usage() {
    let plain = ResponseForm { stream: true, ..form(Endpoint::Chat) };
    let counting = ResponseForm { include_usage: true, ..plain };
    let chunks = written(counting, FinishReason::Length).unwrap();
    let deltas: Vec<&Value> = chunks.iter().map(|chunk| &chunk["choices"][0]["delta"]).collect();
    let want = [
        json!({"role": "assistant", "content": ""}),
        json!({"content": "a"}),
        json!({"content": "é"}),
        json!({}),
        Value::Null,
    ];
    assert_eq!(deltas, want.iter().collect::<Vec<_>>());
    let reasons: Vec<&Value> =
        chunks.iter().map(|chunk| &chunk["choices"][0]["finish_reason"]).collect();
    assert_eq!(reasons[3], "length");
    assert!(reasons[..3].iter().all(|reason| reason.is_null()));
    assert!(chunks.iter().all(|chunk| chunk["object"] == "chat.completion.chunk"));
    assert!(chunks[..4].iter().all(|chunk| chunk.get("usage") == Some(&Value::Null)));
    assert_eq!(chunks[4]["usage"], usage());
    assert_eq!(chunks[4]["choices"], json!([]));
    assert!(chunks[3].get("timings").is_some() && chunks[4].get("timings").is_none());
    // Who did not ask for it has no such field.
    let chunks = written(plain, FinishReason::Stop).unwrap();
    assert_eq!(chunks.len(), 4);
    assert!(chunks.iter().all(|chunk| chunk.get("usage").is_none()));
}

#[test]
fn what_was_cancelled_is_no_answer() {
    for endpoint in [Endpoint::Chat, Endpoint::Completions] {
        for stream in [false, true] {
            let form = ResponseForm { stream, ..form(endpoint) };
            assert!(matches!(written(form, FinishReason::Cancelled), Err(Error::Cancelled)));
        }
    }
}

#[test]
fn text_completions_say_where_tokens_begin() {
    let whole = ResponseForm { logprobs: true, ..form(Endpoint::Completions) };
    let chunks = written(ResponseForm { stream: true, ..whole }, FinishReason::Stop).unwrap();
    let offset = |chunk: &Value| chunk["choices"][0]["logprobs"]["text_offset"][0].clone();
    assert_eq!(chunks[..3].iter().map(offset).collect::<Vec<_>>(), [0, 1, 1]);
    assert_eq!(chunks[2]["choices"][0]["text"], "é");
    let last = &chunks[3]["choices"][0];
    assert_eq!(
        (&last["text"], &last["logprobs"], &last["finish_reason"]),
        (&json!(""), &Value::Null, &json!("stop"))
    );
    let whole = &written(whole, FinishReason::Stop).unwrap()[0];
    let choice = &whole["choices"][0];
    assert_eq!((&choice["text"], &choice["index"]), (&json!("aé"), &json!(0)));
    let logprobs = &choice["logprobs"];
    assert_eq!(logprobs["tokens"], json!(["a", "\u{fffd}", "\u{fffd}"]));
    assert_eq!(logprobs["token_logprobs"], json!([-0.5, -0.5, -0.5]));
    assert_eq!(logprobs["top_logprobs"][0], json!({"a": -0.5}));
    assert_eq!((&whole["object"], &whole["usage"]), (&json!("text_completion"), &usage()));
}

#[test]
fn endpoints_have_paths_and_ids() {
    assert_eq!(Endpoint::of("chat/completions").unwrap().id("1"), "chatcmpl-1");
    assert_eq!(Endpoint::of("completions").unwrap().id("1"), "cmpl-1");
    assert_eq!(Endpoint::of("embeddings"), None);
}

#[test]
fn embeddings_are_numbers_or_bytes() {
    let vectors = || vec![vec![1.0, -2.0], vec![0.5, 0.0]];
    let make = |format| to_value(EmbeddingResponse::new("m".into(), vectors(), format, 4)).unwrap();
    let floats = make(EmbeddingFormat::Float);
    assert_eq!(
        floats["data"][1],
        json!({"object": "embedding", "index": 1, "embedding": [0.5, 0.0]})
    );
    assert_eq!(floats["usage"], json!({"prompt_tokens": 4, "total_tokens": 4}));
    // 00 00 80 3f, 00 00 00 c0
    assert_eq!(make(EmbeddingFormat::Base64)["data"][0]["embedding"], "AACAPwAAAMA=");
}
