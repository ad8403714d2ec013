//! Files and calls that are wrong: each is one sentence, never a panic.

#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used)]

use serde_json::{Value, json};
use wisp_base::Error;
use wisp_tokenizer::{ChatTemplate, Tokenizer, Vocabulary};

fn small() -> Vocabulary {
    let tokens = ["a", "b", "ab", "<|im_end|>", "<tool>", "<s>"];
    Vocabulary {
        model: "gpt2".into(),
        tokens: tokens.map(String::from).into(),
        types: vec![1, 1, 1, 3, 4, 3],
        merges: vec!["a b".into()],
        bos: Some(5),
        eos: Some(3),
        ..Vocabulary::default()
    }
}

fn error(vocabulary: Vocabulary) -> Error {
    Tokenizer::from_vocabulary(vocabulary).err().expect("an error")
}

fn says(error: &Error, words: &[&str]) {
    let text = error.to_string();
    for word in words {
        assert!(text.contains(word), "{text:?} lacks {word:?}");
    }
    assert!(!text.contains('\n'), "{text:?}");
}

#[test]
fn what_is_not_supported_is_named() {
    for model in ["rwkv", "plamo2", ""] {
        let wrong = error(Vocabulary { model: model.into(), ..small() });
        assert!(matches!(wrong, Error::Unsupported(_)));
        says(&wrong, &[&format!("'{model}'"), "gpt2"]);
    }
    let wrong = error(Vocabulary { pre: Some("new-one".into()), ..small() });
    assert!(matches!(wrong, Error::Unsupported(_)));
    says(&wrong, &["'new-one'", "default, gpt-2, smollm, llama-bpe"]);
    for pre in [
        "default",
        "gpt-2",
        "smollm",
        "llama-bpe",
        "llama3",
        "llama-v3",
        "qwen2",
        "deepseek-r1-qwen",
    ] {
        Tokenizer::from_vocabulary(Vocabulary { pre: Some(pre.into()), ..small() }).expect(pre);
    }
}

#[test]
fn other_kinds_with_lists_that_do_not_fit() {
    let of = |model: &str| Vocabulary { model: model.into(), eos: None, bos: None, ..small() };
    for model in ["llama", "t5"] {
        says(&error(of(model)), &["0 scores", "tokenizer.ggml.scores"]);
    }
    let t5 = Vocabulary { scores: vec![0.0; 6], ..of("t5") };
    says(&error(Vocabulary { scores: vec![f32::NAN; 6], ..t5.clone() }), &["not a number"]);
    for charsmap in [vec![1], vec![255; 8], vec![8, 0, 0, 0, 1]] {
        says(&error(Vocabulary { charsmap, ..t5.clone() }), &["precompiled_charsmap"]);
    }
    // Tables that are whole, but point anywhere.
    for byte in 0..=255 {
        let mut charsmap = vec![16, 0, 0, 0];
        charsmap.extend([byte; 20]);
        let tokenizer = Tokenizer::from_vocabulary(Vocabulary { charsmap, ..t5.clone() });
        let encoded = tokenizer.expect("a table").encode("aé b\u{ff}".as_bytes(), true, true);
        if let Err(error) = encoded {
            says(&error, &["precompiled_charsmap"]);
        }
    }
    for model in ["none", "no_vocab"] {
        says(&error(of(model)), &["no tokenizer", "token ids"]);
    }
    // Nothing to write a byte with, and no unknown token: it is left out.
    for model in ["llama", "bert"] {
        let scores = vec![f32::NAN; 6];
        let tokenizer = Tokenizer::from_vocabulary(Vocabulary { scores, ..of(model) });
        tokenizer.expect(model).encode(b"\xFF xyz a", true, true).expect(model);
    }
}

