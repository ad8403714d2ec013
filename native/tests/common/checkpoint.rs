//! Folders of the hub with tiny checkpoints and tokenizers.

use safetensors::tensor::{Dtype, TensorView};
use serde_json::{Map, Value as Json, json};
use std::path::Path;
use tempfile::TempDir;

/// F32 tensors and a config.json on the disk, with these files besides. Numbers are between
/// -1/2 and 1/2, and those that scale are near 1.
pub fn folder(config: &Json, tensors: &[(String, Vec<usize>)], files: &[(&str, &Json)]) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    let mut seed = 1_u32;
    let mut numbers = |name: &str, count: usize| {
        let mut data = Vec::<u8>::new();
        for _ in 0..count {
            seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            let number = (seed >> 16) as f32 / 65536.0 - 0.5;
            let scales = name.to_lowercase().contains("norm") && name.ends_with("weight");
            data.extend((number + if scales { 1.0 } else { 0.0 }).to_le_bytes());
        }
        data
    };
    let filled: Vec<_> =
        tensors.iter().map(|(name, shape)| numbers(name, shape.iter().product())).collect();
    let views = tensors.iter().zip(&filled).map(|((name, shape), data)| {
        (name, TensorView::new(Dtype::F32, shape.clone(), data).unwrap())
    });
    let bytes = safetensors::serialize(views, None).unwrap();
    std::fs::write(folder.path().join("model.safetensors"), bytes).unwrap();
    for (name, json) in files.iter().chain(&[("config.json", config)]) {
        std::fs::write(folder.path().join(name), json.to_string()).unwrap();
    }
    folder
}

pub fn added(id: usize, content: &str, special: bool) -> Json {
    json!({"id": id, "content": content, "special": special, "single_word": false,
        "lstrip": false, "rstrip": false, "normalized": false})
}

/// The tokens that are put before and after a text, by their ids.
pub fn around(before: Option<(&str, u32)>, after: Option<(&str, u32)>) -> Json {
    let special = |(text, _): (&str, u32)| json!({"SpecialToken": {"id": text, "type_id": 0}});
    let text = json!({"Sequence": {"id": "A", "type_id": 0}});
    let single: Vec<_> =
        before.map(special).into_iter().chain([text]).chain(after.map(special)).collect();
    let listed: Map<_, _> = before
        .into_iter()
        .chain(after)
        .map(|(text, id)| (text.to_owned(), json!({"id": text, "ids": [id], "tokens": [text]})))
        .collect();
    json!({"type": "TemplateProcessing", "single": single, "pair": [], "special_tokens": listed})
}

pub fn file(parts: &[(&str, Json)]) -> Json {
    let mut all = json!({"version": "1.0", "truncation": null, "padding": null,
        "normalizer": null, "pre_tokenizer": null, "post_processor": null, "decoder": null});
    for (name, json) in parts {
        all[name] = json.clone();
    }
    all
}

pub fn words(lowercase: bool) -> (usize, Json) {
    let mut vocab: Vec<String> =
        ["[PAD]", "[CLS]", "[SEP]", "[UNK]", "[MASK]"].map(String::from).into();
    vocab.extend(["the", "cat", "sat", "##s", "mat", "on", "##at", "The"].map(String::from));
    vocab.extend("abcdehlstu.'[]<>#▁京é".chars().flat_map(|c| [c.to_string(), format!("##{c}")]));
    let special = vocab[..5].iter().enumerate().map(|(id, text)| added(id, text, true));
    let json = file(&[
        ("added_tokens", special.collect()),
        (
            "normalizer",
            json!({"type": "BertNormalizer", "clean_text": true, "handle_chinese_chars": true,
                "strip_accents": null, "lowercase": lowercase}),
        ),
        ("pre_tokenizer", json!({"type": "BertPreTokenizer"})),
        ("post_processor", around(Some(("[CLS]", 1)), Some(("[SEP]", 2)))),
        ("decoder", json!({"type": "WordPiece", "prefix": "##", "cleanup": true})),
        (
            "model",
            // Older files do not say that they are WordPiece.
            json!({"unk_token": "[UNK]", "continuing_subword_prefix": "##",
                "max_input_chars_per_word": 100,
                "vocab": (0..).zip(&vocab).map(|(id, t)| (t.clone(), json!(id))).collect::<Map<_, _>>()}),
        ),
    ]);
    (vocab.len(), json)
}

/// The tiny BERT of `wisp-tests` with a tokenizer.
pub fn bert() -> TempDir {
    let family = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/golden/families/bert");
    let read = |name: &str| -> Json {
        serde_json::from_slice(&std::fs::read(family.join(name)).unwrap()).unwrap()
    };
    let golden = read("golden.json");
    let tensors = golden["tensors"].as_array().unwrap().iter().map(|tensor| {
        let shape = serde_json::from_value(tensor[1].clone()).unwrap();
        (tensor[0].as_str().unwrap().to_owned(), shape)
    });
    let map = json!({"mask_token": "[MASK]", "pad_token": "[PAD]"});
    let (_, json) = words(true);
    let files = [("tokenizer.json", &json), ("special_tokens_map.json", &map)];
    folder(&read("config.json"), &tensors.collect::<Vec<_>>(), &files)
}
