//! Against what Hugging Face's tokenizers and transformers give:
//! `data/make_golden.py` made the data.

#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used)]

use serde_json::Value;
use wisp_tokenizer::{ChatTemplate, Tokenizer, Vocabulary};

const TOKENS: &str = include_str!("data/tokens.json");
const CHAT: &str = include_str!("data/chat.json");

fn parse(text: &str) -> Value {
    serde_json::from_str(text).expect("golden data")
}

fn list(value: &Value) -> &[Value] {
    value.as_array().expect("a list")
}

fn text(value: &Value) -> &str {
    value.as_str().expect("text")
}

fn texts(value: &Value) -> Vec<String> {
    list(value).iter().map(|item| text(item).to_string()).collect()
}

fn ids(value: &Value) -> Vec<u32> {
    list(value).iter().map(|id| id.as_u64().expect("an id") as u32).collect()
}

fn vocabulary(golden: &Value) -> Vocabulary {
    Vocabulary {
        model: "gpt2".into(),
        pre: Some(text(&golden["pre"]).into()),
        tokens: texts(&golden["tokens"]),
        types: ids(&golden["types"]).into_iter().map(|kind| kind as i32).collect(),
        merges: texts(&golden["merges"]),
        ..Vocabulary::default()
    }
}

/// All tokens through a [`wisp_tokenizer::Stream`].
fn streamed(tokenizer: &Tokenizer, ids: &[u32]) -> String {
    let mut stream = tokenizer.stream();
    let mut text: String = ids.iter().map(|id| stream.push(*id).expect("an id")).collect();
    text.push_str(&stream.finish());
    text
}

fn compare(golden: &Value) {
    let pre = text(&golden["pre"]);
    let tokenizer = Tokenizer::from_vocabulary(vocabulary(golden)).expect(pre);
    let mut rows = 0;
    for row in list(&golden["encode"]) {
        let (source, special) = (text(&row[0]), ids(&row[1]));
        let plain = if row[2].is_null() { special.clone() } else { ids(&row[2]) };
        let encode = |parse| tokenizer.encode(source.as_bytes(), false, parse).expect("ids");
        assert_eq!(encode(true), special, "{pre}: {source:?}");
        assert_eq!(encode(false), plain, "{pre}, control tokens as text: {source:?}");
        rows += 1;
    }
    for row in list(&golden["decode"]) {
        let ids = ids(&row[0]);
        assert_eq!(tokenizer.decode(&ids, false).expect("text"), text(&row[1]), "{pre}: {ids:?}");
        assert_eq!(tokenizer.decode(&ids, true).expect("text"), text(&row[2]), "{pre}: {ids:?}");
        assert_eq!(streamed(&tokenizer, &ids), text(&row[1]), "{pre}: {ids:?}");
        rows += 1;
    }
    assert!(rows > 200, "{pre}: {rows} rows");
}

#[test]
fn every_pre_tokenizer() {
    let golden = parse(TOKENS);
    assert_eq!(list(&golden["gguf"]).len(), 5);
    list(&golden["gguf"]).iter().for_each(compare);
}

/// A whole model's vocabulary, where `WISP_TEST_VOCABULARY` names what
/// `make_golden.py model.gguf out.json` wrote.
#[test]
fn a_whole_model() {
    let Ok(path) = std::env::var("WISP_TEST_VOCABULARY") else { return };
    let golden = parse(&std::fs::read_to_string(path).expect("the file"));
    list(&golden["gguf"]).iter().for_each(compare);
}