#[test]
fn a_damaged_vocabulary() {
    let tokens = |tokens: &[&str]| tokens.iter().map(|token| token.to_string()).collect();
    says(&error(Vocabulary { tokens: vec![], ..small() }), &["empty"]);
    says(&error(Vocabulary { types: vec![1], ..small() }), &["6 tokens", "1 token types"]);
    let twice = Vocabulary { tokens: tokens(&["a", "b", "ab", "a", "x", "y"]), ..small() };
    says(&error(twice), &["\"a\" twice", "id 0", "id 3"]);
    // What readers of files write for bytes that are not UTF-8 may come twice.
    let unread =
        Vocabulary { tokens: tokens(&["a", "b", "ab", "\u{fffd}", "\u{fffd}", ""]), ..small() };
    Tokenizer::from_vocabulary(unread).expect("a tokenizer");
    for merge in ["", " ", "a", "ab", "a ", " a"] {
        says(
            &error(Vocabulary { merges: vec![merge.into()], ..small() }),
            &["merge 0", "two tokens"],
        );
    }
    for (merge, token) in
        [("a c", "\"c\""), ("c a", "\"c\""), ("b a", "\"ba\""), ("a b c", "\"b c\"")]
    {
        says(&error(Vocabulary { merges: vec![merge.into()], ..small() }), &["merge 0", token]);
    }
}

/// What converters write for "none" (2³² - 1), and any other id that no token has: the kind's
/// usual ids stay, as in llama.cpp.
#[test]
fn special_ids_that_no_token_has_are_none() {
    for none in [6, 7, u32::MAX - 1, u32::MAX] {
        let none = Some(none);
        let absent = Vocabulary {
            bos: none,
            eos: none,
            eot: none,
            eom: none,
            sep: none,
            cls: none,
            unk: none,
            pad: none,
            add_bos: Some(true),
            add_eos: Some(true),
            ..small()
        };
        let tokenizer = Tokenizer::from_vocabulary(absent.clone()).expect("a tokenizer");
        assert_eq!((tokenizer.bos(), tokenizer.eos()), (None, None));
        assert_eq!(tokenizer.encode(b"ab", true, true).expect("ids"), [2]);
        // The one that its text makes an end.
        assert!((0..6).all(|id| tokenizer.is_end_of_generation(id) == (id == 3)));
        let scores = vec![0.0; 6];
        let llama = Vocabulary { model: "llama".into(), scores, merges: vec![], ..absent };
        let llama = Tokenizer::from_vocabulary(llama).expect("a tokenizer");
        assert_eq!((llama.bos(), llama.eos()), (Some(1), Some(2)));
    }
}

/// Embeddings have more rows than there are tokens: an id without a token is no text, one
/// beyond the rows is none of the model's.
#[test]
fn ids_of_rows_without_a_token_are_no_text() {
    let text = "{\"model\": {\"type\": \"WordLevel\", \"vocab\": {\"a\": 0, \"b\": 2}, \"unk_token\": \"a\"}}";
    let json = Tokenizer::from_json(text.as_bytes(), None).expect("a tokenizer");
    let gguf = Tokenizer::from_vocabulary(small()).expect("a tokenizer");
    for (tokenizer, known, rows) in [(gguf, 6, 9), (json, 3, 7)] {
        let alone = tokenizer.decode(&[0, 0], true).expect("text");
        let tokenizer = tokenizer.with_rows(rows);
        assert_eq!(tokenizer.vocab_size(), known);
        let last = rows as u32 - 1;
        assert_eq!(tokenizer.decode(&[0, last, 0, known as u32], true).expect("text"), alone);
        assert_eq!(tokenizer.token_bytes(last).as_deref(), Some(&b""[..]));
        assert!(tokenizer.token_bytes(last + 1).is_none());
        let mut stream = tokenizer.stream();
        let mut streamed = String::new();
        for id in [0, last, 0, last] {
            streamed.push_str(&stream.push(id).expect("text"));
        }
        streamed.push_str(&stream.finish());
        assert_eq!(streamed, alone);
        for error in [stream.push(last + 1).err(), tokenizer.decode(&[last + 1], true).err()] {
            says(
                &error.expect("an error"),
                &["is not in the vocabulary", &format!("has {rows} tok")],
            );
        }
    }
}

