//! From texts to vectors: what a folder's files ask for, and texts that share a step.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use pollster::block_on;
use serde_json::{Value as Json, json};
use wisp_formats::{BytesSource, FolderSource, Source};
use wisp_runtime::{Embedding, EngineOptions, load_tokenizer, open};
use wisp_tests::hub::families;
use wisp_tests::{load_from, relative_l2};

fn length(vector: &[f32]) -> f64 {
    vector.iter().map(|x| f64::from(*x).powi(2)).sum::<f64>().sqrt()
}

#[test]
fn texts_that_share_a_step_get_what_each_gets_alone() {
    for name in ["bert", "nomic_bert", "modernbert"] {
        let family = families().into_iter().find(|family| family.name == name).unwrap();
        let caps = "f16=off".to_owned();
        // Room for what one text may have, in whole pages of 32 tokens.
        let (ctx, share_cache) = (Some(128), true);
        let options =
            EngineOptions { caps, ctx, share_cache, max_sequences: 3, ..EngineOptions::default() };
        let (mut engine, _) = load_from(&family.folder(), options).unwrap();
        // More than there are sequences, and more tokens than one context.
        let text = |at: u32| (0..1 + at * 19 % 47).map(|i| (i * 37 + at * 11) % 131).collect();
        let texts: Vec<Vec<u32>> = (0..9).map(text).collect();
        let checkpoint = block_on(open(&family.folder())).unwrap();
        let mut settings = Embedding::of(&checkpoint).unwrap();
        let vectors = block_on(engine.embed(&texts, &settings)).unwrap();
        for (text, vector) in texts.iter().zip(&vectors) {
            let hidden = block_on(engine.logits(text, true, None)).unwrap();
            let mut mean = vec![0.0; 160];
            for row in hidden.chunks_exact(160) {
                mean.iter_mut().zip(row).for_each(|(sum, x)| *sum += x / text.len() as f32);
            }
            let error = relative_l2(vector, &mean, length(&mean));
            assert!(error < 1e-5, "{name}, {} tokens: {error:.1e}", text.len());
        }
        settings.normalize = true;
        let vectors = block_on(engine.embed(&texts, &settings)).unwrap();
        assert!(vectors.iter().all(|vector| (length(vector) - 1.0).abs() < 1e-6));
        let said = block_on(engine.embed(&[vec![]], &settings)).unwrap_err().to_string();
        assert!(said.contains("no tokens"), "{said}");
        let said = block_on(engine.nll(&texts[8], &Default::default())).unwrap_err().to_string();
        assert!(said.contains("is an encoder"), "{said}");
    }
}

/// The tiny BERT's folder with these files besides.
fn bert(files: &[(&str, Json)]) -> FolderSource {
    let folder = families().into_iter().find(|family| family.name == "bert").unwrap().folder();
    let read = |name: &str| {
        let entry = folder.files().iter().find(|file| file.name == name).unwrap();
        let mut bytes = vec![0; entry.len as usize];
        block_on(folder.read(entry.start, &mut bytes)).unwrap();
        bytes
    };
    let mut all: Vec<(String, Vec<u8>)> =
        ["config.json", "model.safetensors"].map(|name| (name.to_owned(), read(name))).into();
    all.extend(files.iter().map(|(name, json)| (name.to_string(), json.to_string().into_bytes())));
    let source = |(name, bytes): (String, Vec<u8>)| {
        let source: Box<dyn Source> = Box::new(BytesSource::new(name.clone(), bytes));
        (name, source)
    };
    FolderSource::new("bert", all.into_iter().map(source).collect()).unwrap()
}

