//! Short convolution: y_t = f(Σ_j w_j·u_{t−L+1+j} + bias), channel by channel and causal, with
//! u = x; or gated (LFM2): x is [B|C|x], u = B⊙x, and the result C⊙y.

use wisp_base::{Error, Result};
use wisp_graph::{
    Bind, Cost, Counts, CpuNode, Kind, Lower, Operation, Resource, Rows, Tape, Value,
};

use crate::check::{self, Case};
use crate::{Activation, expect_len, expect_slots, nth, record};

/// Input: `[tokens, channels]`, or `[tokens, 3·channels]` where it is gated; a wider row is
/// read from its start. Output: `[tokens, channels]`. Resources: the taps
/// `[channels, kernel]`, the last one for the token itself; slots of `(kernel − 1)·channels`,
/// the last inputs of a sequence, oldest first; with `bias` that, `[channels]`.
#[derive(Debug, Clone, PartialEq)]
pub struct ShortConv {
    /// Channels.
    pub channels: usize,
    /// Taps per channel, L; 2 or more.
    pub kernel: usize,
    /// What becomes of a sum.
    pub activation: Option<Activation>,
    /// The input is [B|C|x].
    pub gated: bool,
    /// A number is added to each channel.
    pub bias: bool,
}

impl ShortConv {
    /// Numbers that a sequence keeps.
    pub fn state_len(&self) -> usize {
        (self.kernel - 1) * self.channels
    }

    /// Columns of the input.
    fn input_cols(&self) -> usize {
        if self.gated { 3 * self.channels } else { self.channels }
    }
}

