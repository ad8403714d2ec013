//! The decoder block that most language models share: norm, attention, norm, gated
//! feed-forward, each added to the residual stream.

use std::sync::Arc;

use wisp_base::{Error, Result};
use wisp_formats::Checkpoint;
use wisp_graph::{Resource, Tape, ValueId};
use wisp_ops::{
    Attention, Embed, Epilogue, Linear, Pairing, RmsNorm, RopeAppend, Sample, record, rope_table,
};

use crate::tensors::Tensors;

/// Capabilities of a decoder. A family fills it in from a file's metadata.
#[derive(Debug, Clone, PartialEq)]
pub struct DecoderConfig {
    /// Blocks.
    pub layers: usize,
    /// Numbers of the residual stream.
    pub width: usize,
    /// Query heads.
    pub heads: usize,
    /// Heads of keys and values; divides `heads`.
    pub kv_heads: usize,
    /// Numbers a head.
    pub head_dim: usize,
    /// Numbers of the feed-forward layer.
    pub ffn: usize,
    /// Tokens of context that it was trained for.
    pub context: usize,
    /// Added to mean squares by RMS norm.
    pub eps: f32,
    /// Multiplies attention scores, where it is not 1 / √head_dim.
    pub attention_scale: Option<f32>,
    /// Rotary position embedding.
    pub rope: Rope,
}

/// Rotary position embedding: pair i turns by position · base^(−2i/dim) / factor.
#[derive(Debug, Clone, PartialEq)]
pub struct Rope {
    /// Numbers of a head that turn.
    pub dim: usize,
    /// The base.
    pub base: f32,
    /// Linear scaling (Chen et al. 2023); 1 is none.
    pub factor: f32,
    /// Which numbers turn together.
    pub pairing: Pairing,
}

/// A decoder in a file whose tensors are all there.
#[derive(Debug, Clone)]
pub struct Decoder {
    /// From the metadata.
    pub config: DecoderConfig,
    /// Entries of the vocabulary: rows of the embedding matrix.
    pub vocab: usize,
    /// The tensor that divides each RoPE frequency, if the file has one.
    pub rope_factors: Option<&'static str>,
}

/// A decoder's forward pass.
#[derive(Debug, Clone)]
pub struct DecoderTape {
    /// All of it.
    pub tape: Tape,
    /// `[outputs, vocab]`
    pub logits: ValueId,
}

const ROPE_FACTORS: &str = "rope_freqs.weight";

impl Decoder {
    pub(crate) fn new(config: DecoderConfig, gguf: &Checkpoint) -> Result<Self> {
        let c = &config;
        let wrong = |what: String| Err(Error::input(format!("{what}: the file is damaged")));
        if c.kv_heads == 0 || !c.heads.is_multiple_of(c.kv_heads) {
            return wrong(format!("{} query heads cannot share {} kv heads", c.heads, c.kv_heads));
        }
        if c.head_dim == 0 || c.ffn == 0 || c.layers == 0 || c.context == 0 {
            return wrong("a size in the metadata is 0".into());
        }
        // Bounds every size by the tensors that are really there.
        if c.layers > gguf.tensors.len() {
            return wrong(format!("{} blocks, but {} tensors", c.layers, gguf.tensors.len()));
        }
        if !(c.eps >= 0.0 && c.rope.base > 0.0 && c.rope.factor > 0.0) {
            return wrong("a RoPE or norm setting is out of its range".into());
        }
        let embedding = gguf.tensor("token_embd.weight").ok_or_else(|| {
            Error::input("the file has no tensor token_embd.weight, which its family needs")
        })?;
        let vocab = usize::try_from(embedding.rows()).unwrap_or(usize::MAX);
        let has_factors = gguf.tensor(ROPE_FACTORS).is_some();
        let decoder = Self { config, vocab, rope_factors: has_factors.then_some(ROPE_FACTORS) };
        // Finds what is missing or wrong before anything is loaded.
        decoder.tape(gguf, 1, None)?;
        Ok(decoder)
    }

