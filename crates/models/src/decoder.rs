//! The stack that language models share: in each layer a norm, what mixes tokens, a norm, the
//! feed-forward, each added to the residual stream; encoders are built of it too. What differs
//! between families is in [`DecoderConfig`]; nothing here asks which family it serves.

use std::sync::Arc;

use wisp_base::{Error, Result};
use wisp_formats::Checkpoint;
use wisp_graph::{Kind, Resource, ResourceId, Rows, Tape, ValueId};
use wisp_ops::{
    Add, AddRow, Cast, Embed, LayerNorm, Linear, Pointwise, RmsNorm, Sample, fuse, record,
    rope_rows, rope_table,
};

use crate::config::{DecoderConfig, FeedForward, Layer, Mixer, Norm, router};
use crate::rope::Rope;
use crate::tensors::{Rows as TensorRows, Tensors};

/// A decoder in a file whose tensors are all there.
#[derive(Debug, Clone)]
pub struct Decoder {
    /// From the metadata.
    pub config: DecoderConfig,
    /// Entries of the vocabulary: rows of the embedding matrix.
    pub vocab: usize,
    /// The forward pass, recorded once for all that is planned and chosen before a model is loaded.
    /// Only its tables of angles are not those of a context: [`Self::rope_bytes`].
    pub planning: Arc<Tape>,
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
            for (number, layer) in config.layers.iter_mut().enumerate() {
                let has = |name: &str| checkpoint.tensor(name).is_some();
                if has(&router(number)) || !has(&format!("blk.{number}.ffn_up.weight")) {
                    layer.feed_forward = FeedForward::Experts;
                }
            }
        }
        config.check()?;
        let embedding = checkpoint.tensor("token_embd.weight").ok_or_else(|| {
            Error::input("the file has no tensor token_embd.weight, which its family needs")
        })?;
        let vocab = usize::try_from(embedding.rows()).unwrap_or(usize::MAX);
        let mut decoder = Self { config, vocab, planning: Arc::default() };
        // Finds what is missing or wrong before anything is loaded.
        decoder.planning = Arc::new(decoder.tape(checkpoint, 1, None)?.tape);
        Ok(decoder)
    }

    /// Whether sequences carry state of a fixed size from token to token, beside keys and values or
    /// in their place. It cannot be taken back to an earlier token.
    pub fn is_recurrent(&self) -> bool {
        self.config.layers.iter().any(|layer| layer.mixer.is_recurrent())
    }

    /// Numbers of a row of what the tape gives.
    pub fn columns(&self) -> usize {
        if self.config.encoder { self.config.hidden_size } else { self.vocab }
    }

    /// The tensors that divide each RoPE frequency in contexts of up to `positions` tokens:
    /// none, one, or one for short and one for long sequences.
    pub fn rope_factors(&self, positions: usize) -> &'static [&'static str] {
        let mut factors = self.config.ropes.iter().filter_map(|rope| rope.factors);
        factors.next().map_or(&[], |factors| factors.tensors(positions))
    }

    /// Bytes of the tables of angles for contexts of up to `positions` tokens.
    pub fn rope_bytes(&self, positions: usize) -> u64 {
        let used = |kind: usize| {
            let of = |layer: &Layer| layer.rope().is_some_and(|(rope, _)| rope == kind);
            self.config.layers.iter().any(of)
        };
        let bytes = |(_, rope): (usize, &Rope)| {
            let tables = rope.factors.map_or(1, |factors| factors.tensors(positions).len());
            // A cosine and a sine each, and one pair where nothing is rotated.
            let row = 8 * (rope.dim / 2).max(1) as u64;
            (tables as u64 * row).saturating_mul(rope_rows(positions) as u64)
        };
        let ropes = self.config.ropes.iter().enumerate();
        ropes.filter(|(kind, _)| used(*kind)).map(bytes).fold(0, u64::saturating_add)
    }

    /// Whether a sequence that may reach so many tokens is a long one, which is rotated by other
    /// frequencies than a short one.
    pub fn is_long(&self, positions: usize) -> bool {
        self.config.ropes.iter().filter_map(|rope| rope.factors).any(|f| f.is_long(positions))
    }

    /// The forward pass for contexts of up to `positions` tokens, fused.
    ///
    /// # Errors
    /// As [`Self::plain_tape`].
    pub fn tape(
        &self,
        checkpoint: &Checkpoint,
        positions: usize,
        rope_factors: Option<&[Vec<f32>]>,
    ) -> Result<DecoderTape> {
        let DecoderTape { tape, logits } = self.plain_tape(checkpoint, positions, rope_factors)?;
        Ok(DecoderTape { tape: fuse(tape)?, logits })
    }

    /// Records the forward pass for contexts of up to `positions` tokens, in plain operations.
    /// `rope_factors` are the numbers of [`Self::rope_factors`]; without them the tape is
    /// good for planning only.
    ///
    /// # Errors
    /// A tensor that is missing or wrong, sizes that no kernel takes.
    pub fn plain_tape(
        &self,
        checkpoint: &Checkpoint,
        positions: usize,
        rope_factors: Option<&[Vec<f32>]>,
    ) -> Result<DecoderTape> {
        let c = &self.config;
        let mut at = Recorder {
            c,
            tensors: Tensors::new(checkpoint, c.layers.len()..c.layers.len() + c.blocks_ahead),
            tape: Tape::new(),
            positions,
            rope_factors,
            ropes: vec![None; c.ropes.len()],
        };

        let embedding = at.tensors.matrix(
            &mut at.tape,
            "token_embd.weight".into(),
            self.vocab,
            c.hidden_size,
        )?;
        let embed = Embed { factor: c.embedding_factor };
        let mut x = record(&mut at.tape, embed, &[], &[embedding])?; // [tokens, width]
        if let Some(rows) = c.learned_positions {
            let name = "position_embd.weight".into();
            let table = at.tensors.matrix(&mut at.tape, name, rows, c.hidden_size)?;
            x = record(&mut at.tape, AddRow::OfPosition, &[x], &[table])?;
        }
        if let Some(rows) = c.token_types {
            let name = "token_types.weight".into();
            let table = at.tensors.matrix(&mut at.tape, name, rows, c.hidden_size)?;
            x = record(&mut at.tape, AddRow::First, &[x], &[table])?;
        }
        if c.embedding_norm {
            x = at.norm("token_embd_norm", x, Rows::Tokens, true)?;
        }
        for (number, layer) in c.layers.iter().enumerate() {
            x = at.layer(number, layer, x)?;
        }
        if c.encoder {
            if !c.post_norm {
                x = at.norm(c.output_norm, x, Rows::Outputs, true)?;
            }
            at.tensors.all_used()?;
            at.tape.keep(x);
            return Ok(DecoderTape { tape: at.tape, logits: x });
        }
        let h = at.norm(c.output_norm, x, Rows::Outputs, false)?;
        let output = match at.tensors.find("output.weight") {
            Some(_) => {
                let name = "output.weight".into();
                at.tensors.matrix(&mut at.tape, name, self.vocab, c.hidden_size)?
            }
            None => embedding, // tied
        };
        let product = Linear { kind: Kind::Logits, bias: false };
        let mut logits = record(&mut at.tape, product, &[h], &[output])?;
        if c.logit_factor != 1.0 || c.logit_cap.is_some() {
            let cap = Pointwise::Cap { factor: c.logit_factor, cap: c.logit_cap };
            logits = record(&mut at.tape, cap, &[logits], &[])?;
        }
        at.tape.keep(logits);
        at.tape.push(Sample, &[logits], &[])?;
        at.tensors.all_used()?;
        Ok(DecoderTape { tape: at.tape, logits })
    }
}

