//! What becomes of an encoder's hidden states: a GGUF file's metadata, or a folder's modules
//! as sentence-transformers reads them.

use serde_json::Value as Json;
use wisp_base::{Error, Result};
use wisp_formats::Checkpoint;

/// How the hidden states of a text become one vector.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pooling {
    /// Their mean.
    Mean,
    /// That of the first token.
    Cls,
    /// That of the last token.
    Last,
}

/// From texts to vectors.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Embedding {
    /// How hidden states become one.
    pub pooling: Pooling,
    /// Vectors have length 1.
    pub normalize: bool,
    /// Longer texts are cut to so many tokens, those around them included.
    pub most_tokens: usize,
}

const MODULES: &str = "modules.json";
const SENTENCES: &str = "sentence_bert_config.json";
const TOKENS: &str = "tokenizer_config.json";

impl Embedding {
    /// As the file or the folder asks. Without a word about it: the mean; of length 1 for
    /// GGUF files, as llama.cpp gives it, as it is for folders.
    ///
    /// # Errors
    /// A pooling or a module that is not known, a damaged file.
    pub fn of(checkpoint: &Checkpoint) -> Result<Self> {
        let metadata = &checkpoint.metadata;
        let arch = metadata.str("general.architecture")?;
        let pooling = match metadata.opt_u32(&format!("{arch}.pooling_type"))? {
            None | Some(0 | 1) => Pooling::Mean,
            Some(2) => Pooling::Cls,
            Some(3) => Pooling::Last,
            Some(other) => {
                return Err(Error::unsupported(format!(
                    "the file pools by method {other}; this version knows mean, cls and last"
                )));
            }
        };
        let context = metadata.u32(&format!("{arch}.context_length"))? as usize;
        let read = |name| match checkpoint.file(name) {
            Some(bytes) => json("the folder", name, bytes).map(Some),
            None => Ok(None),
        };
        let normalize = match read(MODULES)? {
            Some(modules) => modules_normalize(&modules)?,
            None => checkpoint.gguf_version.is_some(),
        };
        let size = |file: Option<Json>, key: &str| file?.get(key)?.as_f64();
        let sentences = size(read(SENTENCES)?, "max_seq_length");
        let cut = sentences.or(size(read(TOKENS)?, "model_max_length"));
        let cut = cut.map_or(context, |cut| cut as usize);
        Ok(Self { pooling, normalize, most_tokens: cut.min(context) })
    }
}

/// Whether the last of the modules makes vectors of length 1.
fn modules_normalize(modules: &Json) -> Result<bool> {
    let mut normalize = false;
    for module in modules.as_array().into_iter().flatten() {
        let kind = module.get("type").and_then(Json::as_str).unwrap_or_default();
        match kind.rsplit('.').next().unwrap_or_default() {
            "Transformer" | "Pooling" => {}
            "Normalize" => normalize = true,
            other => {
                return Err(Error::unsupported(format!(
                    "{MODULES} has a module {other}, which this version does not compute"
                )));
            }
        }
    }
    Ok(normalize)
}

/// JSON of a folder of the hub, or what is wrong with it.
pub(crate) fn json(folder: &str, name: &str, bytes: &[u8]) -> Result<Json> {
    serde_json::from_slice(bytes)
        .map_err(|cause| Error::input(format!("{folder}: {name} is damaged: {cause}")))
}