#[test]
fn special_tokens() {
    let tokenizer = Tokenizer::from_vocabulary(Vocabulary {
        add_bos: Some(true),
        add_eos: Some(true),
        ..small()
    })
    .expect("a tokenizer");
    let encode =
        |text: &str, add, parse| tokenizer.encode(text.as_bytes(), add, parse).expect("ids");
    assert_eq!(encode("ab", true, false), [5, 2, 3]);
    assert_eq!(encode("", true, false), [5, 3]);
    assert!(encode("", false, true).is_empty());
    assert_eq!(encode("a<|im_end|>b<tool>", false, true), [0, 3, 1, 4]);
    // Bytes without a token are left out.
    assert_eq!(encode("a<|im_end|>b<tool>", false, false), [0, 1, 4]);
    assert_eq!(tokenizer.vocab_size(), 6);
    assert_eq!((tokenizer.bos(), tokenizer.eos()), (Some(5), Some(3)));
    assert!(tokenizer.is_control(3) && !tokenizer.is_control(4) && !tokenizer.is_control(99));
    assert!(tokenizer.is_end_of_generation(3) && !tokenizer.is_end_of_generation(5));
    assert_eq!(tokenizer.token_bytes(3).as_deref(), Some(&b""[..]));
    assert_eq!(tokenizer.token_bytes(4).as_deref(), Some(&b"<tool>"[..]));
    assert_eq!(tokenizer.token_bytes(6), None);
    assert_eq!((tokenizer.token_text(3), tokenizer.token_text(6)), (Some("<|im_end|>"), None));
    assert_eq!(tokenizer.decode(&[5, 2, 4, 3], false).expect("text"), "ab<tool>");
    assert_eq!(tokenizer.decode(&[5, 2, 4, 3], true).expect("text"), "<s>ab<tool><|im_end|>");
    says(&tokenizer.decode(&[2, 6], true).expect_err("an error"), &["token 6", "6 tokens"]);
    says(&tokenizer.stream().push(u32::MAX).expect_err("an error"), &["token 4294967295"]);

    let eot = Vocabulary { eos: None, eot: Some(0), eom: Some(1), ..small() };
    let tokenizer = Tokenizer::from_vocabulary(eot).expect("a tokenizer");
    assert!([0, 1, 3].map(|id| tokenizer.is_end_of_generation(id)) == [true; 3]);
    // A control token that merges would spell stays text.
    let spelt = Vocabulary { types: vec![1, 1, 3, 3, 4, 3], ..small() };
    let tokenizer = Tokenizer::from_vocabulary(spelt).expect("a tokenizer");
    assert_eq!(tokenizer.encode(b"ab", false, false).expect("ids"), [0, 1]);
    assert_eq!(tokenizer.encode(b"ab", false, true).expect("ids"), [2]);
    // Types that a converter got wrong.
    let ordinary = Vocabulary { types: vec![], ..small() };
    assert!(Tokenizer::from_vocabulary(ordinary).expect("a tokenizer").is_control(3));
}

#[test]
fn a_damaged_tokenizer_json() {
    let error = |file: &str| Tokenizer::from_json(file.as_bytes(), None).err().expect(file);
    for file in
        ["", "{", "[]", "null", "{}", "{\"model\":{}}", "{\"model\":{\"type\":\"BPE\"}}", "\u{0}"]
    {
        says(&error(file), &["tokenizer.json"]);
    }
    says(&error(&"[".repeat(100_000)), &["tokenizer.json"]);
    let bpe = |vocab: Value, merges: Value, prefix: Value| {
        json!({"model": {"type": "BPE", "vocab": vocab, "merges": merges, "continuing_subword_prefix": prefix}}).to_string()
    };
    let vocab = json!({"a": 0, "b": 1});
    says(&error(&bpe(vocab.clone(), json!([["a", "b"]]), Value::Null)), &["\"ab\""]);
    says(&error(&bpe(vocab.clone(), json!(["a b"]), Value::Null)), &["\"ab\""]);
    says(&error(&bpe(vocab.clone(), json!(["c a"]), Value::Null)), &["\"c\""]);
    says(&error(&bpe(vocab, json!([["a", "b"]]), json!("###"))), &["###"]);
    says(&error(&bpe(json!({"a": 4_000_000_000_u32}), json!([]), Value::Null)), &["4000000000"]);
    let wrong = Tokenizer::from_json(b"{}", Some(b"[")).err().expect("an error");
    says(&wrong, &["tokenizer_config.json"]);
}

