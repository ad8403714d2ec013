//! Checkpoints of the Hugging Face hub in GGUF's terms: config.json as GGUF's metadata, and
//! the tensors under GGUF's names, in its order of rows. Families see no difference.

mod checks;
mod config;
mod families;
mod layers;
mod names;
mod settings;
mod stored;

use std::collections::{BTreeMap, HashSet};

use serde_json::Value as Json;
use wisp_base::{Error, Result};
use wisp_formats::{Checkpoint, FileEntry, RawTensor, Safetensors, Source};

use crate::embedding::json;
use config::Config;
pub(crate) use config::config_names;
pub use settings::{Effect, config_key, config_keys};

/// The files that say how text becomes tokens and what becomes of embeddings.
const SMALL_FILES: [&str; 9] = [
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "chat_template.jinja",
    "generation_config.json",
    "vocab.txt",
    "modules.json",
    "1_Pooling/config.json",
    "sentence_bert_config.json",
];

/// The largest file that is read whole; a tokenizer.json of 262,144 tokens has 33 MiB.
const MOST: u64 = 128 << 20;

const INDEX: &str = "model.safetensors.index.json";

/// The headers of a folder of the hub in GGUF's terms.
///
/// # Errors
/// The source cannot be read, is no such folder, or is of a kind that is not known.
pub async fn open(source: &dyn Source) -> Result<Checkpoint> {
    let bytes = read(source, "config.json").await?.ok_or_else(|| {
        Error::input(format!(
            "{}: there is no config.json: give a .gguf file, or a folder with config.json and \
             safetensors",
            source.name()
        ))
    })?;
    let config = Config::parse(source.name(), &bytes)?;
    let mut files = vec![("config.json".to_owned(), bytes)];
    for name in SMALL_FILES {
        if let Some(bytes) = read(source, name).await? {
            files.push((name.to_owned(), bytes));
        }
    }
    let metadata = config.metadata(&files)?;
    let made = names::translate(&config, tensors(source).await?)?;
    check_sparse(&config, &made)?;
    let mut checkpoint = Checkpoint::made(metadata, made, files)?;
    checkpoint.notes = config.notes;
    Ok(checkpoint)
}

/// # Errors
/// By its tensors a block has experts, but by config.json it has none, or the other way round.
fn check_sparse(config: &Config, made: &names::Made) -> Result<()> {
    let made: HashSet<&str> = made.iter().map(|(name, ..)| name.as_str()).collect();
    for layer in 0..config.layers()?.min(made.len() as u64) {
        let has = made.contains(&*crate::config::router(layer as usize));
        if let Some(says) = config.sparse(layer)?.filter(|says| *says != has) {
            let (says, has) = if says { ("has", "none") } else { ("has no", "some") };
            return Err(config.wrong_files(format!(
                "by mlp_only_layers and decoder_sparse_step of config.json layer {layer} {says} \
                 experts, but there are {has}: download the model again"
            )));
        }
    }
    Ok(())
}

/// A file of the folder, whole.
async fn read(source: &dyn Source, name: &str) -> Result<Option<Vec<u8>>> {
    let Some(file) = source.files().iter().find(|file| file.name == name) else {
        return Ok(None);
    };
    if file.len > MOST {
        let (folder, len) = (source.name(), file.len);
        return Err(Error::input(format!("{folder}: {name} has {len} bytes, which is too large")));
    }
    let mut bytes = vec![0; file.len as usize];
    source.read(file.start, &mut bytes).await?;
    Ok(Some(bytes))
}

/// All tensors of the folder's safetensors files.
async fn tensors(source: &dyn Source) -> Result<BTreeMap<String, RawTensor>> {
    let folder = source.name();
    let index = match read(source, INDEX).await? {
        Some(bytes) => json(folder, INDEX, &bytes)?,
        None => Json::Null,
    };
    let weight_map = index.get("weight_map").and_then(Json::as_object);
    let files: Vec<&FileEntry> = match weight_map {
        Some(map) => {
            let mut names: Vec<&str> = map.values().filter_map(Json::as_str).collect();
            names.sort_unstable();
            names.dedup();
            let find = |name: &&str| {
                source.files().iter().find(|file| file.name == *name).ok_or_else(|| {
                    Error::input(format!(
                        "{folder}: there is no file {name}, which {INDEX} names: download it"
                    ))
                })
            };
            names.iter().map(find).collect::<Result<_>>()?
        }
        None => {
            let all = source.files().iter();
            let mut all: Vec<_> = all.filter(|f| f.name.ends_with(".safetensors")).collect();
            if let Some(one) = all.iter().find(|file| file.name == "model.safetensors") {
                all = vec![one];
            }
            all
        }
    };
    if files.is_empty() {
        return Err(Error::input(format!("{folder}: there is no .safetensors file in it")));
    }
    let mut tensors = BTreeMap::new();
    for file in files {
        let path = format!("{folder}/{}", file.name);
        for tensor in Safetensors::read(source, &path, file.start, file.len).await?.tensors {
            if let Some(twice) = tensors.insert(tensor.name.clone(), tensor) {
                return Err(Error::input(format!(
                    "{path}: tensor {} is in another file, too",
                    twice.name
                )));
            }
        }
    }
    if let Some(missing) = weight_map.into_iter().flatten().find(|(n, _)| !tensors.contains_key(*n))
    {
        return Err(Error::input(format!(
            "{folder}: tensor {} is in no file, but {INDEX} says that it is in {}: download it again",
            missing.0, missing.1
        )));
    }
    Ok(tensors)
}