fn tokenizer_json() -> Json {
    let words = ["[PAD]", "[CLS]", "[SEP]", "[UNK]", "the", "cat", "sat", "##s", "mat"];
    let vocab: serde_json::Map<_, _> =
        (0..).zip(words).map(|(id, word)| (word.to_owned(), json!(id))).collect();
    let added: Vec<_> = words[..4]
        .iter()
        .enumerate()
        .map(|(id, word)| {
            json!({"id": id, "content": word, "special": true, "single_word": false,
                "lstrip": false, "rstrip": false, "normalized": false})
        })
        .collect();
    let special = |word: &str, id: u32| json!({"id": word, "ids": [id], "tokens": [word]});
    json!({
        "version": "1.0", "truncation": null, "padding": null, "added_tokens": added,
        "normalizer": {"type": "BertNormalizer", "clean_text": true, "handle_chinese_chars": true,
            "strip_accents": null, "lowercase": true},
        "pre_tokenizer": {"type": "BertPreTokenizer"},
        "post_processor": {"type": "TemplateProcessing",
            "single": [{"SpecialToken": {"id": "[CLS]", "type_id": 0}},
                {"Sequence": {"id": "A", "type_id": 0}},
                {"SpecialToken": {"id": "[SEP]", "type_id": 0}}],
            "pair": [], "special_tokens": {"[CLS]": special("[CLS]", 1), "[SEP]": special("[SEP]", 2)}},
        "decoder": {"type": "WordPiece", "prefix": "##", "cleanup": true},
        "model": {"type": "WordPiece", "unk_token": "[UNK]", "continuing_subword_prefix": "##",
            "max_input_chars_per_word": 100, "vocab": vocab},
    })
}

#[test]
fn a_folder_says_how_texts_become_vectors() {
    let modules = |last: &str| {
        json!([{"type": "sentence_transformers.models.Transformer"},
            {"type": "sentence_transformers.models.Pooling"},
            {"type": format!("sentence_transformers.models.{last}")}])
    };
    let of = |files: &[(&str, Json)]| {
        let checkpoint = block_on(open(&bert(files)))?;
        Embedding::of(&checkpoint).map(|e| (format!("{:?}", e.pooling), e.normalize, e.most_tokens))
    };
    assert_eq!(of(&[]).unwrap(), ("Mean".into(), false, 128));
    let files = [
        ("modules.json", modules("Normalize")),
        ("1_Pooling/config.json", json!({"pooling_mode_cls_token": true})),
        ("sentence_bert_config.json", json!({"max_seq_length": 16})),
        ("tokenizer_config.json", json!({"model_max_length": 1e30})),
    ];
    assert_eq!(of(&files).unwrap(), ("Cls".into(), true, 16));
    assert_eq!(of(&files[3..]).unwrap(), ("Mean".into(), false, 128));
    let said = of(&[("modules.json", modules("Dense"))]).unwrap_err().to_string();
    assert!(said.contains("module Dense"), "{said}");
    let pooling = json!({"pooling_mode_max_tokens": true});
    let said = of(&[("1_Pooling/config.json", pooling)]).unwrap_err().to_string();
    assert!(said.contains("pooling"), "{said}");
}

#[test]
fn a_folder_brings_its_tokenizer() {
    let files = [
        ("tokenizer.json", tokenizer_json()),
        ("special_tokens_map.json", json!({"eos_token": {"content": "[SEP]"}})),
        ("generation_config.json", json!({"eos_token_id": [0, 2]})),
    ];
    let tokenizer = load_tokenizer(&block_on(open(&bert(&files))).unwrap()).unwrap();
    let ids = tokenizer.encode(b"The cats sat", true, false).unwrap();
    assert_eq!(ids, [1, 4, 5, 7, 6, 2]);
    // Cut between what is put around it.
    assert_eq!(tokenizer.encode_cut(b"The cats sat", 5).unwrap(), [1, 4, 5, 7, 2]);
    assert_eq!(tokenizer.encode_cut(b"", 5).unwrap(), [1, 2]);
    assert_eq!(tokenizer.decode(&ids, false).unwrap(), "the cats sat");
    let ends: Vec<u32> = (0..9).filter(|id| tokenizer.is_end_of_generation(*id)).collect();
    assert_eq!(ends, [0, 2]);
    let none = load_tokenizer(&block_on(open(&bert(&[]))).unwrap());
    let said = none.err().unwrap().to_string();
    assert!(said.contains("no tokenizer.json"), "{said}");
}
