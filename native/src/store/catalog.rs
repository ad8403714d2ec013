//! The models that have a name of their own.

pub use super::list::KNOWN;

/// A model that can be asked for by name.
#[derive(Debug, Clone, Copy)]
pub struct Known {
    pub name: &'static str,
    /// Its name as its makers write it.
    pub title: &'static str,
    /// What it is good for, in a sentence or two.
    pub about: &'static str,
    /// By its SPDX identifier, else by its name.
    pub license: &'static str,
    pub purpose: Purpose,
    /// The type of most of its weights.
    pub weights: &'static str,
    pub facts: Facts,
    pub content: Content,
    /// Where it can be had, in the order to try.
    pub sources: &'static [Source],
}

/// What a model was trained for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// Conversation.
    Chat,
    /// Continuing a text.
    Base,
    /// Vectors of texts.
    Embed,
}

impl Purpose {
    /// As JSON and lists have it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Chat => "chat",
            Self::Base => "base",
            Self::Embed => "embed",
        }
    }
}

/// Sizes out of a model's configuration, which tell what it takes to run it.
#[derive(Debug, Clone, Copy)]
pub struct Facts {
    /// Weights, in millions.
    pub millions: u32,
    pub layers: u32,
    /// Numbers of a token's hidden state.
    pub hidden: u32,
    /// Numbers of a token's query, in all heads.
    pub queries: u32,
    /// Numbers of a token's key, in all kv heads; those of its value are as many.
    pub keys: u32,
    /// Intermediate size of the feed-forward layer, of all experts that a token goes to.
    pub ffn: u32,
    pub vocab: u32,
    /// Tokens of context that it was trained for.
    pub context: u32,
    /// Bytes of the file that a decoded token reads, where it is not all of them: not the
    /// experts that it does not go to, nor an embedding that is no output matrix.
    pub read: Option<u64>,
}

/// What a model is in the store.
#[derive(Debug, Clone, Copy)]
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

    /// Its address on the model hub, without revision, as `wisp pull` takes that of a file.
    pub fn address(&self) -> Option<String> {
        self.sources.iter().find_map(|source| match source {
            Source::Hub { repo, file: "", .. } => Some(format!("hf:{repo}")),
            Source::Hub { repo, file, .. } => Some(format!("hf:{repo}/{file}")),
            Source::Wheels(_) => None,
        })
    }

    /// The SHA-256 of its one file.
    pub fn sha256(&self) -> Option<&'static str> {
        match self.content {
            Content::Gguf(file) => Some(file.sha256),
            Content::Folder(_) => None,
        }
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
            let texts = [known.title, known.about, known.license, known.weights];
            assert!(texts.iter().all(|text| !text.is_empty()), "{}", known.name);
            let facts = known.facts;
            assert!(facts.read.is_none_or(|read| read < known.bytes()), "{}", known.name);
            // Bytes and number of weights tell of the same model: 4 to 33 bits each.
            let bits = known.bytes() as f64 * 8e-6 / f64::from(facts.millions);
            assert!((4.0..33.0).contains(&bits), "{}: {bits}", known.name);
            let files = match &known.content {
                Content::Gguf(file) => &[("m.gguf", *file)],
                Content::Folder(files) => *files,
            };
            for (path, file) in files {
                assert!(file.sha256.len() == 64 && file.bytes > 0, "{path}");
                assert!(path.split('/').all(name::is_plain), "{path}");
                assert!(file.sha256.chars().all(|c| c.is_ascii_hexdigit()), "{path}");
            }
            for source in known.sources {
                if let Source::Wheels(wheels) = source {
                    assert!(wheels.parts == 1 || wheels.parts > 1 && !known.is_folder());
                    assert_eq!(wheels.parts > 1, wheels.package.contains('{'));
                }
            }
        }
    }

    /// More does not fit the storage that browsers give a page, or takes too long to get there.
    const PAGE_MOST: u64 = 4_000_000_000;

    /// The chat page cannot read this file: it has the list that browsers need. `WISP_UPDATE=1`
    /// writes it.
    #[test]
    fn the_chat_page_offers_the_same_models() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../web/chat/public/models.json");
        let page = std::fs::read_to_string(path).unwrap();
        let mut page: serde_json::Value = serde_json::from_str(&page).unwrap();
        let models: Vec<_> = KNOWN.iter().filter_map(for_the_page).collect();
        if std::env::var_os("WISP_UPDATE").is_some() {
            page["models"] = models.into();
            std::fs::write(path, serde_json::to_string_pretty(&page).unwrap() + "\n").unwrap();
            return;
        }
        assert_eq!(page["models"], serde_json::Value::from(models), "run with WISP_UPDATE=1");
    }

    fn for_the_page(known: &Known) -> Option<serde_json::Value> {
        let Content::Gguf(file) = known.content else { return None };
        if known.purpose == Purpose::Embed || file.bytes > PAGE_MOST {
            return None;
        }
        let (url, pinned) = known.sources.iter().find_map(|source| match source {
            Source::Hub { repo, revision, file } => {
                let hub = crate::store::http::HUB;
                let url = format!("{hub}/{repo}/resolve/{revision}/{file}");
                Some((url, *revision != "main"))
            }
            Source::Wheels(_) => None,
        })?;
        let cache = 2 * 2 * known.facts.layers * known.facts.keys;
        let mut entry = serde_json::json!({
            "id": known.name, "name": known.title, "about": known.about, "url": url,
            "bytes": file.bytes,
        });
        if pinned {
            // What a branch has may change, and the whole download would be for nothing.
            entry["sha256"] = file.sha256.into();
        }
        entry["license"] = known.license.into();
        entry["kv_bytes_per_token"] = cache.into();
        if known.purpose == Purpose::Base {
            entry["chat"] = false.into();
        }
        Some(entry)
    }

    #[test]
    fn typing_errors_are_near_and_greetings_are_not() {
        for near in ["smollm2-135", "smollm-135m", "SmolLM2_135M", "smolm2-135m"] {
            assert_eq!(similar(near, names()).first(), Some(&"smollm2-135m"), "{near}");
        }
        for (near, name) in [
            ("gemma-270m", "gemma3-270m"),
            ("Gemma3_270M", "gemma3-270m"),
            ("qwen2.5-coder", "qwen2.5-coder-1.5b"),
            ("qwen-coder-1.5b", "qwen2.5-coder-1.5b"),
            ("mini-lm", "minilm"),
            ("MiniML", "minilm"),
        ] {
            assert_eq!(similar(near, names()).first(), Some(&name), "{near}");
        }
        for far in ["hello", "smile", "tell", "small", "Hi!", "", "mine", "million", "coder", "gem"]
        {
            assert!(similar(far, names()).is_empty(), "{far}");
        }
    }
}