#[test]
fn tokenizer_config_json() {
    let added = |id: u32, content: &str, special: bool| json!({"id": id, "content": content, "special": special, "single_word": false, "lstrip": false, "rstrip": false, "normalized": false});
    let file = json!({
        "model": {"type": "BPE", "vocab": {"a": 0, "b": 1, "c": 7}, "merges": []},
        "added_tokens": [added(3, "<s>", true), added(4, "<|eot_id|>", true), added(5, "<t>", false)],
        "decoder": {"type": "ByteLevel", "add_prefix_space": true, "trim_offsets": true, "use_regex": true},
    })
    .to_string();
    let load = |config: Value| {
        Tokenizer::from_json(file.as_bytes(), Some(config.to_string().as_bytes()))
            .expect("a tokenizer")
    };
    let tokenizer = load(json!({
        "bos_token": {"content": "<s>"}, "eos_token": "b", "add_bos_token": true,
        "chat_template": [{"name": "tool_use", "template": "no"}, {"name": "default", "template": "{{ bos_token }}|{{ eos_token }}"}],
    }));
    assert_eq!(tokenizer.encode(b"a<t>", true, true).expect("ids"), [3, 0, 5]);
    assert_eq!((tokenizer.bos(), tokenizer.eos(), tokenizer.vocab_size()), (Some(3), Some(1), 8));
    assert!(tokenizer.is_end_of_generation(1) && tokenizer.is_end_of_generation(4));
    let chat = tokenizer.chat().expect("a template");
    assert_eq!(chat.render(&json!([]), None, false).expect("text"), "<s>|b");
    // No token has the id 6.
    assert_eq!((tokenizer.token_text(6), tokenizer.token_bytes(6)), (None, Some(Vec::new())));
    assert_eq!(tokenizer.decode(&[0, 6, 1], true).expect("text"), "ab");
    let tokenizer = load(json!({"bos_token": null, "chat_template": null}));
    assert_eq!(tokenizer.encode(b"a<s>", true, true).expect("ids"), [0, 3]);
    assert_eq!(tokenizer.encode(b"a<s>", true, false).expect("ids"), [0]);
    assert!(!tokenizer.has_chat_template());
}

/// transformers makes its generation's settings of config.json where a folder has no others.
#[test]
fn end_tokens_of_config_json_where_no_other_file_names_them() {
    let file = json!({
        "model": {"type": "BPE", "vocab": {"a": 0, "b": 1, "c": 2, "d": 3}, "merges": []},
        "added_tokens": [], "decoder": {"type": "ByteLevel", "add_prefix_space": true, "trim_offsets": true, "use_regex": true},
    })
    .to_string();
    let ends = |config: Value, generation: Option<Value>| {
        let (config, generation) = (config.to_string(), generation.map(|g| g.to_string()));
        let tokenizer = Tokenizer::from_folder(|name| match name {
            "tokenizer.json" => Some(file.as_bytes()),
            "config.json" => Some(config.as_bytes()),
            "generation_config.json" => generation.as_ref().map(|g| g.as_bytes()),
            _ => None,
        })
        .expect("a tokenizer");
        let ends = (0..4).filter(|id| tokenizer.is_end_of_generation(*id)).collect::<Vec<u32>>();
        (tokenizer.bos(), tokenizer.eos(), ends)
    };
    assert_eq!(ends(json!({"eos_token_id": 2}), None), (None, Some(2), vec![2]));
    let several = json!({"bos_token_id": 0, "eos_token_id": [3, 1]});
    assert_eq!(ends(several.clone(), None), (Some(0), Some(3), vec![1, 3]));
    let nested =
        json!({"eos_token_id": null, "text_config": {"bos_token_id": 0, "eos_token_id": [2]}});
    assert_eq!(ends(nested, None), (Some(0), Some(2), vec![2]));
    let both = json!({"eos_token_id": 3, "text_config": {"eos_token_id": 1}});
    assert_eq!(ends(both, None).2, [3]);
    // What generation_config.json says comes before it.
    assert_eq!(ends(several.clone(), Some(json!({"eos_token_id": 2}))).2, [2]);
    assert_eq!(ends(several, Some(json!({"temperature": 0.5}))).2, [1, 3]);
    // Neither -1 nor an id that no token has is the end of anything.
    assert_eq!(
        ends(json!({"bos_token_id": 9, "eos_token_id": [-1, 4_294_967_297u64, 9]}), None),
        (None, None, vec![])
    );
    for odd in [json!("118"), json!([118.0]), json!([[118]]), json!(true)] {
        let config = json!({"eos_token_id": odd}).to_string();
        let read = Tokenizer::from_folder(|name| match name {
            "tokenizer.json" => Some(file.as_bytes()),
            "config.json" => Some(config.as_bytes()),
            _ => None,
        });
        let said = read.map(|_| ()).unwrap_err().to_string();
        assert!(said.starts_with("config.json cannot be read: its eos_token_id is "), "{said}");
    }
}

