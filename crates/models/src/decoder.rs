//! The block that most language models share: norm, attention, norm, feed-forward, each
//! added to the residual stream; encoders are built of it too. What differs between families is a
//! field of [`DecoderConfig`]; the block never asks which family it serves.

use std::sync::Arc;

use wisp_base::{Error, Result};
use wisp_formats::Checkpoint;
use wisp_graph::{Resource, ResourceId, Rows, Tape, ValueId};
use wisp_ops::{
    AddNorm, AddRow, Attention, Cast, Embed, Epilogue, HeadNorm, LayerNorm, Linear, RmsNorm,
    RopeAppend, Sample, record, rope_rows, rope_table,
};

use crate::config::{DecoderConfig, Feed, HeadNorms, Norm};
use crate::moe::router;
use crate::tensors::{self, Pair, Tensors};

/// A decoder in a file whose tensors are all there.
#[derive(Debug, Clone)]
pub struct Decoder {
    /// From the metadata.
    pub config: DecoderConfig,
    /// Entries of the vocabulary: rows of the embedding matrix.
    pub vocab: usize,
}

/// A decoder's forward pass.
#[derive(Debug, Clone)]
pub struct DecoderTape {
    /// All of it.
    pub tape: Tape,
    /// `[outputs, vocab]`; an encoder's hidden states, `[outputs, width]`.
    pub logits: ValueId,
}

impl Decoder {
    pub(crate) fn new(mut config: DecoderConfig, checkpoint: &Checkpoint) -> Result<Self> {
        if config.experts.is_some() {
            // GGUF has no key for it: the tensors say which layers are dense.
            for (layer, kind) in config.kinds.iter_mut().enumerate() {
                let has = |name: &str| checkpoint.tensor(name).is_some();
                kind.dense = !has(&router(layer)) && has(&format!("blk.{layer}.ffn_up.weight"));
            }
        }
        config.check(checkpoint.tensors.len())?;
        let embedding = checkpoint.tensor("token_embd.weight").ok_or_else(|| {
            Error::input("the file has no tensor token_embd.weight, which its family needs")
        })?;
        let vocab = usize::try_from(embedding.rows()).unwrap_or(usize::MAX);
        let decoder = Self { config, vocab };
        // Finds what is missing or wrong before anything is loaded.
        decoder.tape(checkpoint, 1, None)?;
        Ok(decoder)
    }

    /// Numbers of a row of what the tape gives.
    pub fn columns(&self) -> usize {
        if self.config.encoder { self.config.width } else { self.vocab }
    }

    /// The tensors that divide each RoPE frequency in contexts of up to `positions` tokens:
    /// none, one, or one for short and one for long sequences.
    pub fn rope_factors(&self, positions: usize) -> &'static [&'static str] {
        let mut factors = self.config.ropes.iter().filter_map(|rope| rope.factors);
        factors.next().map_or(&[], |factors| factors.tensors(positions))
    }

    /// Whether a sequence that may reach so many tokens is a long one, which turns by other
    /// frequencies than a short one.
    pub fn is_long(&self, positions: usize) -> bool {
        self.config.ropes.iter().filter_map(|rope| rope.factors).any(|f| f.is_long(positions))
    }

    /// Records the forward pass for contexts of up to `positions` tokens.
    /// `rope_factors` are the numbers of [`Self::rope_factors`]; without them the tape is
    /// good for planning only.
    ///
    /// # Errors
    /// A tensor that is missing or wrong, sizes that no kernel takes.
    pub fn tape(
        &self,
        checkpoint: &Checkpoint,
        positions: usize,
        rope_factors: Option<&[Vec<f32>]>,
    ) -> Result<DecoderTape> {
        let c = &self.config;
        let mut block = Block {
            c,
            tensors: Tensors::new(checkpoint),
            tape: Tape::new(),
            positions,
            rope_factors,
            ropes: vec![None; c.ropes.len()],
        };

        let embedding = block.tensors.matrix(
            &mut block.tape,
            "token_embd.weight".into(),
            self.vocab,
            c.width,
        )?;
        let embed = Embed { factor: c.embedding_factor };
        let mut x = record(&mut block.tape, embed, &[], &[embedding])?; // [tokens, width]
        if let Some(rows) = c.learned_positions {
            let name = "position_embd.weight".into();
            let table = block.tensors.matrix(&mut block.tape, name, rows, c.width)?;
            x = record(&mut block.tape, AddRow::OfPosition, &[x], &[table])?;
        }
        if let Some(rows) = c.token_types {
            let name = "token_types.weight".into();
            let table = block.tensors.matrix(&mut block.tape, name, rows, c.width)?;
            x = record(&mut block.tape, AddRow::First, &[x], &[table])?;
        }
        if c.embedding_norm {
            x = block.norm("token_embd_norm", x, Rows::Tokens, true)?;
        }
        for layer in 0..c.layers {
            x = block.layer(layer, x)?;
        }
        if c.encoder {
            if !c.norms_of_sums {
                x = block.norm("output_norm", x, Rows::Outputs, true)?;
            }
            block.tensors.all_used()?;
            return Ok(DecoderTape { tape: block.tape, logits: x });
        }
        let h = block.norm("output_norm", x, Rows::Outputs, false)?;
        let output = match block.tensors.find("output.weight") {
            Some(_) => {
                let name = "output.weight".into();
                block.tensors.matrix(&mut block.tape, name, self.vocab, c.width)?
            }
            None => embedding, // tied
        };
        let epilogue = Epilogue::Logits { factor: c.logit_factor, cap: c.logit_cap };
        let logits = record(&mut block.tape, Linear { epilogue, bias: false }, &[h], &[output])?;
        block.tape.push(Sample, &[logits], &[])?;
        block.tensors.all_used()?;
        Ok(DecoderTape { tape: block.tape, logits })
    }
}

