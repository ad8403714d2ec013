//! A folder's tokenizer in the file that `wisp quantize` writes.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use common::checkpoint::{added, around, bert, file, folder, words};
use common::{Run, home, run_model, run_with, wisp};
use serde_json::{Map, Value as Json, json};
use std::path::Path;
use tempfile::TempDir;

/// What is hard for tokenizers; `<s>` and others are control tokens of some.
const TEXTS: [&str; 14] = [
    "",
    " ",
    "the cat sat on the mat",
    "  The  cats\t sat.\n\n\n the\r\nend \n",
    "catcatscat's thethe at ATAT",
    "ünïcödé e\u{301} ½² 東京タワー 你好 привет",
    "👩‍👩‍👧 🚀🔥",
    "\u{10FFFD}\u{E000}x",
    "<s>the cat</s> sat<pad>",
    "[CLS] the cat[SEP]s [MASK] [UNK] [PAD]",
    "the <unk> <0x41> ##s ▁the ▁",
    "aaaaaaaa        aaa",
    "<tool>cat</tool><tool>",
    "1234567890 !?.,;:'\"()[]{}<>|\\/",
];

/// A tiny llama whose matrix has more rows than the vocabulary has tokens.
fn llama(tokens: usize, files: &[(&str, &Json)]) -> TempDir {
    let (rows, wide) = (tokens + 3, 32);
    let config = json!({"model_type": "llama", "hidden_size": wide, "num_attention_heads": 2,
        "num_hidden_layers": 1, "intermediate_size": wide, "max_position_embeddings": 64,
        "rms_norm_eps": 1e-5, "vocab_size": rows, "tie_word_embeddings": true});
    let mut tensors = vec![
        ("model.embed_tokens.weight".to_owned(), vec![rows, wide]),
        ("model.norm.weight".to_owned(), vec![wide]),
    ];
    let matrices = ["q_proj", "k_proj", "v_proj", "o_proj"].map(|name| format!("self_attn.{name}"));
    let feed = ["gate_proj", "up_proj", "down_proj"].map(|name| format!("mlp.{name}"));
    let layer = |name: &str| format!("model.layers.0.{name}.weight");
    let square = matrices.iter().chain(&feed).map(|name| (layer(name), vec![wide, wide]));
    tensors.extend(square);
    let norms = ["input_layernorm", "post_attention_layernorm"];
    tensors.extend(norms.map(|name| (layer(name), vec![wide])));
    folder(&config, &tensors, files)
}