    /// Records the forward pass for contexts of up to `positions` tokens.
    /// `rope_factors` are the numbers of that tensor; without them the tape is
    /// good for planning only.
    ///
    /// # Errors
    /// A tensor that is missing or wrong, sizes that no kernel takes.
    pub fn tape(
        &self,
        gguf: &Checkpoint,
        positions: usize,
        rope_factors: Option<&[f32]>,
    ) -> Result<DecoderTape> {
        let c = &self.config;
        let tensors = Tensors::new(gguf);
        let mut tape = Tape::new();
        let t = &mut tape;

        let frequencies = self.frequencies(&tensors, rope_factors)?;
        let data = Arc::new(rope_table(&frequencies, positions, 1.0));
        let rope = t.resource(Resource::Table { name: "rope".into(), data });
        let (q_rows, kv_rows) = (c.heads * c.head_dim, c.kv_heads * c.head_dim);
        let scale = c.attention_scale.unwrap_or(1.0 / (c.head_dim as f32).sqrt());

        let embedding = tensors.matrix(t, "token_embd.weight".into(), self.vocab, c.width)?;
        let mut x = record(t, Embed, &[], &[embedding])?; // [tokens, width]
        for layer in 0..c.layers {
            let name = |tensor: &str| format!("blk.{layer}.{tensor}.weight");
            let norm = RmsNorm { eps: c.eps, outputs: false };
            let (kv_heads, head_dim) = (c.kv_heads, c.head_dim);

            let gain = tensors.vector(t, name("attn_norm"), c.width)?;
            let h = record(t, norm.clone(), &[x], &[gain])?;
            let qkv =
                [(name("attn_q"), q_rows), (name("attn_k"), kv_rows), (name("attn_v"), kv_rows)];
            let qkv = tensors.stacked(t, &qkv, c.width)?;
            let qkv = record(t, Linear { epilogue: Epilogue::Store }, &[h], &qkv)?;
            let cache = t.resource(Resource::Cache { layer, kv_heads, head_dim });
            let turn = RopeAppend {
                heads: c.heads,
                kv_heads,
                head_dim,
                rope_dim: c.rope.dim,
                pairing: c.rope.pairing,
            };
            let q = record(t, turn, &[qkv], &[rope, cache])?;
            let attention = Attention { heads: c.heads, kv_heads, head_dim, scale };
            let a = record(t, attention, &[q], &[cache])?;
            let out = tensors.matrix(t, name("attn_output"), c.width, q_rows)?;
            x = record(t, Linear { epilogue: Epilogue::Add }, &[a, x], &[out])?;

            let gain = tensors.vector(t, name("ffn_norm"), c.width)?;
            let h = record(t, norm, &[x], &[gain])?;
            let gate_up = [name("ffn_gate"), name("ffn_up")];
            let gate_up = tensors.interleaved(t, gate_up, c.ffn, c.width)?;
            let h = record(t, Linear { epilogue: Epilogue::SwiGlu }, &[h], &[gate_up])?;
            let down = tensors.matrix(t, name("ffn_down"), c.width, c.ffn)?;
            x = record(t, Linear { epilogue: Epilogue::Add }, &[h, x], &[down])?;
        }
        let gain = tensors.vector(t, "output_norm.weight".into(), c.width)?;
        let h = record(t, RmsNorm { eps: c.eps, outputs: true }, &[x], &[gain])?;
        let output = match tensors.find("output.weight") {
            Some(_) => tensors.matrix(t, "output.weight".into(), self.vocab, c.width)?,
            None => embedding, // tied
        };
        let logits = record(t, Linear { epilogue: Epilogue::Logits }, &[h], &[output])?;
        t.push(Sample, &[logits], &[])?;
        tensors.all_used()?;
        Ok(DecoderTape { tape, logits })
    }

    /// Radians a position, a pair.
    fn frequencies(&self, tensors: &Tensors<'_>, factors: Option<&[f32]>) -> Result<Vec<f64>> {
        let rope = &self.config.rope;
        if rope.dim > self.config.head_dim || rope.dim % 2 == 1 {
            return Err(Error::input(format!(
                "{} of {} numbers of a head are said to turn: the file is damaged",
                rope.dim, self.config.head_dim
            )));
        }
        let half = rope.dim / 2;
        if let Some(tensor) = tensors.find(ROPE_FACTORS)
            && tensor.weights() != half as u64
        {
            return Err(Error::input(format!(
                "tensor {ROPE_FACTORS} has {} numbers, but {half} pairs turn: the file is damaged",
                tensor.weights()
            )));
        }
        let frequency = |pair: usize| {
            let exponent = -2.0 * pair as f64 / rope.dim as f64;
            let own = factors.and_then(|f| f.get(pair)).map_or(1.0, |f| f64::from(*f));
            f64::from(rope.base).powf(exponent) / f64::from(rope.factor) / own
        };
        Ok((0..half).map(frequency).collect())
    }
}
