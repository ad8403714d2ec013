//! llama.cpp's own vectors: its `ggml-vocab-*.gguf`, texts and ids.
//! `cargo xtask vectors` fetches them and runs this.

#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used)]

use std::collections::HashMap;
use std::path::PathBuf;
use wisp_tokenizer::{Tokenizer, Vocabulary};

const NAMES: [&str; 15] = [
    "bert-bge",
    "command-r",
    "deepseek-coder",
    "deepseek-llm",
    "falcon",
    "gemma-4",
    "gpt-2",
    "llama-bpe",
    "llama-spm",
    "mpt",
    "phi-3",
    "qwen2",
    "qwen35",
    "refact",
    "starcoder",
];

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("llama.cpp-models")
}

fn read(name: &str) -> Vec<u8> {
    let path = folder().join(name);
    std::fs::read(&path)
        .unwrap_or_else(|e| panic!("{}: {e}: run `cargo xtask vectors` first", path.display()))
}

/// A value of a GGUF file's metadata.
#[derive(Debug)]
enum Value {
    Number(f64),
    Text(String),
    List(Vec<Value>),
}

/// Reads metadata only, of files that are known to be whole.
struct Reader<'a>(&'a [u8]);

impl Reader<'_> {
    fn bytes<const N: usize>(&mut self) -> [u8; N] {
        let (first, rest) = self.0.split_first_chunk().expect("more bytes");
        self.0 = rest;
        *first
    }

    fn u32(&mut self) -> u32 {
        u32::from_le_bytes(self.bytes())
    }

    fn u64(&mut self) -> u64 {
        u64::from_le_bytes(self.bytes())
    }

    fn text(&mut self) -> String {
        let length = self.u64() as usize;
        let (text, rest) = self.0.split_at(length);
        self.0 = rest;
        String::from_utf8_lossy(text).into_owned()
    }

    fn value(&mut self, kind: u32) -> Value {
        Value::Number(match kind {
            0 | 7 => f64::from(u8::from_le_bytes(self.bytes())),
            1 => f64::from(i8::from_le_bytes(self.bytes())),
            2 => f64::from(u16::from_le_bytes(self.bytes())),
            3 => f64::from(i16::from_le_bytes(self.bytes())),
            4 => f64::from(self.u32()),
            5 => f64::from(i32::from_le_bytes(self.bytes())),
            6 => f64::from(f32::from_le_bytes(self.bytes())),
            8 => return Value::Text(self.text()),
            9 => {
                let kind = self.u32();
                let count = self.u64();
                return Value::List((0..count).map(|_| self.value(kind)).collect());
            }
            10 => self.u64() as f64,
            11 => i64::from_le_bytes(self.bytes()) as f64,
            12 => f64::from_le_bytes(self.bytes()),
            kind => panic!("type {kind}"),
        })
    }
}

fn vocabulary(name: &str) -> Vocabulary {
    let file = read(&format!("ggml-vocab-{name}.gguf"));
    let mut reader = Reader(&file[16..]);
    let count = reader.u64();
    let metadata: HashMap<String, Value> = (0..count)
        .map(|_| {
            let key = reader.text();
            let kind = reader.u32();
            (key, reader.value(kind))
        })
        .collect();
    let get = |key: &str| metadata.get(&format!("tokenizer.ggml.{key}"));
    let text = |key| match get(key) {
        Some(Value::Text(text)) => Some(text.clone()),
        _ => None,
    };
    let number = |value: &Value| match value {
        Value::Number(number) => *number,
        other => panic!("{other:?}"),
    };
    let numbers = |key| match get(key) {
        Some(Value::List(list)) => list.iter().map(number).collect(),
        _ => Vec::new(),
    };
    let texts = |key| match get(key) {
        Some(Value::List(list)) => {
            let text = |value: &Value| match value {
                Value::Text(text) => text.clone(),
                other => panic!("{other:?}"),
            };
            list.iter().map(text).collect()
        }
        _ => Vec::new(),
    };
    let id = |key: &str| get(&format!("{key}_token_id")).map(|value| number(value) as u32);
    let flag = |key| get(key).map(|value| number(value) != 0.0);
    Vocabulary {
        model: text("model").expect("a model"),
        pre: text("pre"),
        tokens: texts("tokens"),
        types: numbers("token_type").into_iter().map(|kind| kind as i32).collect(),
        scores: numbers("scores").into_iter().map(|score| score as f32).collect(),
        merges: texts("merges"),
        bos: id("bos"),
        eos: id("eos"),
        sep: id("seperator"),
        cls: id("cls"),
        unk: id("unknown"),
        pad: id("padding"),
        add_bos: flag("add_bos_token"),
        add_eos: flag("add_eos_token"),
        add_space_prefix: flag("add_space_prefix"),
        ..Vocabulary::default()
    }
}

fn compare(name: &str) -> (usize, Vec<String>) {
    let tokenizer = Tokenizer::from_vocabulary(vocabulary(name)).expect(name);
    let texts = String::from_utf8(read(&format!("ggml-vocab-{name}.gguf.inp"))).expect(name);
    let ids = String::from_utf8(read(&format!("ggml-vocab-{name}.gguf.out"))).expect(name);
    let texts: Vec<_> = texts.split("\n__ggml_vocab_test__\n").collect();
    let ids: Vec<Vec<u32>> = ids
        .lines()
        .map(|line| line.split_whitespace().map(|id| id.parse().expect("an id")).collect())
        .collect();
    let count = texts.len().min(ids.len());
    assert!(count > 40 && ids.len() <= texts.len(), "{name}: {} and {}", texts.len(), ids.len());
    let mut wrong = Vec::new();
    for (text, want) in texts.iter().zip(&ids) {
        let got = tokenizer.encode(text.as_bytes(), false, false).expect(name);
        if got != *want {
            wrong.push(format!("{name}: {text:?}: {got:?}, not {want:?}"));
        }
    }
    (count, wrong)
}

#[test]
#[ignore = "reads what `cargo xtask vectors` fetches, which runs it"]
fn every_vector_of_llama_cpp() {
    let results: Vec<_> = std::thread::scope(|scope| {
        let halves: Vec<_> = NAMES
            .chunks(8)
            .map(|names| scope.spawn(|| names.iter().map(|n| compare(n)).collect::<Vec<_>>()))
            .collect();
        halves.into_iter().flat_map(|half| half.join().expect("no panic")).collect()
    });
    let count: usize = results.iter().map(|(count, _)| count).sum();
    let wrong: Vec<_> = results.into_iter().flat_map(|(_, wrong)| wrong).collect();
    assert!(wrong.is_empty(), "{} of {count} are wrong:\n{}", wrong.len(), wrong.join("\n"));
    println!("{count} vectors of {} vocabularies", NAMES.len());
    assert!(count > 600, "{count}");
}