fn tokenize(model: &Path, flags: &[&str]) -> Vec<Json> {
    let input: String = TEXTS.iter().map(|text| json!(text).to_string() + "\n").collect();
    let model = model.to_str().unwrap();
    let mut command = wisp(&home());
    let run = run_with(command.args(["tokenize", model, "--lines"]).args(flags), input);
    run.ok().lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn quantize(folder: &Path, of: &str) -> Run {
    let out = folder.join("out.gguf");
    run_model(&["quantize", folder.to_str().unwrap(), out.to_str().unwrap(), "--type", of])
}

/// The folder as a file makes the same tokens, and its vocabulary is of this kind.
fn same_tokens(folder: &Path, kind: &str) {
    let run = quantize(folder, "f16");
    run.ok();
    assert_eq!(run.stderr, "", "{kind}");
    let file = folder.join("out.gguf");
    let inspect = run_model(&["inspect", file.to_str().unwrap(), "--json"]);
    let inspect: Json = serde_json::from_str(inspect.ok()).unwrap();
    assert_eq!(inspect["metadata"]["tokenizer.ggml.model"], kind);
    for flags in [&[][..], &["--no-special"], &["--parse-special"]] {
        let (want, got) = (tokenize(folder, flags), tokenize(&file, flags));
        assert_eq!(want.len(), TEXTS.len());
        for (text, (want, got)) in TEXTS.iter().zip(want.iter().zip(&got)) {
            assert_eq!(want, got, "{kind} {flags:?} {text:?}");
        }
    }
}

fn replace(from: &Json, to: &str) -> Json {
    json!({"type": "Replace", "pattern": from, "content": to})
}

/// SentencePiece's BPE as its converter of transformers writes it: the merges of a token are
/// all the pairs that make it.
fn pieces(normalizer: Json, pre_tokenizer: Json) -> (usize, Json) {
    let mut tokens: Vec<String> = ["<unk>", "<s>", "</s>"].map(String::from).into();
    tokens.extend((0..256).map(|byte| format!("<0x{byte:02X}>")));
    let made = ["▁t", "he", "▁the", "at", "▁c", "▁cat", "cat", "aa", "aaaa", "▁▁", "sa", "▁s"];
    tokens.extend(made.map(String::from));
    tokens.extend("▁abcdefghijklmnopqrstuvwxyzT.é京".chars().map(String::from));
    let has = |text: &str| tokens.iter().any(|token| token == text);
    let merges: Vec<_> = made
        .iter()
        .flat_map(|text| {
            let cuts = text.char_indices().skip(1).map(|(at, _)| text.split_at(at));
            cuts.filter(|(left, right)| has(left) && has(right)).collect::<Vec<_>>()
        })
        .map(|(left, right)| json!([left, right]))
        .collect();
    let count = tokens.len();
    let vocab: Map<_, _> = (0..).zip(&tokens).map(|(id, t)| (t.clone(), json!(id))).collect();
    let special = tokens[..3].iter().enumerate().map(|(id, text)| added(id, text, true));
    let tool = added(count, "<tool>", false);
    let json = file(&[
        ("added_tokens", special.chain([tool]).collect()),
        ("normalizer", normalizer),
        ("pre_tokenizer", pre_tokenizer),
        ("post_processor", around(Some(("<s>", 1)), None)),
        (
            "model",
            json!({"type": "BPE", "unk_token": "<unk>", "fuse_unk": true, "byte_fallback": true,
                "vocab": vocab, "merges": merges}),
        ),
    ]);
    (count + 1, json)
}

#[test]
fn sentencepiece_s_bpe_is_llama() {
    let config = json!({"bos_token": "<s>", "eos_token": "</s>"});
    let spaces = || replace(&json!({"String": " "}), "▁");
    let prepend = json!({"type": "Prepend", "prepend": "▁"});
    let both = json!({"type": "Sequence", "normalizers": [prepend, spaces()]});
    for normalizer in [both, spaces()] {
        let (count, json) = pieces(normalizer, Json::Null);
        let files = [("tokenizer.json", &json), ("tokenizer_config.json", &config)];
        same_tokens(llama(count, &files).path(), "llama");
    }
    // Of these spaces GGUF has no words.
    let first = json!({"type": "Metaspace", "replacement": "▁", "prepend_scheme": "first",
        "split": false});
    let (count, json) = pieces(Json::Null, first);
    let folder = llama(count, &[("tokenizer.json", &json)]);
    let run = quantize(folder.path(), "f16");
    run.ok();
    assert!(run.stderr.contains("GGUF cannot say all of the tokenizer"), "{}", run.stderr);
    let (want, got) =
        (tokenize(folder.path(), &[]), tokenize(&folder.path().join("out.gguf"), &[]));
    assert_eq!(want[2], got[2]);
}

/// A table that makes spaces of tabs and lines, and `a` of `A`, as SentencePiece has it.
fn charsmap() -> String {
    const BASE: u32 = 0x100;
    let mut array = vec![0_u32; 2 * BASE as usize];
    array[0] = BASE << 10;
    let texts = b" \0a\0";
    for (byte, at) in [(b'\t', 0), (b'\n', 0), (b'A', 2)] {
        let byte = u32::from(byte);
        array[(BASE | byte) as usize] = byte | 1 << 8 | BASE << 10;
        array[byte as usize] = at | 1 << 31;
    }
    let array: Vec<u8> = array.iter().flat_map(|word| word.to_le_bytes()).collect();
    base64(&[&(array.len() as u32).to_le_bytes()[..], &array, texts].concat())
}

fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::new();
    for three in bytes.chunks(3) {
        let bits = three.iter().fold(0_u32, |bits, byte| bits << 8 | u32::from(*byte));
        let bits = bits << (8 * (3 - three.len()));
        for at in 0..4 {
            let digit = DIGITS[(bits >> (18 - 6 * at) & 63) as usize];
            text.push(if at > three.len() { '=' } else { char::from(digit) });
        }
    }
    text
}