#[test]
fn chat() {
    let none = Tokenizer::from_vocabulary(small()).expect("a tokenizer");
    assert!(!none.has_chat_template());
    let plain = none.chat().expect("a dialogue");
    let talk = json!([
        {"role": "system", "content": "Be brief. "}, {"role": "user", "content": "Hi"},
        {"role": "assistant", "content": " Hello"}, {"role": "user", "content": "Why?\n"},
    ]);
    let text = plain.render(&talk, None, true).expect("text");
    assert_eq!(text, "Be brief.\n\nUser: Hi\nAssistant: Hello\nUser: Why?\nAssistant:");
    assert!(plain.stop().contains(&"\nUser:"));
    let tools = plain.render(&talk, Some(&json!([{}])), true).expect_err("an error");
    says(&tools, &["no chat template", "tools"]);
    let bad = Vocabulary { chat_template: Some("a\n{% if %}".into()), ..small() };
    let bad = Tokenizer::from_vocabulary(bad).expect("a bad template is no use, but no harm");
    says(&bad.chat().expect_err("an error"), &["chat template cannot be read", "line 2"]);
    let good =
        Vocabulary { chat_template: Some("{{ bos_token }}{{ eos_token }}".into()), ..small() };
    let good = Tokenizer::from_vocabulary(good).expect("a tokenizer");
    let chat = good.chat().expect("a template");
    assert_eq!(chat.render(&json!([]), None, true).expect("text"), "<s><|im_end|>");

    let render = |source: &str, messages: Value| {
        ChatTemplate::new(source, None, None).and_then(|chat| chat.render(&messages, None, false))
    };
    let fails = |source: &str, messages| render(source, messages).expect_err(source);
    says(&fails("", json!({"role": "user"})), &["not a list"]);
    says(&fails("", json!("x")), &["not a list"]);
    says(&fails("", json!([{"role": "user"}, {"content": "x"}])), &["message 1 has no role"]);
    says(&fails("", json!([{"role": 1}])), &["message 0 has no role"]);
    says(&fails("", json!(["x"])), &["message 0 has no role"]);
    says(
        &fails("{{ raise_exception('Not so!') }}", json!([])),
        &["refuses these messages: Not so!"],
    );
    let in_macro = "{% macro m() %}{{ raise_exception('Nor so') }}{% endmacro %}{{ m() }}";
    says(&fails(in_macro, json!([])), &["refuses these messages: Nor so"]);
    says(&fails("a\n{{ x | nothing }}", json!([])), &["line 2", "nothing"]);
    says(&fails("{{ x.y.z }}", json!([])), &["line 1", "undefined"]);
    says(&fails(&" ".repeat(1 << 18), json!([])), &["262144 bytes"]);
    let date = render("{{ strftime_now('%Y-%m-%d|%d %b %Y') }}", json!([])).expect("a date");
    assert!(date.len() == 22 && date.starts_with("20"), "{date}");
    says(&fails("{{ strftime_now('%!') }}", json!([])), &["strftime_now"]);
    assert_eq!(render("a\n\n", json!([])).expect("text"), "a\n");
}

#[test]
fn can_be_shared() {
    fn shared<T: Send + Sync>() {}
    shared::<Tokenizer>();
    shared::<ChatTemplate>();
    shared::<wisp_tokenizer::Stream>();
}
