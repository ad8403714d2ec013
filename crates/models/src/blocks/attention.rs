//! Softmax attention, of queries in groups that share keys and values (Ainslie et al. 2023).

use wisp_base::{Error, Result};
use wisp_graph::{Kind, Resource, ValueId};
use wisp_ops::{Activation, AppendKv, OutputGate, QkNorm, Rope, Rotate, record};

use crate::config::{Attention, QkNorms};
use crate::decoder::Recorder;
use crate::tensors::Rows;

impl Recorder<'_> {
    /// All heads' results `[tokens, heads·head_dim]` for `h` `[tokens, hidden_size]`.
    pub(crate) fn attention(&mut self, layer: usize, of: Attention, h: ValueId) -> Result<ValueId> {
        let c = self.c;
        let Attention { heads, kv_heads, head_dim, window, rope, gate } = of;
        let name = |tensor: &str| format!("blk.{layer}.{tensor}");
        let [mut q, mut k, v] = self.queries_keys_values(layer, of, h)?;
        if let Some(norms) = c.qk_norm {
            let each = norms == QkNorms::EachHead;
            q = self.qk_norm(q, &name("attn_q_norm"), if each { heads } else { 1 })?;
            k = self.qk_norm(k, &name("attn_k_norm"), if each { kv_heads } else { 1 })?;
        }
        let cache = Resource::Paged { layer, kv_heads, head_dim, latent: false };
        let cache = self.tape.resource(cache);
        let table = self.rope(rope)?;
        let rope = &c.ropes[rope];
        let rope = Rope { long_table: table.long, ..Rope::new(head_dim, rope.dim, rope.pairing) };
        let rotate = Rotate { rope, heads, temperature: c.attention_temperature };
        let q = record(&mut self.tape, rotate, &[q], &[table.id])?;
        let rotate = Rotate { rope, heads: kv_heads, temperature: None };
        let k = record(&mut self.tape, rotate, &[k], &[table.id])?;
        self.tape.push(AppendKv { kv_heads, head_dim }, &[k, v], &[cache])?;
        let scale = c.attention_scale.unwrap_or(1.0 / (head_dim as f32).sqrt());
        // An encoder's window reaches as far to both sides.
        let half = window.filter(|_| c.encoder).map(|window| window / 2);
        let attention = wisp_ops::Attention {
            cap: c.attention_cap,
            window: half.map(|half| half + 1).or(window),
            ahead: half.unwrap_or(0),
            sinks: c.sinks,
            ..wisp_ops::Attention::new(heads, kv_heads, head_dim, scale)
        };
        let mut resources = vec![cache];
        if c.sinks {
            let sinks = name("attn_sinks.weight");
            resources.push(self.tensors.vector(&mut self.tape, sinks, heads)?);
        }
        let y = record(&mut self.tape, attention, &[q], &resources)?;
        if !gate {
            return Ok(y);
        }
        let rows = self.of_heads(layer, of, head_dim)?;
        let gates = self.linear(h, rows, None, Kind::Activation)?;
        let gate = OutputGate {
            heads,
            head_dim,
            norm: None,
            activation: Activation::Sigmoid,
            gate_first: 0,
        };
        record(&mut self.tape, gate, &[y, gates], &[])
    }

    /// Of the matrix with queries and gates, each head's rows from its row `first` on.
    fn of_heads(&self, layer: usize, of: Attention, first: usize) -> Result<Vec<Rows>> {
        let each = of.head_dim.saturating_mul(2);
        let all = each.saturating_mul(of.heads);
        let name = format!("blk.{layer}.attn_q.weight");
        self.tensors.expect(&name, all, self.c.hidden_size)?;
        let rows = |head| Rows::some(name.clone(), head * each + first, of.head_dim, all);
        Ok((0..of.heads).map(rows).collect())
    }

    /// `x`, of which each of `parts` parts of a row is normed alone.
    fn qk_norm(&mut self, x: ValueId, name: &str, parts: usize) -> Result<ValueId> {
        let len = self.tape.value(x).cols / parts.max(1);
        let gain = self.tensors.vector(&mut self.tape, format!("{name}.weight"), len)?;
        let norm = QkNorm { queries: parts, query: len, keys: 0, key: 0, eps: self.c.eps };
        record(&mut self.tape, norm, &[x], &[gain])
    }

    /// Queries `[tokens, heads·head_dim]`, keys and values `[tokens, kv_heads·head_dim]`.
    fn queries_keys_values(
        &mut self,
        layer: usize,
        of: Attention,
        h: ValueId,
    ) -> Result<[ValueId; 3]> {
        let c = self.c;
        let kind = Kind::Activation;
        let (q_rows, kv_rows) = (of.heads * of.head_dim, of.kv_heads * of.head_dim);
        let name = |tensor: &str| format!("blk.{layer}.{tensor}");
        if of.gate && (c.qkv_bias || c.fused_qkv) {
            return Err(Error::unsupported(
                "attention with a gate has biases or one matrix for queries, keys and values, \
                 which this version does not compute",
            ));
        }
        if c.fused_qkv {
            let mut part = |first, rows| {
                let of = q_rows + 2 * kv_rows;
                let some = |end| Rows::some(name(&format!("attn_qkv.{end}")), first, rows, of);
                let bias = c.qkv_bias.then(|| some("bias"));
                self.linear(h, vec![some("weight")], bias, kind)
            };
            return Ok([
                part(0, q_rows)?,
                part(q_rows, kv_rows)?,
                part(q_rows + kv_rows, kv_rows)?,
            ]);
        }
        let queries = match of.gate {
            true => {
                let rows = self.of_heads(layer, of, 0)?;
                self.linear(h, rows, None, kind)?
            }
            false => self.product(h, &name("attn_q"), q_rows, c.qkv_bias, kind)?,
        };
        let keys = self.product(h, &name("attn_k"), kv_rows, c.qkv_bias, kind)?;
        let values = self.product(h, &name("attn_v"), kv_rows, c.qkv_bias, kind)?;
        Ok([queries, keys, values])
    }
}
