//! A model's tokenizer.

use wisp_base::Result;
use wisp_formats::Checkpoint;
use wisp_tokenizer::{Tokenizer, Vocabulary};

/// The tokenizer that a file's metadata describe, or a folder's tokenizer.json.
///
/// # Errors
/// There is none, it is of a kind that this version does not know, or its lists
/// contradict each other.
pub fn load_tokenizer(checkpoint: &Checkpoint) -> Result<Tokenizer> {
    let rows = checkpoint.tensor("token_embd.weight").map_or(0, |tensor| tensor.rows());
    Ok(read(checkpoint)?.with_rows(usize::try_from(rows).unwrap_or(usize::MAX)))
}

fn read(checkpoint: &Checkpoint) -> Result<Tokenizer> {
    #[cfg(feature = "hub")]
    if checkpoint.gguf_version.is_none() {
        return Tokenizer::from_folder(|name| checkpoint.file(name));
    }
    let m = &checkpoint.metadata;
    // A number that no id can be, −1 say, stands for "none".
    let id = |name: &str| match m.get(&format!("tokenizer.ggml.{name}_token_id")) {
        Some(value) if value.integer().is_some_and(|id| u32::try_from(id).is_err()) => Ok(None),
        _ => m.opt_u32(&format!("tokenizer.ggml.{name}_token_id")),
    };
    let flag = |name: &str| m.opt_bool(&format!("tokenizer.ggml.{name}"));
    Tokenizer::from_vocabulary(Vocabulary {
        model: m.str("tokenizer.ggml.model")?.to_owned(),
        pre: m.opt_str("tokenizer.ggml.pre")?.map(str::to_owned),
        tokens: m.opt_strings("tokenizer.ggml.tokens")?.unwrap_or_default().to_vec(),
        types: m.opt_i32s("tokenizer.ggml.token_type")?.unwrap_or_default(),
        scores: m.opt_f32s("tokenizer.ggml.scores")?.unwrap_or_default(),
        merges: m.opt_strings("tokenizer.ggml.merges")?.unwrap_or_default().to_vec(),
        bos: id("bos")?,
        eos: id("eos")?,
        eot: id("eot")?,
        eom: id("eom")?,
        sep: id("seperator")?,
        cls: id("cls")?,
        unk: id("unknown")?,
        pad: id("padding")?,
        add_bos: flag("add_bos_token")?,
        add_eos: flag("add_eos_token")?,
        add_sep: flag("add_sep_token")?,
        add_space_prefix: flag("add_space_prefix")?,
        remove_extra_whitespaces: flag("remove_extra_whitespaces")?,
        charsmap: bytes(m.opt_i32s("tokenizer.ggml.precompiled_charsmap")?),
        chat_template: m.opt_str("tokenizer.chat_template")?.map(str::to_owned),
    })
}

/// A list of bytes, signed or not.
fn bytes(list: Option<Vec<i32>>) -> Vec<u8> {
    list.unwrap_or_default().into_iter().map(|byte| byte as u8).collect()
}
