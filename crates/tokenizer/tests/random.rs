//! What holds for any text.

#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used)]

use proptest::prelude::*;
use std::sync::LazyLock;
use tokenizers::normalizers::NFC;
use tokenizers::{NormalizedString, Normalizer};
use wisp_tokenizer::{Tokenizer, Vocabulary};

/// Vocabularies with a token for every byte, one a pre-tokenizer, and whether it composes
/// characters before it splits (qwen2's does).
static TOKENIZERS: LazyLock<Vec<(Tokenizer, bool)>> = LazyLock::new(|| {
    let golden = include_str!("data/tokens.json");
    let golden: serde_json::Value = serde_json::from_str(golden).expect("golden data");
    let complete =
        golden["gguf"].as_array().expect("a list").iter().filter(|g| g["pre"] != "smollm");
    let texts = |value: &serde_json::Value| {
        let texts = value.as_array().expect("a list").iter();
        texts.map(|text| text.as_str().expect("text").to_string()).collect()
    };
    let load = |golden: &serde_json::Value| {
        let types = golden["types"].as_array().expect("a list").iter();
        Tokenizer::from_vocabulary(Vocabulary {
            model: "gpt2".into(),
            pre: golden["pre"].as_str().map(String::from),
            tokens: texts(&golden["tokens"]),
            types: types.map(|kind| kind.as_i64().expect("a type") as i32).collect(),
            merges: texts(&golden["merges"]),
            ..Vocabulary::default()
        })
    };
    let mut tokenizers: Vec<_> = complete
        .map(|golden| (load(golden).expect("a tokenizer"), golden["pre"] == "qwen2"))
        .collect();
    let file = golden["json"]["byte_level"]["file"].as_str().expect("a file");
    tokenizers.push((Tokenizer::from_json(file.as_bytes(), None).expect("a tokenizer"), false));
    tokenizers
});

fn bytes_of(tokenizer: &Tokenizer, ids: &[u32]) -> Vec<u8> {
    ids.iter().flat_map(|id| tokenizer.token_bytes(*id).expect("a token")).collect()
}

/// The text with its characters composed (NFC), what is no UTF-8 as it is.
fn composed(text: &[u8]) -> Vec<u8> {
    let mut all = Vec::new();
    for chunk in text.utf8_chunks() {
        let mut valid = NormalizedString::from(chunk.valid());
        NFC.normalize(&mut valid).expect("a text");
        all.extend(valid.get().as_bytes());
        all.extend(chunk.invalid());
    }
    all
}

/// Bytes of pieces that pre-tokenizers and UTF-8 care for.
fn text() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop_oneof![
        any::<[u8; 3]>().prop_map(Vec::from),
        any::<char>().prop_map(|c| c.to_string().into_bytes()),
        "[ \n\r\ta-c0-9'.=!]{1,6}".prop_map(String::into_bytes),
        any::<prop::sample::Index>().prop_map(|i| {
            let texts: [&[u8]; 8] = [
                b"<tool>",
                b"<|end|",
                b"\xF0\x9F",
                b"\xE4\xBD",
                b"\xED\xA0\x80",
                b"\xC3",
                b"'ll",
                b"\x80",
            ];
            texts[i.index(texts.len())].to_vec()
        }),
    ];
    prop::collection::vec(piece, 0..12).prop_map(|pieces| pieces.concat())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn the_tokens_of_a_text_are_its_bytes(text in text()) {
        for (tokenizer, composes) in &*TOKENIZERS {
            let ids = tokenizer.encode(&text, false, false).expect("ids");
            let text = if *composes { composed(&text) } else { text.clone() };
            prop_assert_eq!(&bytes_of(tokenizer, &ids), &text);
            let lossy = String::from_utf8_lossy(&text).into_owned();
            prop_assert_eq!(tokenizer.decode(&ids, true).expect("text"), lossy);
        }
    }

    #[test]
    fn a_stream_gives_what_decode_gives(ids in prop::collection::vec(0_u32..630, 0..30)) {
        for (tokenizer, _) in &*TOKENIZERS {
            let mut stream = tokenizer.stream();
            // Used twice: a stream that has ended begins anew.
            for _ in 0..2 {
                let mut text = String::new();
                for (index, id) in ids.iter().enumerate() {
                    text += &stream.push(*id).expect("an id");
                    // All that is certain has been given: at most 3 bytes are held back.
                    let bytes = bytes_of(tokenizer, &ids[..=index]);
                    let certain = String::from_utf8_lossy(&bytes[..bytes.len().saturating_sub(3)]).into_owned();
                    let known = |text: &str| text.trim_end_matches(char::REPLACEMENT_CHARACTER).len();
                    prop_assert!(known(&text) >= known(&certain));
                }
                text += &stream.finish();
                prop_assert_eq!(&text, &tokenizer.decode(&ids, false).expect("text"));
            }
        }
    }

    #[test]
    fn any_lists_are_an_error_or_a_tokenizer(
        tokens in prop::collection::vec("[abĠé ]{0,3}", 0..9),
        types in prop::collection::vec(-1_i32..8, 0..9),
        merges in prop::collection::vec("[abĠé ]{0,5}", 0..4),
        ids in any::<[Option<u8>; 3]>(),
    ) {
        let [bos, eos, eot] = ids.map(|id| id.map(u32::from).map(|id| id % 12));
        let made = Tokenizer::from_vocabulary(Vocabulary {
            model: "gpt2".into(), tokens, types, merges, bos, eos, eot, add_bos: Some(true), add_eos: Some(true),
            ..Vocabulary::default()
        });
        if let Ok(tokenizer) = made {
            let ids = tokenizer.encode("ab é aab  b".as_bytes(), true, true).expect("ids");
            tokenizer.decode(&ids, true).expect("text");
        }
    }
}

#[test]
fn an_impossible_sequence_is_not_held_back() {
    for (tokenizer, _) in &*TOKENIZERS {
        let byte = |byte: u8| {
            let ids = tokenizer.encode(&[byte], false, false).expect("ids");
            assert_eq!(ids.len(), 1);
            ids[0]
        };
        let mut stream = tokenizer.stream();
        let mut push = |bytes: &[u8]| {
            bytes.iter().map(|b| stream.push(byte(*b)).expect("an id")).collect::<String>()
        };
        assert_eq!(push(b"\xF0\x9F\x98"), "");
        assert_eq!(push(b"\x80"), "😀");
        assert_eq!(push(b"\xFF"), "\u{fffd}");
        assert_eq!(push(b"\xF0\x9F"), "");
        assert_eq!(push(b"a"), "\u{fffd}a");
        assert_eq!(push(b"\xE4\xBD"), "");
        assert_eq!(stream.finish(), "\u{fffd}");
        assert_eq!(stream.finish(), "");
    }
}

#[test]
fn long_words_and_runs() {
    for (tokenizer, _) in &TOKENIZERS[..4] {
        for piece in ["a", " ", "\n", "1", "'", "é", "你", "<tool>", "<|end|>"] {
            let text = piece.repeat(100_000);
            let ids = tokenizer.encode(text.as_bytes(), false, false).expect("ids");
            assert_eq!(bytes_of(tokenizer, &ids), text.as_bytes(), "{piece:?}");
        }
    }
}