#[test]
fn unigram_is_t5() {
    let words = ["▁the", "▁cat", "cat", "s", "▁", "at", "a", "the", "▁sat", "aaa", "é", "京", "ca"];
    let mut vocab = vec![json!(["<pad>", 0.0]), json!(["</s>", 0.0]), json!(["<unk>", 0.0])];
    // Sums that need no rounding: of ways that are as good it would choose.
    vocab.extend((0..).zip(words).map(|(at, text)| json!([text, -2.0 - 0.375 * f64::from(at)])));
    let count = vocab.len();
    let special = ["<pad>", "</s>", "<unk>"].iter().enumerate();
    let normalizers = [
        json!({"type": "Precompiled", "precompiled_charsmap": charsmap()}),
        json!({"type": "Strip", "strip_left": false, "strip_right": true}),
        replace(&json!({"Regex": " {2,}"}), "▁"),
    ];
    let json = file(&[
        ("added_tokens", special.map(|(id, text)| added(id, text, true)).collect()),
        ("normalizer", json!({"type": "Sequence", "normalizers": normalizers})),
        (
            "pre_tokenizer",
            json!({"type": "Metaspace", "replacement": "▁", "prepend_scheme": "always"}),
        ),
        ("post_processor", around(None, Some(("</s>", 1)))),
        ("model", json!({"type": "Unigram", "unk_id": 2, "vocab": vocab})),
    ]);
    let config = json!({"eos_token": "</s>", "pad_token": {"content": "<pad>"}});
    let files = [("tokenizer.json", &json), ("tokenizer_config.json", &config)];
    let folder = llama(count, &files);
    same_tokens(folder.path(), "t5");
    let inspect =
        run_model(&["inspect", folder.path().join("out.gguf").to_str().unwrap(), "--json"]);
    let inspect: Json = serde_json::from_str(inspect.ok()).unwrap();
    assert_eq!(inspect["metadata"]["tokenizer.ggml.padding_token_id"], 0);
}

#[test]
fn a_bert_embeds_as_its_folder_does() {
    let folder = bert();
    let texts = ["the cat sat on the mat", "The cats\n", "", "b 京 <unk>"];
    let input: String = texts.iter().map(|text| json!(text).to_string() + "\n").collect();
    let embed = |model: &Path| -> Vec<Vec<f64>> {
        let mut command = wisp(&home());
        let model = model.to_str().unwrap();
        let run = run_with(command.args(["embed", model, "--json"]), &input);
        let said: Json = serde_json::from_str(run.ok()).unwrap();
        serde_json::from_value(said["embeddings"].clone()).unwrap()
    };
    let want = embed(folder.path());
    same_tokens(folder.path(), "bert");
    for of in ["f16", "q8_0"] {
        quantize(folder.path(), of).ok();
        let got = embed(&folder.path().join("out.gguf"));
        assert_eq!(got.len(), texts.len());
        for (want, got) in want.iter().zip(&got) {
            let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
            let cosine = dot(want, got) / (dot(want, want) * dot(got, got)).sqrt();
            assert!(cosine > 0.999, "{of}: {cosine}");
        }
    }
}

#[test]
fn a_tokenizer_that_gguf_cannot_say_is_left_out_with_a_sentence() {
    let cased = words(false);
    let (count, mut bare) = pieces(Json::Null, Json::Null);
    bare["model"]["byte_fallback"] = json!(false);
    let (_, mut twice) = words(true);
    let two = json!({"SpecialToken": {"id": "[CLS]", "type_id": 0}});
    twice["post_processor"]["single"].as_array_mut().unwrap().insert(0, two);
    for (count, json, said) in [
        (cased.0, cased.1, "makes other tokens than the kind bert of GGUF: the file is written"),
        (count, bare, "is a BPE without tokens for bytes: the file is written"),
        (count, twice, "puts more than one token before or after texts"),
    ] {
        let folder = llama(count, &[("tokenizer.json", &json)]);
        let run = quantize(folder.path(), "q8_0");
        run.ok();
        assert!(run.stderr.contains(said), "{}", run.stderr);
        let file = folder.path().join("out.gguf");
        let none = run_model(&["tokenize", file.to_str().unwrap()]);
        assert!(none.sentence().contains("has no tokenizer"), "{}", none.sentence());
    }
}
