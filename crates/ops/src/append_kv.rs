//! Keys and values into the paged cache.

use wisp_base::{Error, KvType, Result, Setting};
use wisp_graph::{
    Bind, Cost, CpuNode, Kind, Lower, Operation, Resource, Rows, StepToken, Tape, Value,
};

use crate::check::{self, Case};
use crate::{Attention, expect_cols, nth, record};

/// Inputs: keys and values `[tokens, kv_heads·head_dim]`; keys alone where the cache is latent.
/// Resource: the cache.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AppendKv {
    /// Heads of keys and values.
    pub kv_heads: usize,
    /// Numbers per head; a multiple of 4 and of the cache type's block.
    pub head_dim: usize,
}

/// A token's heads of keys and of values into the cache that is resource `at`.
pub(crate) fn append(
    node: &mut CpuNode<'_>,
    at: usize,
    token: &StepToken,
    keys: &[Vec<f32>],
    values: &[Vec<f32>],
) -> Result<()> {
    let kv = node.kv;
    for (is_key, heads) in [(true, keys), (false, values)] {
        for (number, head) in heads.iter().enumerate() {
            let (mut head, dim) = (head.clone(), head.len());
            let first = node.sequences.vector(
                token.sequence,
                token.position as usize,
                number,
                keys.len(),
                dim,
            );
            kv.round(&mut head);
            let cache = node.cache_mut(at)?;
            let into = if is_key { &mut cache.keys } else { &mut cache.values };
            into[first..first + dim].copy_from_slice(&head);
        }
    }
    Ok(())
}

/// # Errors
/// A cache that stores more numbers together than a head has.
pub(crate) fn check_block(kv: KvType, head_dim: usize) -> Result<()> {
    if head_dim.is_multiple_of(kv.block()) {
        return Ok(());
    }
    let error = Error::unsupported(format!(
        "a KV cache of {} stores {} numbers together, but heads have {head_dim}",
        kv.name(),
        kv.block(),
    ));
    Err(error.hint("give ", Setting::Kv, " f16"))
}

impl Operation for AppendKv {
    fn name(&self) -> &'static str {
        "append_kv"
    }

    fn infer(&self, inputs: &[&Value], resources: &[&Resource]) -> Result<Option<Value>> {
        let (heads, dim) = (self.kv_heads, self.head_dim);
        let fits = |kv_heads, head_dim, latent: bool| {
            (kv_heads, head_dim, if latent { 1 } else { 2 }) == (heads, dim, inputs.len())
        };
        match resources.first() {
            Some(Resource::Paged { kv_heads, head_dim, latent, .. })
                if fits(*kv_heads, *head_dim, *latent) => {}
            other => {
                return Err(Error::input(format!(
                    "{other:?} does not keep {} of {heads} heads of {dim}",
                    inputs.len()
                )));
            }
        }
        for at in 0..inputs.len() {
            expect_cols(nth(inputs, at)?, self.kv_heads * self.head_dim)?;
        }
        Ok(None)
    }

    fn cpu(&self, node: &mut CpuNode<'_>) -> Result<Vec<f32>> {
        let cols = self.kv_heads * self.head_dim;
        let heads = |row: &[f32]| row.chunks_exact(self.head_dim).map(<[f32]>::to_vec).collect();
        let keys = node.input(0)?.chunks_exact(cols);
        let mut values = (node.inputs() > 1)
            .then(|| node.input(1))
            .transpose()?
            .map(|values| values.chunks_exact(cols));
        for (token, keys) in node.step.tokens.iter().zip(keys) {
            let keys: Vec<Vec<f32>> = heads(keys);
            let values = values.as_mut().and_then(Iterator::next).map(heads).unwrap_or_default();
            append(node, 0, token, &keys, &values)?;
        }
        Ok(Vec::new())
    }

    fn gpu(&self, lower: &mut Lower<'_>) -> Result<()> {
        let kv = lower.target.kv;
        check_block(kv, self.head_dim)?;
        let last = lower.inputs() - 1;
        let most = (self.head_dim as u32).next_power_of_two();
        let kernel = lower
            .kernel(self.name())
            .set("THREADS", lower.target.tuning.reduce_threads.min(most))
            .set("KV_HEADS", self.kv_heads as u64)
            .set("HEAD_DIM", self.head_dim as u64)
            .set("KEY_STRIDE", lower.input(0).stride() as u64)
            .set("VALUE_STRIDE", lower.input(last).stride() as u64)
            .set_bool("VALUES", last > 0)
            .set("PAGES_PER_SEQUENCE", lower.target.pages_per_sequence as u64);
        let binds = vec![
            ("step", Bind::Step),
            ("pages", Bind::Pages),
            ("x", lower.bind_input(0)),
            ("kv", lower.bind_input(last)),
            ("keys", Bind::Keys(lower.id(0))),
            ("values", Bind::Values(lower.id(0))),
        ];
        let (heads, numbers) = (self.kv_heads as u32, self.kv_heads * self.head_dim * (1 + last));
        let bytes = lower.bytes(Kind::Activation, numbers) + kv.bytes(numbers) as u64;
        lower.dispatch_heads(kernel, binds, heads, Cost { bytes, flops: 0 });
        Ok(())
    }
}

/// Kept, and read by attention to queries that nothing rotates, so that it is not fused.
pub(crate) fn cases() -> Result<Vec<Case>> {
    let mut cases = Vec::new();
    for (kv, head_dim, bound) in [(KvType::F32, 20, 2e-5), (KvType::Q8_0, 32, 1e-2)] {
        let (heads, kv_heads) = (6, 2);
        let mut tape = Tape::new();
        let mut input = |name: &str, heads| {
            let (rows, kind, cols) = (Rows::Tokens, Kind::Activation, heads * head_dim);
            tape.input(Value { name: name.into(), rows, cols, kind })
        };
        let [q, k, v] = [("q", heads), ("k", kv_heads), ("v", kv_heads)].map(|(n, h)| input(n, h));
        let cache = Resource::Paged { layer: 0, kv_heads, head_dim, latent: false };
        let cache = tape.resource(cache);
        tape.push(AppendKv { kv_heads, head_dim }, &[k, v], &[cache])?;
        let y = record(&mut tape, Attention::new(heads, kv_heads, head_dim, 0.2), &[q], &[cache])?;
        let step = check::step(&[(0, 0), (0, 1), (1, 0), (0, 2)], &[]);
        let first = Case::new(format!("append_kv, {} cache", kv.name()), tape, step);
        cases.push(Case { inputs: vec![q, k, v], compare: vec![y], kv, bound, ..first });
    }
    Ok(cases)
}
