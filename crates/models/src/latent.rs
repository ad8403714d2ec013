//! Latent attention (DeepSeek-AI 2024, section 2.1): keys and values of all heads are
//! kept as one short vector, from which each head's matrices make them; the matrices are
//! applied to queries and results instead, so that the cache is read as it is.

use wisp_base::Result;
use wisp_graph::{Resource, ValueId};
use wisp_ops::{Attention, Epilogue, HeadLinear, HeadNorm, RmsNorm, RopeAppend, record};

use crate::decoder::Block;

/// Sizes of latent attention.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Latent {
    /// Numbers of the vector that queries are made from; none: from the stream itself.
    pub query_rank: Option<usize>,
    /// Numbers of the vector that keys and values are made from.
    pub rank: usize,
    /// Numbers of a head's query that do not turn.
    pub plain: usize,
    /// Numbers of it that do; all heads share those of the key.
    pub turned: usize,
    /// Numbers of a head's value.
    pub value: usize,
}

impl Block<'_> {
    /// All heads' values `[tokens, heads·value]`.
    pub(crate) fn latent_attention(
        &mut self,
        layer: usize,
        l: Latent,
        h: ValueId,
    ) -> Result<ValueId> {
        let c = self.c;
        let name = |tensor: &str| format!("blk.{layer}.{tensor}.weight");
        // [tokens, heads·(plain + turned)]
        let rows = c.heads * (l.plain + l.turned);
        let queries = match l.query_rank {
            None => {
                self.product(layer, Epilogue::Store, &[h], &[("attn_q", rows)], c.width, false)?
            }
            Some(rank) => {
                let parts = [("attn_q_a", rank)];
                let low = self.product(layer, Epilogue::Wide, &[h], &parts, c.width, false)?;
                let gain = self.tensors.vector(&mut self.tape, name("attn_q_a_norm"), rank)?;
                let norm = RmsNorm { eps: c.eps, outputs: false };
                let low = record(&mut self.tape, norm, &[low], &[gain])?;
                self.product(layer, Epilogue::Store, &[low], &[("attn_q_b", rows)], rank, false)?
            }
        };
        // A head's query meets the latent vector: [tokens, heads·(rank + turned)].
        let w = self.tensors.matrix(&mut self.tape, name("attn_k_b"), c.heads * l.rank, l.plain)?;
        let queries = record(&mut self.tape, HeadLinear { heads: c.heads }, &[queries], &[w])?;

        // The latent vector, normed, and the part of the key that turns.
        let parts = [("attn_kv_a_mqa", l.rank + l.turned)];
        let keys = self.product(layer, Epilogue::Store, &[h], &parts, c.width, false)?;
        let gain = self.tensors.vector(&mut self.tape, name("attn_kv_a_norm"), l.rank)?;
        let norm = HeadNorm { queries: 1, query: l.rank, keys: 0, key: 0, eps: c.eps };
        let keys = record(&mut self.tape, norm, &[keys], &[gain])?;

        let rope = &c.ropes[c.kinds[layer].rope];
        let head_dim = l.rank + l.turned;
        let cache = Resource::Cache { layer, kv_heads: 1, head_dim, latent: true };
        let cache = self.tape.resource(cache);
        let table = self.rope(c.kinds[layer].rope)?;
        let turn = RopeAppend {
            rope_first: l.rank,
            values: false,
            long_table: table.long,
            ..RopeAppend::new(c.heads, 1, head_dim, rope.dim, rope.pairing)
        };
        let queries = record(&mut self.tape, turn, &[queries, keys], &[table.id, cache])?;
        let usual = 1.0 / ((l.plain + l.turned) as f32).sqrt();
        let scale = c.attention_scale.unwrap_or(usual);
        let attention =
            Attention { latent: Some(l.rank), ..Attention::new(c.heads, 1, head_dim, scale) };
        let sums = record(&mut self.tape, attention, &[queries], &[cache])?;
        let w = self.tensors.matrix(&mut self.tape, name("attn_v_b"), c.heads * l.value, l.rank)?;
        record(&mut self.tape, HeadLinear { heads: c.heads }, &[sums], &[w])
    }
}
