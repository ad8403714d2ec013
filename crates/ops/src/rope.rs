//! Rotary position embedding (Su et al. 2021): a pair (a, b) at angle φ = position·frequency
//! becomes (a·cos φ − b·sin φ, a·sin φ + b·cos φ).

use wisp_base::{Error, Result};
use wisp_gpu::Kernel;
use wisp_graph::{
    Bind, Cost, CpuNode, Kind, Lower, Operation, Resource, Rows, StepToken, Tape, Value,
};

use crate::check::{self, Case};
use crate::{expect_cols, nth, record};

/// Positions of the fine part of the table; `FINE` of `shaders/lib/rope.wgsl`.
const FINE: usize = 256;

/// Which numbers of a head turn together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pairing {
    /// (2i, 2i + 1): llama's in GGUF files.
    Interleaved,
    /// (i, i + half): GPT-NeoX's.
    NeoX,
}

/// Multiplies the query at a position by 1 + factor·ln(1 + ⌊position / length⌋), so that
/// scores of long contexts stay apart (Llama 4, Ministral 3).
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct AttentionTemperature {
    /// Of the logarithm.
    pub factor: f32,
    /// Positions a step of it; above 0.
    pub length: usize,
}

/// Rows of [`rope_table`] for so many positions.
pub fn rope_rows(positions: usize) -> usize {
    FINE + positions.div_ceil(FINE)
}

/// (cos, sin) of the angles of positions 0 … 255, then of 0, 256, 512, … below
/// `positions`, each for every frequency: `[256 + ⌈positions / 256⌉, frequencies, 2]`.
/// Computed in f64; the product of a fine and a coarse one as complex numbers is
/// exact to f32 rounding at any position. `scale` multiplies both (YaRN's factor).
/// Of 64 frequencies: 393 KB, made in 0.9 ms, for 131,072 positions; 2.2 MB in 6 ms for a
/// million. So it is made with the tape, and no kernel computes angles.
pub fn rope_table(frequencies: &[f64], positions: usize, scale: f32) -> Vec<f32> {
    // No buffer is empty: where nothing turns, one angle stays 0.
    let frequencies = if frequencies.is_empty() { &[0.0] } else { frequencies };
    let coarse = (0..positions.div_ceil(FINE)).map(|c| c * FINE);
    let fine = (0..FINE).map(|p| (p, 1.0));
    let rows = fine.chain(coarse.map(|p| (p, f64::from(scale))));
    rows.flat_map(|(position, scale)| {
        frequencies.iter().flat_map(move |frequency| {
            let angle = position as f64 * frequency;
            [(angle.cos() * scale) as f32, (angle.sin() * scale) as f32]
        })
    })
    .collect()
}

/// How the numbers of a head rotate.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Rope {
    /// Numbers per head; a multiple of 4.
    pub head_dim: usize,
    /// The first number of a head that rotates.
    pub first: usize,
    /// So many numbers from it on rotate; even.
    pub dim: usize,
    /// Which of them rotate together.
    pub pairing: Pairing,
    /// The row of the table at which another one begins, for tokens that are `long`.
    pub long_table: Option<usize>,
}

impl Rope {
    /// The first `dim` numbers of a head rotate, by one table.
    pub fn new(head_dim: usize, dim: usize, pairing: Pairing) -> Self {
        Self { head_dim, first: 0, dim, pairing, long_table: None }
    }

    /// # Errors
    /// Sizes that no kernel takes.
    pub(crate) fn check(&self) -> Result<()> {
        if self.head_dim.is_multiple_of(4)
            && self.first + self.dim <= self.head_dim
            && self.dim.is_multiple_of(2)
        {
            return Ok(());
        }
        Err(Error::unsupported(format!(
            "heads of {} numbers of which {} turn: they must be a multiple of 4, the turning ones \
             an even number of them",
            self.head_dim, self.dim
        )))
    }

    /// A head, rotated.
    pub(crate) fn rotated(&self, head: &[f32], token: &StepToken, table: &[f32]) -> Vec<f32> {
        let (half, position) = (self.dim / 2, token.position as usize);
        let first = self.long_table.filter(|_| token.long).unwrap_or(0);
        let at = |row: usize, pair: usize| {
            let at = 2 * (row * half + pair);
            (f64::from(table[at]), f64::from(table[at + 1]))
        };
        let mut out = head.to_vec();
        for pair in 0..half {
            let (a, b) = match self.pairing {
                Pairing::Interleaved => (2 * pair, 2 * pair + 1),
                Pairing::NeoX => (pair, pair + half),
            };
            let (a, b) = (self.first + a, self.first + b);
            let ((c0, s0), (c1, s1)) =
                (at(first + position % FINE, pair), at(first + FINE + position / FINE, pair));
            let (cos, sin) = (c0 * c1 - s0 * s1, c0 * s1 + s0 * c1);
            let (x, y) = (f64::from(head[a]), f64::from(head[b]));
            out[a] = (x * cos - y * sin) as f32;
            out[b] = (x * sin + y * cos) as f32;
        }
        out
    }