/// The recording of one decoder.
pub(crate) struct Recorder<'a> {
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

impl Recorder<'_> {
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

    /// A layer: its mixer, then its feed-forward, each added to the residual stream `x`.
    fn layer(&mut self, number: usize, layer: &Layer, x: ValueId) -> Result<ValueId> {
        let c = self.c;
        let name = |tensor: &str| format!("blk.{number}.{tensor}");
        let normed = c.pre_norm && !(c.first_without_norm && number == 0);
        let mixer_in = self.input(&name("attn_norm"), x, normed)?;
        // A parallel feed-forward reads the stream as attention read it.
        let parallel_in = match c.parallel {
            true => Some(self.input(&name(c.ffn_norm), x, c.pre_norm)?),
            false => None,
        };
        let a = match layer.mixer {
            Mixer::Attention(attention) => self.attention(number, attention, mixer_in)?,
            Mixer::Mla(mla) => self.latent_attention(number, mla, mixer_in)?,
            Mixer::ShortConv(conv) => self.short_conv(number, conv, mixer_in)?,
            Mixer::GatedDelta(delta) => self.gated_delta(number, delta, mixer_in)?,
        };
        let after = name("post_attention_norm");
        let mut x = self.add(a, x, &name(layer.mixer.output()), c.output_bias, &after)?;
        if c.post_norm {
            x = self.norm(&name("attn_output_norm"), x, Rows::Tokens, true)?;
        }
        let feed_in = match parallel_in {
            Some(h) => h,
            None => self.input(&name(c.ffn_norm), x, c.pre_norm)?,
        };
        x = match (layer.feed_forward, &c.experts) {
            (FeedForward::Dense { intermediate_size }, _) => {
                self.feed_forward(number, intermediate_size, feed_in, x)?
            }
            (FeedForward::Experts, Some(experts)) => self.experts(number, experts, feed_in, x)?,
            (FeedForward::Experts, None) => {
                return Err(Error::input(format!(
                    "layer {number} has experts, but no sizes of them"
                )));
            }
        };
        if !c.post_norm {
            return Ok(x);
        }
        let rows = if number + 1 == c.layers.len() { Rows::Outputs } else { Rows::Tokens };
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
        let (eps, width, outputs) = (self.c.eps, self.c.hidden_size, rows == Rows::Outputs);
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

    /// A layer's result `h` through its last matrix onto the residual stream `x`, behind
    /// a norm where the model has one there.
    pub(crate) fn add(
        &mut self,
        h: ValueId,
        x: ValueId,
        matrix: &str,
        bias: bool,
        norm: &str,
    ) -> Result<ValueId> {
        let c = self.c;
        let cols = self.tape.value(h).cols;
        let w =
            self.tensors.matrix(&mut self.tape, format!("{matrix}.weight"), c.hidden_size, cols)?;
        let mut resources = vec![w];
        if bias {
            let name = format!("{matrix}.bias");
            resources.push(self.tensors.vector(&mut self.tape, name, c.hidden_size)?);
        }
        let add = Add { factor: c.residual_factor };
        if !c.sandwich_norm {
            let h = record(&mut self.tape, Linear { bias, ..Linear::PLAIN }, &[h], &resources)?;
            return record(&mut self.tape, add, &[h, x], &[]);
        }
        let wide = Linear { kind: Kind::Residual, bias };
        let h = record(&mut self.tape, wide, &[h], &resources)?;
        let gain = self.tensors.vector(&mut self.tape, format!("{norm}.weight"), c.hidden_size)?;
        let norm = RmsNorm { eps: c.eps, outputs: false };
        let h = record(&mut self.tape, norm, &[h], &[gain])?;
        record(&mut self.tape, add, &[h, x], &[])
    }

    /// A product of `h` with rows of matrices, one below the other, and their `bias`.
    pub(crate) fn linear(
        &mut self,
        h: ValueId,
        rows: Vec<TensorRows>,
        bias: Option<TensorRows>,
        kind: Kind,
    ) -> Result<ValueId> {
        let cols = self.tape.value(h).cols;
        let mut resources = self.tensors.rows(&mut self.tape, rows, cols)?;
        let product = Linear { kind, bias: bias.is_some() };
        if let Some(bias) = bias {
            resources.push(self.tensors.numbers(&mut self.tape, bias)?);
        }
        record(&mut self.tape, product, &[h], &resources)
    }

    /// A product of `h` with the matrix of this name, which has so many rows, and its bias.
    pub(crate) fn product(
        &mut self,
        h: ValueId,
        name: &str,
        rows: usize,
        bias: bool,
        kind: Kind,
    ) -> Result<ValueId> {
        let all = |end: &str| TensorRows::all(format!("{name}.{end}"), rows);
        self.linear(h, vec![all("weight")], bias.then(|| all("bias")), kind)
    }
}
