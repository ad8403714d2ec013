//! A vocabulary as the keys that GGUF has for it.

use wisp_formats::{Array, Value};
use wisp_tokenizer::Vocabulary;

/// Of what is said; `mask` is the token that stands for a hidden word.
pub(super) fn of(v: Vocabulary, mask: Option<u32>) -> Vec<(String, Value)> {
    let flags = [
        ("add_bos_token", v.add_bos),
        ("add_eos_token", v.add_eos),
        ("add_sep_token", v.add_sep),
        ("add_space_prefix", v.add_space_prefix),
        ("remove_extra_whitespaces", v.remove_extra_whitespaces),
    ];
    let ids = [
        ("bos", v.bos),
        ("eos", v.eos),
        ("eot", v.eot),
        ("eom", v.eom),
        ("unknown", v.unk),
        // So they spell it.
        ("seperator", v.sep),
        ("padding", v.pad),
        ("cls", v.cls),
        ("mask", mask),
    ];
    let mut keys = vec![("tokenizer.ggml.model".to_owned(), v.model.into())];
    let mut put = |key: &str, value: Value| keys.push((format!("tokenizer.{key}"), value));
    if let Some(pre) = v.pre {
        put("ggml.pre", pre.into());
    }
    put("ggml.tokens", Array::String(v.tokens).into());
    put("ggml.token_type", Array::I32(v.types).into());
    if !v.scores.is_empty() {
        put("ggml.scores", Array::F32(v.scores).into());
    }
    if !v.merges.is_empty() {
        put("ggml.merges", Array::String(v.merges).into());
    }
    if !v.charsmap.is_empty() {
        put("ggml.precompiled_charsmap", Array::U8(v.charsmap).into());
    }
    for (name, id) in ids {
        if let Some(id) = id {
            put(&format!("ggml.{name}_token_id"), Value::U32(id));
        }
    }
    for (name, flag) in flags {
        if let Some(flag) = flag {
            put(&format!("ggml.{name}"), Value::Bool(flag));
        }
    }
    if let Some(template) = v.chat_template {
        put("chat_template", template.into());
    }
    keys
}