#[test]
fn tokenizer_json() {
    let golden = parse(TOKENS);
    for kind in ["byte_level", "sentencepiece", "wordpiece"] {
        let golden = &golden["json"][kind];
        let tokenizer = Tokenizer::from_json(text(&golden["file"]).as_bytes(), None).expect(kind);
        for row in list(&golden["rows"]) {
            let (source, want) = (text(&row[0]), ids(&row[1]));
            let got = tokenizer.encode(source.as_bytes(), true, true).expect(kind);
            assert_eq!(got, want, "{kind}: {source:?}");
            assert_eq!(tokenizer.decode(&want, false).expect(kind), text(&row[2]), "{kind}");
            // WordPiece's decoder tidies over the borders of tokens: " !" becomes "!".
            if kind != "wordpiece" {
                assert_eq!(streamed(&tokenizer, &want), text(&row[2]), "{kind}: {source:?}");
            }
        }
    }
}

#[test]
fn plain_text_is_no_control_token_of_a_unigram() {
    let file =
        br#"{"version": "1.0", "added_tokens": [{"id": 1, "content": "</s>", "special": true,
        "single_word": false, "lstrip": false, "rstrip": false, "normalized": false}],
        "model": {"type": "Unigram", "unk_id": 0, "vocab": [["<unk>", 0.0], ["</s>", 0.0],
            ["a", -1.0], ["<", -2.0], ["/", -2.0], ["s", -2.0], [">", -2.0]]}}"#;
    let tokenizer = Tokenizer::from_json(file, None).expect("a tokenizer");
    let ids = |special| tokenizer.encode(b"a</s>a", false, special).expect("ids");
    assert_eq!(ids(true), [2, 1, 2]);
    assert_eq!(ids(false), [2, 3, 4, 5, 6, 2]);
}

#[test]
fn a_gguf_file_and_tokenizer_json_agree() {
    let golden = parse(TOKENS);
    let of_pre = |pre| list(&golden["gguf"]).iter().find(|golden| golden["pre"] == pre);
    let vocabulary = vocabulary(of_pre("llama-bpe").expect("llama-bpe"));
    let gguf = Tokenizer::from_vocabulary(vocabulary).expect("gguf");
    let file = text(&golden["json"]["byte_level"]["file"]);
    let json = Tokenizer::from_json(file.as_bytes(), None).expect("json");
    assert_eq!(gguf.vocab_size(), json.vocab_size());
    for id in 0..gguf.vocab_size() as u32 {
        assert_eq!(gguf.token_bytes(id), json.token_bytes(id), "{id}");
        assert_eq!(gguf.token_text(id), json.token_text(id), "{id}");
        assert_eq!(gguf.is_control(id), json.is_control(id), "{id}");
        assert_eq!(gguf.is_end_of_generation(id), json.is_end_of_generation(id), "{id}");
    }
    for source in
        [&b"a\xFFb <|end|> \xE4\xBD"[..], b"<tool><tool2><tool>", b"", b"\xFF\xFE", b"12 34"]
    {
        for parse in [true, false] {
            let ids = |tokenizer: &Tokenizer| tokenizer.encode(source, false, parse).expect("ids");
            assert_eq!(ids(&gguf), ids(&json), "{source:?}");
        }
    }
}

#[test]
fn chat_templates() {
    let mut rows = 0;
    for golden in list(&parse(CHAT)) {
        let name = text(&golden["name"]);
        let template =
            ChatTemplate::new(text(&golden["source"]), Some("<s>"), Some("</s>")).expect(name);
        for row in list(&golden["rows"]) {
            let tools = Some(&row["tools"]).filter(|tools| !tools.is_null());
            let prompt = row["prompt"].as_bool().expect("a truth value");
            let got = template.render(&row["messages"], tools, prompt);
            match row.get("text") {
                Some(want) => {
                    let got = got.unwrap_or_else(|error| panic!("{name}: {error}"));
                    let lines = got.lines().zip(text(want).lines());
                    lines.for_each(|(got, want)| assert_eq!(got, want, "{name}"));
                    assert_eq!(got, text(want), "{name}");
                }
                None => {
                    let error = got.expect_err(name).to_string();
                    assert!(error.contains(text(&row["error"])), "{name}: {error}");
                }
            }
            rows += 1;
        }
    }
    assert!(rows > 80, "{rows} rows");
}