    /// The constants of `shaders/lib/rope.wgsl`, but where the first number is.
    pub(crate) fn set(&self, kernel: Kernel, temperature: Option<AttentionTemperature>) -> Kernel {
        kernel
            .set("ROPE_DIM", self.dim as u64)
            .set_bool("INTERLEAVED", self.pairing == Pairing::Interleaved)
            .set_f32("TEMPERATURE", temperature.map_or(0.0, |temperature| temperature.factor))
            .set("TEMPERATURE_LENGTH", temperature.map_or(1, |t| t.length) as u64)
            .set("LONG_TABLE", self.long_table.unwrap_or(0) as u64)
    }
}

impl AttentionTemperature {
    /// # Errors
    /// Its step has no length.
    pub(crate) fn check(self) -> Result<()> {
        if self.length == 0 {
            return Err(Error::input("queries are heated in steps of 0 positions"));
        }
        Ok(())
    }

    /// What a query at `position` is multiplied by.
    pub(crate) fn at(self, position: usize) -> f32 {
        1.0 + self.factor * ((position / self.length) as f32).ln_1p()
    }
}

/// Queries or keys `[tokens, heads·head_dim]`, rotated. Resource: the table of [`rope_table`].
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Rotate {
    /// How.
    pub rope: Rope,
    /// Heads.
    pub heads: usize,
    /// What queries are multiplied by besides.
    pub temperature: Option<AttentionTemperature>,
}

impl Operation for Rotate {
    fn name(&self) -> &'static str {
        "rotate"
    }

    fn infer(&self, inputs: &[&Value], _: &[&Resource]) -> Result<Option<Value>> {
        self.rope.check()?;
        self.temperature.map_or(Ok(()), AttentionTemperature::check)?;
        let x = nth(inputs, 0)?;
        expect_cols(x, self.heads * self.rope.head_dim)?;
        let name = format!("rotated {}", x.name);
        Ok(Some(Value { name, kind: Kind::Activation, ..x.clone() }))
    }

    fn cpu(&self, node: &mut CpuNode<'_>) -> Result<Vec<f32>> {
        let table = node.numbers(0)?;
        let rows = node.input(0)?.chunks_exact(self.heads * self.rope.head_dim);
        let mut y = Vec::new();
        for (token, row) in node.step.tokens.iter().zip(rows) {
            let factor = self.temperature.map_or(1.0, |t| t.at(token.position as usize));
            for head in row.chunks_exact(self.rope.head_dim) {
                y.extend(self.rope.rotated(head, token, table).iter().map(|x| factor * x));
            }
        }
        Ok(y)
    }

    fn gpu(&self, lower: &mut Lower<'_>) -> Result<()> {
        let most = (self.rope.head_dim as u32).next_power_of_two();
        let kernel = self
            .rope
            .set(lower.kernel(self.name()), self.temperature)
            .set("ROPE_FIRST", self.rope.first as u64)
            .set("THREADS", lower.target.tuning.reduce_threads.min(most))
            .set("HEAD_DIM", self.rope.head_dim as u64)
            .set("X_STRIDE", lower.input(0).stride() as u64)
            .set("Y_STRIDE", lower.output()?.stride() as u64);
        let binds = vec![
            ("step", Bind::Step),
            ("x", lower.bind_input(0)),
            ("y", lower.bind_output()?),
            ("rope", Bind::Numbers(lower.id(0))),
        ];
        let bytes = lower.bytes(Kind::Activation, 2 * self.heads * self.rope.head_dim);
        let (heads, flops) = (self.heads as u32, 3 * (self.heads * self.rope.dim) as u64);
        lower.dispatch_heads(kernel, binds, heads, Cost { bytes, flops });
        Ok(())
    }
}

/// Both pairings, part of a head from its first number and from a later one on, queries with a
/// temperature, far positions.
pub(crate) fn cases() -> Result<Vec<Case>> {
    let temperature = Some(AttentionTemperature { factor: 0.3, length: 2 });
    let mut cases = Vec::new();
    for (pairing, first, dim, head_dim, temperature) in [
        (Pairing::Interleaved, 0, 16, 16, None),
        (Pairing::NeoX, 0, 16, 16, temperature),
        (Pairing::NeoX, 4, 6, 20, None),
        (Pairing::NeoX, 0, 0, 12, None),
    ] {
        let op = Rotate {
            rope: Rope { first, ..Rope::new(head_dim, dim, pairing) },
            heads: 3,
            temperature,
        };
        let mut tape = Tape::new();
        let (rows, kind, cols) = (Rows::Tokens, Kind::Activation, 3 * head_dim);
        let x = tape.input(Value { name: "x".into(), rows, cols, kind });
        let frequencies: Vec<_> =
            (0..dim / 2).map(|i| 100f64.powf(-2.0 * i as f64 / dim as f64)).collect();
        let data = std::sync::Arc::new(rope_table(&frequencies, 300, 1.0));
        let table = tape.resource(Resource::Table { name: "rope".into(), data });
        let y = record(&mut tape, op, &[x], &[table])?;
        let step = check::step(&[(0, 0), (0, 1), (1, 127), (2, 33)], &[]);
        cases.push(Case {
            inputs: vec![x],
            compare: vec![y],
            ..Case::new(format!("rotate {pairing:?} {dim} of {head_dim}"), tape, step)
        });
    }
    Ok(cases)
}