impl Operation for ShortConv {
    fn name(&self) -> &'static str {
        "short_conv"
    }

    fn infer(&self, inputs: &[&Value], resources: &[&Resource]) -> Result<Option<Value>> {
        let x = nth(inputs, 0)?;
        if self.kernel < 2 {
            return Err(Error::unsupported(format!(
                "a convolution of {} taps: it must have 2 or more",
                self.kernel
            )));
        }
        if x.cols < self.input_cols() {
            return Err(Error::input(format!(
                "{} has {} columns, but a convolution of {} channels reads {}",
                x.name,
                x.cols,
                self.channels,
                self.input_cols()
            )));
        }
        expect_len(resources, 0, self.kernel * self.channels)?;
        expect_slots(resources, 1, self.state_len())?;
        if self.bias {
            expect_len(resources, 2, self.channels)?;
        }
        let (name, cols) = ("short_conv".into(), self.channels);
        Ok(Some(Value { name, rows: Rows::Tokens, cols, kind: Kind::Activation }))
    }

    fn cpu(&self, node: &mut CpuNode<'_>) -> Result<Vec<f32>> {
        let (channels, kernel) = (self.channels, self.kernel);
        let taps = node.numbers(0)?.to_vec();
        let bias = if self.bias { node.numbers(2)?.to_vec() } else { vec![0.0; channels] };
        let rows = node.input(0)?.chunks_exact(node.value(0)?.cols);
        let mut y = Vec::new();
        for (token, row) in node.step.tokens.iter().zip(rows) {
            let slot = node.slot_mut(1, token)?;
            for channel in 0..channels {
                let own = if self.gated {
                    row[channel] * row[2 * channels + channel]
                } else {
                    row[channel]
                };
                let mut seen: Vec<f32> =
                    slot.iter().skip(channel).step_by(channels).copied().collect();
                seen.push(own);
                let products = seen.iter().zip(&taps[channel * kernel..]);
                let sum: f64 = products.map(|(u, w)| f64::from(*u) * f64::from(*w)).sum();
                let sum = (sum + f64::from(bias[channel])) as f32;
                let value = self.activation.map_or(sum, |activation| activation.of(sum));
                y.push(if self.gated { value * row[channels + channel] } else { value });
                for (entry, u) in seen[1..].iter().enumerate() {
                    slot[entry * channels + channel] = *u;
                }
            }
        }
        Ok(y)
    }

    fn gpu(&self, lower: &mut Lower<'_>) -> Result<()> {
        let threads = lower.target.tuning.reduce_threads;
        let groups = (self.channels as u32).div_ceil(threads);
        let linked = |lower: &Lower<'_>, name| {
            lower
                .kernel(name)
                .set("THREADS", threads)
                .set("CHANNELS", self.channels as u64)
                .set("KERNEL", self.kernel as u64)
                .set("X_STRIDE", lower.input(0).stride() as u64)
                .set_bool("GATED", self.gated)
        };
        let slots = ("slots", Bind::Slots(lower.id(1)));
        let kept = 4 * self.state_len() as u64;
        let mut kernel =
            linked(lower, "short_conv").set("Y_STRIDE", lower.output()?.stride() as u64);
        kernel = match self.activation {
            Some(activation) => activation.link(kernel),
            None => kernel.link("activation", "activation/none"),
        };
        let mut binds = vec![
            ("step", Bind::Step),
            ("x", lower.bind_input(0)),
            ("y", lower.bind_output()?),
            ("taps", Bind::Numbers(lower.id(0))),
            slots,
        ];
        if self.bias {
            binds.push(("row_bias", Bind::Numbers(lower.id(2))));
            kernel = kernel.link("bias", "bias/vector").set("BIAS_ROWS", self.channels as u64);
        } else {
            kernel = kernel.link("bias", "bias/none");
        }
        let per_token = lower.bytes(Kind::Activation, self.input_cols() + self.channels);
        // Where every run is one token, the first kernel moves the slots.
        let single = |c: &Counts| c.runs == c.tokens;
        let taps = (self.channels * self.kernel) as u64;
        lower.dispatch(
            kernel,
            binds,
            move |c| [groups, c.tokens, 1],
            move |c| {
                let per_run = if single(c) { 2 * kept } else { kept };
                let bytes = per_token * u64::from(c.tokens) + per_run * u64::from(c.runs);
                Cost { bytes: bytes + 4 * taps, flops: 2 * taps * u64::from(c.tokens) }
            },
        );
        if lower.key.tokens == 1 {
            return Ok(());
        }
        let kernel = linked(lower, "short_conv_keep");
        let binds = vec![("step", Bind::Step), ("x", lower.bind_input(0)), slots];
        let inputs = lower.bytes(Kind::Activation, (self.kernel - 1) * self.input_cols());
        lower.dispatch(
            kernel,
            binds,
            move |c| [groups, if single(c) { 0 } else { c.runs }, 1],
            move |c| Cost { bytes: (inputs + kept) * u64::from(c.runs), flops: 0 },
        );
        Ok(())
    }
}

/// All settings; runs as [`check::RUNS`] has them.
pub(crate) fn cases() -> Result<Vec<Case>> {
    let mut cases = Vec::new();
    for (channels, kernel, activation, gated, bias) in [
        (36, 4, Some(Activation::Silu), false, false),
        (5, 3, None, true, false),
        (301, 4, Some(Activation::Silu), false, true),
        (12, 2, None, true, true),
    ] {
        let op = ShortConv { channels, kernel, activation, gated, bias };
        let mut tape = Tape::new();
        // Some columns more than it reads.
        let (rows, cols, kind) = (Rows::Tokens, op.input_cols() + channels % 2, Kind::Activation);
        let x = tape.input(Value { name: "x".into(), rows, cols, kind });
        let slots = Resource::Slots { layer: 0, name: "conv", len: op.state_len() };
        let mut resources = vec![check::vector("taps", kernel * channels), slots];
        resources.extend(bias.then(|| check::vector("bias", channels)));
        let resources: Vec<_> = resources.into_iter().map(|r| tape.resource(r)).collect();
        let y = record(&mut tape, op, &[x], &resources)?;
        let how = if gated { ", gated" } else { "" };
        let name = format!("short_conv {channels} × {kernel}{how}");
        cases.push(Case {
            inputs: vec![x],
            compare: vec![y],
            steps: check::runs(&check::RUNS),
            ..Case::new(name, tape, check::step(&[(0, 0)], &[]))
        });
    }
    Ok(cases)
}
