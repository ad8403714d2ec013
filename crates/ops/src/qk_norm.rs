//! RMS norm of queries and keys before they turn (Henry et al. 2020), in place in the
//! row of queries, keys and values.

use wisp_base::{Error, Result};
use wisp_graph::{Bind, Cost, CpuNode, Kind, Link, Lower, Operation, Resource, Rows, Tape, Value};

use crate::check::{self, Case};
use crate::rms_norm::rms_normed;
use crate::{expect_len, nth, record};

/// Input: `[tokens, …]` that begins with the queries, then the keys, changed in place.
/// Resource: the gains of a query part, then those of a key part.
#[derive(Debug, Clone, PartialEq)]
pub struct QkNorm {
    /// Parts of queries that are normed one by one: the heads, or 1.
    pub queries: usize,
    /// Numbers a part of queries.
    pub query: usize,
    /// Parts of keys.
    pub keys: usize,
    /// Numbers a part of keys.
    pub key: usize,
    /// Added to the mean square.
    pub eps: f32,
}

impl Operation for QkNorm {
    fn name(&self) -> &'static str {
        "qk_norm"
    }

    fn infer(&self, inputs: &[&Value], resources: &[&Resource]) -> Result<Option<Value>> {
        let x = nth(inputs, 0)?;
        expect_len(resources, 0, self.query + self.key)?;
        if self.numbers() > x.cols {
            return Err(Error::input(format!(
                "{} has {} columns, but {} are to be normed",
                x.name,
                x.cols,
                self.numbers()
            )));
        }
        Ok(Some(Value { name: "qk_norm".into(), ..x.clone() }))
    }

    fn in_place(&self) -> Option<usize> {
        Some(0)
    }

    fn cpu(&self, node: &mut CpuNode<'_>) -> Result<Vec<f32>> {
        let (cols, gain) = (node.value(0)?.cols, node.numbers(0)?);
        let (query_gain, key_gain) = gain.split_at(self.query);
        let mut y = node.input(0)?.to_vec();
        for row in y.chunks_exact_mut(cols) {
            let (queries, rest) = row.split_at_mut(self.queries * self.query);
            let keys = &mut rest[..self.keys * self.key];
            for (parts, len, gain) in
                [(queries, self.query, query_gain), (keys, self.key, key_gain)]
            {
                // There may be no keys.
                parts.chunks_exact_mut(len.max(1)).for_each(|p| rms_normed(p, gain, self.eps));
            }
        }
        Ok(y)
    }

    /// Head by head, they are normed where they are rotated.
    fn as_input(&self, lower: &mut Lower<'_>) -> Result<Option<Link>> {
        if self.queries == 1 {
            return Ok(None);
        }
        let x = lower.bind_input(0);
        let mut link = Link::new("norm", "norm/rms");
        link.kernel = link.kernel.set_f32("EPS", self.eps);
        link.binds = vec![("queries", x), ("kv", x), ("gain", Bind::Numbers(lower.id(0)))];
        Ok(Some(link))
    }

    fn gpu(&self, lower: &mut Lower<'_>) -> Result<()> {
        let kernel = lower
            .kernel("qk_norm")
            .set("THREADS", lower.target.tuning.reduce_threads)
            .set("QUERIES", self.queries as u64)
            .set("QUERY", self.query as u64)
            .set("KEY", self.key as u64)
            .set("STRIDE", lower.input(0).stride() as u64)
            .set_f32("EPS", self.eps);
        let binds = vec![("y", lower.bind_output()?), ("gain", Bind::Numbers(lower.id(0)))];
        let groups = (self.queries + self.keys) as u32;
        let bytes = 2 * lower.bytes(Kind::Activation, self.numbers());
        let flops = 4 * self.numbers() as u64;
        lower.dispatch_heads(kernel, binds, groups, Cost { bytes, flops });
        Ok(())
    }
}

impl QkNorm {
    /// Numbers of a row that change.
    fn numbers(&self) -> usize {
        self.queries * self.query + self.keys * self.key
    }
}

/// Head by head, and all heads at once.
pub(crate) fn cases() -> Result<Vec<Case>> {
    let mut cases = Vec::new();
    for (queries, query, keys, key) in [(7, 20, 1, 20), (1, 140, 1, 60)] {
        let mut tape = Tape::new();
        let cols = queries * query + 2 * keys * key;
        let value = Value { name: "qkv".into(), rows: Rows::Tokens, cols, kind: Kind::Activation };
        let x = tape.input(value);
        let gain = tape.resource(check::vector("gains", query + key));
        let op = QkNorm { queries, query, keys, key, eps: 1e-5 };
        let y = record(&mut tape, op, &[x], &[gain])?;
        let step = check::step(&[(0, 0), (0, 1), (1, 7)], &[]);
        cases.push(Case {
            inputs: vec![x],
            compare: vec![y],
            ..Case::new(format!("qk_norm {queries} × {query}"), tape, step)
        });
    }
    Ok(cases)
}
