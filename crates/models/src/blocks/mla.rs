//! Multi-head latent attention (MLA; DeepSeek-AI 2024, section 2.1): keys and values of all heads are
//! kept as one short vector, from which each head's matrices make them; the matrices are
//! applied to queries and results instead, so that the cache is read as it is.

use wisp_base::Result;
use wisp_graph::{Kind, Resource, ValueId};
use wisp_ops::{AppendKv, Attention, HeadLinear, QkNorm, RmsNorm, Rope, Rotate, record};

use crate::config::Mla;
use crate::decoder::Recorder;

impl Recorder<'_> {
    /// All heads' values `[tokens, heads·value]`.
    pub(crate) fn latent_attention(&mut self, layer: usize, l: Mla, h: ValueId) -> Result<ValueId> {
        let c = self.c;
        let name = |tensor: &str| format!("blk.{layer}.{tensor}.weight");
        // [tokens, heads·(plain + rotated)]
        let rows = l.heads * (l.plain + l.rotated);
        let tensor = |tensor: &str| format!("blk.{layer}.{tensor}");
        let queries = match l.query_rank {
            None => self.product(h, &tensor("attn_q"), rows, false, Kind::Activation)?,
            Some(rank) => {
                let low = self.product(h, &tensor("attn_q_a"), rank, false, Kind::Residual)?;
                let gain = self.tensors.vector(&mut self.tape, name("attn_q_a_norm"), rank)?;
                let norm = RmsNorm { eps: c.eps, outputs: false };
                let low = record(&mut self.tape, norm, &[low], &[gain])?;
                self.product(low, &tensor("attn_q_b"), rows, false, Kind::Activation)?
            }
        };
        // A head's query meets the latent vector: [tokens, heads·(rank + rotated)].
        let w = self.tensors.matrix(&mut self.tape, name("attn_k_b"), l.heads * l.rank, l.plain)?;
        let queries = record(&mut self.tape, HeadLinear { heads: l.heads }, &[queries], &[w])?;

        // The latent vector, normed, and the part of the key that is rotated.
        let both = l.rank + l.rotated;
        let keys = self.product(h, &tensor("attn_kv_a_mqa"), both, false, Kind::Activation)?;
        let gain = self.tensors.vector(&mut self.tape, name("attn_kv_a_norm"), l.rank)?;
        let norm = QkNorm { queries: 1, query: l.rank, keys: 0, key: 0, eps: c.eps };
        let keys = record(&mut self.tape, norm, &[keys], &[gain])?;

        let rope = &c.ropes[l.rope];
        let head_dim = l.head_dim();
        let cache = Resource::Paged { layer, kv_heads: 1, head_dim, latent: true };
        let cache = self.tape.resource(cache);
        let table = self.rope(l.rope)?;
        let rope = Rope {
            first: l.rank,
            long_table: table.long,
            ..Rope::new(head_dim, rope.dim, rope.pairing)
        };
        let rotate = |heads| Rotate { rope, heads, temperature: None };
        let queries = record(&mut self.tape, rotate(l.heads), &[queries], &[table.id])?;
        let keys = record(&mut self.tape, rotate(1), &[keys], &[table.id])?;
        self.tape.push(AppendKv { kv_heads: 1, head_dim }, &[keys], &[cache])?;
        let usual = 1.0 / ((l.plain + l.rotated) as f32).sqrt();
        let scale = c.attention_scale.unwrap_or(usual);
        let attention =
            Attention { latent: Some(l.rank), ..Attention::new(l.heads, 1, head_dim, scale) };
        let sums = record(&mut self.tape, attention, &[queries], &[cache])?;
        let w = self.tensors.matrix(&mut self.tape, name("attn_v_b"), l.heads * l.value, l.rank)?;
        record(&mut self.tape, HeadLinear { heads: l.heads }, &[sums], &[w])
    }
}
