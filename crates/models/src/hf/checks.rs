//! What config.json says of tensors, compared with those that are there.

use wisp_base::Result;

use super::config::Config;
use super::names::Made;

impl Config {
    /// The output is a matrix of its own or the embedding. As in transformers, one that is stored
    /// counts whatever `tie_word_embeddings` says, and one of the two is enough where it is set.
    ///
    /// # Errors
    /// It is neither tied nor there.
    pub fn tie(&self, made: &mut Made) -> Result<()> {
        if self.family.encoder {
            return Ok(());
        }
        let [input, output] = ["token_embd.weight", "output.weight"]
            .map(|name| made.iter().position(|m| m.0 == name));
        // LFM2's older files have another name, which counts more.
        let tied = match self.get("tie_embedding") {
            Some(_) => self.flag("tie_embedding")?,
            None => self.flag("tie_word_embeddings")?,
        };
        match (input, output) {
            (Some(_), None) if !tied => Err(self.wrong_files(
                "tie_word_embeddings of config.json is not true, but there is no tensor \
                 lm_head.weight: set it if the model's output is its embedding"
                    .into(),
            )),
            (None, Some(output)) if tied => {
                made[output].0 = "token_embd.weight".into();
                Ok(())
            }
            _ => Ok(()),
        }
    }

    /// # Errors
    /// There are biases that config.json denies, or none though it asks for them; an embedding of
    /// another number of tokens.
    pub fn check_biases(&self, made: &Made) -> Result<()> {
        let find = |name: &str| made.iter().find(|made| made.0 == name);
        for (key, tensors) in [
            ("attention_bias", &["attn_q", "attn_qkv", "attn_output"][..]),
            ("qkv_bias", &["attn_q"][..]),
            ("mlp_bias", &["ffn_down"][..]),
        ] {
            if self.get(key).is_none() {
                continue;
            }
            let wanted = self.flag(key)?;
            for tensor in tensors {
                let there = |end: &str| find(&format!("blk.0.{tensor}.{end}")).is_some();
                if there("weight") && there("bias") != wanted {
                    let is = if wanted { "there are none" } else { "there are some" };
                    return Err(self.unsupported(format!(
                        "{key} in config.json is {wanted}, but of biases {is}"
                    )));
                }
            }
        }
        let rows = find("token_embd.weight").and_then(|(_, shape, _)| shape.get(1).copied());
        if let (Some(rows), Some(size)) = (rows, self.opt_size(&["vocab_size"])?)
            && rows != size
        {
            return Err(self.wrong_files(format!(
                "config.json sets vocab_size to {size}, but the embedding has {rows} rows: \
                 download the model again"
            )));
        }
        Ok(())
    }
}
