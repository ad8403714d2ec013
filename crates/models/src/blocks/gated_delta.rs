//! Gated DeltaNet (Yang et al. 2024; Qwen3-Next, Qwen3.5): queries, keys and values go through a
//! short convolution, then a matrix per head, which decays and is corrected by each token, answers
//! the query. What a sequence carries on is the convolution's last inputs and these matrices.

use wisp_base::{Error, Result};
use wisp_graph::{Kind, Resource, ValueId};
use wisp_ops::{Activation, OutputGate, record};

use crate::config::GatedDelta;
use crate::decoder::Recorder;
use crate::tensors::Rows;

impl Recorder<'_> {
    /// All value heads `[tokens, heads·value_dim]`, normed and gated, for `h`
    /// `[tokens, hidden_size]`.
    pub(crate) fn gated_delta(
        &mut self,
        layer: usize,
        of: GatedDelta,
        h: ValueId,
    ) -> Result<ValueId> {
        let c = self.c;
        let GatedDelta { key_heads, heads, key_dim, value_dim, kernel, grouped } = of;
        let delta = wisp_ops::GatedDelta { key_heads, heads, key_dim, value_dim, grouped };
        let channels = delta.input_cols();
        // q, k, v, and the output's gate behind them: one product reads h for all.
        let name = |tensor: &str| format!("blk.{layer}.{tensor}");
        let parts = [("attn_qkv.weight", channels), ("attn_gate.weight", heads * value_dim)];
        let parts = parts.map(|(tensor, rows)| Rows::all(name(tensor), rows)).into();
        let qkvz = self.linear(h, parts, None, Kind::Activation)?;
        let rows = self.gate_rows(layer, of)?;
        let gates = self.linear(h, rows, None, Kind::Activation)?;

        let conv = wisp_ops::ShortConv {
            channels,
            kernel,
            activation: Some(Activation::Silu),
            gated: false,
            bias: false,
        };
        let (conv_len, delta_len) = (conv.state_len(), delta.state_len());
        let taps = name("ssm_conv1d.weight");
        let taps = self.tensors.vector(&mut self.tape, taps, channels.saturating_mul(kernel))?;
        let mut slots = |name, len| self.tape.resource(Resource::Slots { layer, name, len });
        let (inputs, state) = (slots("convolution", conv_len), slots("delta", delta_len));
        let qkv = record(&mut self.tape, conv, &[qkvz], &[taps, inputs])?;

        let decay = self.tensors.vector(&mut self.tape, name("ssm_a"), heads)?;
        let bias = self.tensors.vector(&mut self.tape, name("ssm_dt.bias"), heads)?;
        let y = record(&mut self.tape, delta, &[qkv, gates], &[decay, bias, state])?;

        let gain = self.tensors.vector(&mut self.tape, name("ssm_norm.weight"), value_dim)?;
        let gate = OutputGate {
            heads,
            head_dim: value_dim,
            norm: Some(c.eps),
            activation: Activation::Silu,
            gate_first: channels,
        };
        record(&mut self.tape, gate, &[y, qkvz], &[gain])
    }

    /// Rows of b, then of a, of each head: of a matrix each, or of one that has both for each key
    /// head (Qwen3-Next).
    fn gate_rows(&self, layer: usize, of: GatedDelta) -> Result<Vec<Rows>> {
        let name = |tensor: &str| format!("blk.{layer}.{tensor}.weight");
        let both = name("ssm_ba");
        if self.tensors.find(&both).is_none() {
            return Ok(["ssm_beta", "ssm_alpha"]
                .map(|part| Rows::all(name(part), of.heads))
                .into());
        }
        self.tensors.expect(&both, of.heads.saturating_mul(2), self.c.hidden_size)?;
        if of.key_heads == 0 || !of.heads.is_multiple_of(of.key_heads) {
            return Err(Error::input(format!(
                "{} heads of values cannot share {} heads of keys: the file is damaged",
                of.heads, of.key_heads
            )));
        }
        let each = of.heads / of.key_heads;
        let part = |first| {
            let rows = move |head| (2 * head * each + first, each, 2 * of.heads);
            (0..of.key_heads).map(rows)
        };
        let rows = part(0).chain(part(each));
        Ok(rows.map(|(first, rows, all)| Rows::some(both.clone(), first, rows, all)).collect())
    }
}