/// The recording of one decoder.
pub(crate) struct Block<'a> {
    pub c: &'a DecoderConfig,
    pub tensors: Tensors<'a>,
    pub tape: Tape,
    positions: usize,
    rope_factors: Option<&'a [Vec<f32>]>,
    /// One table a kind of RoPE, once a layer has asked for it.
    ropes: Vec<Option<RopeTable>>,
}

/// The angles of one kind of RoPE.
#[derive(Debug, Clone, Copy)]
pub(crate) struct RopeTable {
    pub id: ResourceId,
    /// Where the table for long sequences begins, if there is one.
    pub long: Option<usize>,
}

impl Block<'_> {
    /// The table of a kind of RoPE. Made when the tensors that turn have been found:
    /// nothing else in a file bounds how large it is.
    pub(crate) fn rope(&mut self, kind: usize) -> Result<RopeTable> {
        if let Some(table) = self.ropes[kind] {
            return Ok(table);
        }
        let rope = &self.c.ropes[kind];
        if let Some(own) = rope.factors {
            own.check(&self.tensors, rope.dim / 2)?;
        }
        let tables = rope.factors.map_or(1, |own| own.tensors(self.positions).len());
        let mut data = Vec::new();
        for at in 0..tables {
            let factors = rope.factors.and(self.rope_factors).and_then(|all| all.get(at));
            let (frequencies, scale) = rope.frequencies(factors.map(Vec::as_slice));
            data.extend(rope_table(&frequencies, self.positions, scale));
        }
        let (name, data) = (format!("rope {kind}"), Arc::new(data));
        let id = self.tape.resource(Resource::Table { name, data });
        let long = (tables > 1).then_some(rope_rows(self.positions));
        let table = RopeTable { id, long };
        self.ropes[kind] = Some(table);
        Ok(table)
    }

    fn layer(&mut self, layer: usize, x: ValueId) -> Result<ValueId> {
        let c = self.c;
        let name = |tensor: &str| format!("blk.{layer}.{tensor}");
        let normed = c.norms_before && !(c.bare_first && layer == 0);
        let attention_in = self.input(&name("attn_norm"), x, normed)?;
        // A parallel feed-forward reads the stream as attention read it.
        let parallel_in = match c.parallel {
            true => Some(self.input(&name(c.ffn_norm), x, c.norms_before)?),
            false => None,
        };
        let a = self.attention(layer, attention_in)?;
        let after = name("post_attention_norm");
        let mut x = self.add(a, x, &name("attn_output"), c.output_bias, &after)?;
        if c.norms_of_sums {
            x = self.norm(&name("attn_output_norm"), x, Rows::Tokens, true)?;
        }
        let feed_in = match parallel_in {
            Some(h) => h,
            None => self.input(&name(c.ffn_norm), x, c.norms_before)?,
        };
        x = match &c.experts {
            Some(experts) if !c.kinds[layer].dense => self.experts(layer, experts, feed_in, x)?,
            _ => self.feed_forward(layer, feed_in, x)?,
        };
        if !c.norms_of_sums {
            return Ok(x);
        }
        let rows = if layer + 1 == c.layers { Rows::Outputs } else { Rows::Tokens };
        self.norm(&name("layer_output_norm"), x, rows, true)
    }

    /// What a layer reads: the residual stream, normed or as it is.
    fn input(&mut self, norm: &str, x: ValueId, normed: bool) -> Result<ValueId> {
        if normed {
            return self.norm(norm, x, Rows::Tokens, false);
        }
        record(&mut self.tape, Cast, &[x], &[])
    }

    /// A norm of the residual stream: for a product, or `wide` as a stream itself.
    fn norm(&mut self, name: &str, x: ValueId, rows: Rows, wide: bool) -> Result<ValueId> {
        let (eps, width, outputs) = (self.c.eps, self.c.width, rows == Rows::Outputs);
        let gain = self.tensors.vector(&mut self.tape, format!("{name}.weight"), width)?;
        match self.c.norm {
            Norm::Rms => record(&mut self.tape, RmsNorm { eps, outputs }, &[x], &[gain]),
            Norm::Layer { bias } => {
                let mut vectors = vec![gain];
                if bias {
                    let name = format!("{name}.bias");
                    vectors.push(self.tensors.vector(&mut self.tape, name, width)?);
                }
                let norm = LayerNorm { eps, outputs, bias, wide };
                record(&mut self.tape, norm, &[x], &vectors)
            }
        }
    }

    /// Rows of queries, keys and values `[tokens, (heads + 2·kv_heads)·head_dim]`.
    fn queries_keys_values(&mut self, layer: usize, h: ValueId) -> Result<ValueId> {
        let c = self.c;
        let (q_rows, kv_rows) = (c.heads * c.head_dim, c.kv_heads * c.head_dim);
        let parts: &[(&str, usize)] = if c.fused_qkv {
            &[("attn_qkv", q_rows + 2 * kv_rows)]
        } else {
            &[("attn_q", q_rows), ("attn_k", kv_rows), ("attn_v", kv_rows)]
        };
        self.product(layer, Epilogue::Store, &[h], parts, c.width, c.qkv_bias)
    }

    fn attention(&mut self, layer: usize, h: ValueId) -> Result<ValueId> {
        let c = self.c;
        if let Some(latent) = c.latent {
            return self.latent_attention(layer, latent, h);
        }
        let (kv_heads, head_dim) = (c.kv_heads, c.head_dim);
        let name = |tensor: &str| format!("blk.{layer}.{tensor}");
        let mut qkv = self.queries_keys_values(layer, h)?;
        if let Some(norms) = c.head_norms {
            let (queries, keys) = match norms {
                HeadNorms::EachHead => (c.heads, kv_heads),
                HeadNorms::AllHeads => (1, 1),
            };
            let (query, key) = (c.heads * head_dim / queries, kv_heads * head_dim / keys);
            let gains = [(name("attn_q_norm.weight"), query), (name("attn_k_norm.weight"), key)];
            let gains = self.tensors.vectors(&mut self.tape, &gains)?;
            let norm = HeadNorm { queries, query, keys, key, eps: c.eps };
            qkv = record(&mut self.tape, norm, &[qkv], &[gains])?;
        }
        let kind = c.kinds[layer];
        let rope = &c.ropes[kind.rope];
        let cache =
            self.tape.resource(Resource::Cache { layer, kv_heads, head_dim, latent: false });
        let table = self.rope(kind.rope)?;
        let turn = RopeAppend {
            heat: c.heat,
            long_table: table.long,
            ..RopeAppend::new(c.heads, kv_heads, head_dim, rope.dim, rope.pairing)
        };
        let q = record(&mut self.tape, turn, &[qkv], &[table.id, cache])?;
        let scale = c.attention_scale.unwrap_or(1.0 / (head_dim as f32).sqrt());
        // An encoder's window reaches as far to both sides.
        let half = kind.window.filter(|_| c.encoder).map(|window| window / 2);
        let attention = Attention {
            cap: c.attention_cap,
            window: half.map(|half| half + 1).or(kind.window),
            ahead: half.unwrap_or(0),
            sinks: c.sinks,
            ..Attention::new(c.heads, kv_heads, head_dim, scale)
        };
        let mut resources = vec![cache];
        if c.sinks {
            let sinks = name("attn_sinks.weight");
            resources.push(self.tensors.vector(&mut self.tape, sinks, c.heads)?);
        }
        record(&mut self.tape, attention, &[q], &resources)
    }

    fn feed_forward(&mut self, layer: usize, h: ValueId, x: ValueId) -> Result<ValueId> {
        let c = self.c;
        let name = |tensor: &str| format!("blk.{layer}.{tensor}");
        let h = match c.feed {
            Feed::Gated => {
                let names = |end| ["ffn_gate", "ffn_up"].map(|part| name(&format!("{part}.{end}")));
                let rows = names("weight").map(|tensor| tensors::Rows::all(tensor, c.ffn));
                let biases = c.ffn_bias.then(|| names("bias"));
                self.gated_unit(rows, biases, c.ffn, h)?
            }
            Feed::Fused => {
                // One matrix, the gate's rows above the up projection's.
                let part =
                    |first| tensors::Rows::some(name("ffn_up.weight"), first, c.ffn, 2 * c.ffn);
                self.gated_unit([part(0), part(c.ffn)], None, c.ffn, h)?
            }
            Feed::Plain => {
                let epilogue = Epilogue::Activate(c.activation);
                self.product(layer, epilogue, &[h], &[("ffn_up", c.ffn)], c.width, c.ffn_bias)?
            }
        };
        self.add(h, x, &name("ffn_down"), c.ffn_bias, &name("post_ffw_norm"))
    }

    /// activate(gate·h)·(up·h) with `ffn` rows of gate and up each, as one product where their
    /// formats allow it.
    pub(crate) fn gated_unit(
        &mut self,
        rows: [tensors::Rows; 2],
        biases: Option<[String; 2]>,
        ffn: usize,
        h: ValueId,
    ) -> Result<ValueId> {
        let (activation, bias) = (self.c.activation, biases.is_some());
        match self.tensors.pair(&mut self.tape, rows, self.c.width)? {
            Pair::Alternating(w) => {
                let mut resources = vec![w];
                if let Some(names) = biases {
                    resources.push(self.tensors.interleaved_vectors(&mut self.tape, names, ffn)?);
                }
                let epilogue = Epilogue::Gated(activation);
                record(&mut self.tape, Linear { epilogue, bias }, &[h], &resources)
            }
            Pair::Apart([gate, up]) => {
                let (mut gate, mut up) = (vec![gate], vec![up]);
                if let Some([of_gate, of_up]) = biases {
                    gate.push(self.tensors.vector(&mut self.tape, of_gate, ffn)?);
                    up.push(self.tensors.vector(&mut self.tape, of_up, ffn)?);
                }
                let wide = Linear { epilogue: Epilogue::Wide, bias };
                let up = record(&mut self.tape, wide, &[h], &up)?;
                let epilogue = Epilogue::Gate(activation);
                record(&mut self.tape, Linear { epilogue, bias }, &[h, up], &gate)
            }
        }
    }

    /// A layer's result `h` through its last matrix onto the residual stream `x`, behind
    /// a norm where the model has one there.
    fn add(
        &mut self,
        h: ValueId,
        x: ValueId,
        matrix: &str,
        bias: bool,
        norm: &str,
    ) -> Result<ValueId> {
        let c = self.c;
        let cols = self.tape.value(h).cols;
        let w = self.tensors.matrix(&mut self.tape, format!("{matrix}.weight"), c.width, cols)?;
        let mut resources = vec![w];
        if bias {
            let name = format!("{matrix}.bias");
            resources.push(self.tensors.vector(&mut self.tape, name, c.width)?);
        }
        if !c.norms_after {
            let epilogue = Epilogue::Add { factor: c.residual_factor };
            return record(&mut self.tape, Linear { epilogue, bias }, &[h, x], &resources);
        }
        let wide = Linear { epilogue: Epilogue::Wide, bias };
        let wide = record(&mut self.tape, wide, &[h], &resources)?;
        let gain = self.tensors.vector(&mut self.tape, format!("{norm}.weight"), c.width)?;
        let add = AddNorm { eps: c.eps, factor: c.residual_factor };
        record(&mut self.tape, add, &[wide, x], &[gain])
    }

    /// A product with the layer's matrices of these names and rows.
    pub(crate) fn product(
        &mut self,
        layer: usize,
        epilogue: Epilogue,
        inputs: &[ValueId],
        parts: &[(&str, usize)],
        cols: usize,
        bias: bool,
    ) -> Result<ValueId> {
        let name = |tensor: &str, end: &str| format!("blk.{layer}.{tensor}.{end}");
        let of = |end| parts.iter().map(|(part, n)| (name(part, end), *n)).collect::<Vec<_>>();
        let mut resources = self.tensors.stacked(&mut self.tape, &of("weight"), cols)?;
        if bias {
            resources.push(self.tensors.vectors(&mut self.tape, &of("bias"))?);
        }
        record(&mut self.tape, Linear { epilogue, bias }, inputs, &resources)
    }
}
