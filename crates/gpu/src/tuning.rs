//! Kernel parameters per adapter: how work is cut, and never what is computed, but for
//! [`MatvecTuning::packed`].

use std::fmt;

use wisp_base::{Error, Result};

use crate::Caps;

/// Parameters of every tunable kernel on one adapter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tuning {
    /// `matvec.wgsl`.
    pub matvec: MatvecTuning,
    /// `matmul.wgsl`.
    pub matmul: MatmulTuning,
    /// Both attention kernels.
    pub attention: AttentionTuning,
    /// Threads a workgroup of the small kernels: embed, norm, RoPE, sampling.
    pub reduce_threads: u32,
    /// Prompt tokens a step at most: large enough to pay for reading the weights,
    /// small enough that a cancelled prompt stops soon.
    pub prefill_tokens: usize,
    /// Decode steps submitted before the first one's token is read back.
    pub steps_in_flight: usize,
}

/// `matvec.wgsl`: `threads / lanes` groups of `lanes` threads, each group `rows` rows of W.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MatvecTuning {
    /// Threads a workgroup.
    pub threads: u32,
    /// Threads that share a row (a power of two).
    pub lanes: u32,
    /// Rows of W a thread (even), for one row of x.
    pub rows: u32,
    /// Rows of W a thread (even), for several rows of x.
    pub rows_for_many: u32,
    /// Rows of x a thread at most (a power of two).
    pub tokens: u32,
    /// A subgroup loads x together, where a thread has rows of W for itself.
    pub share_x: bool,
    /// Products of 8-bit integers, x being rounded to 8 bits, where a weight's format is one
    /// of integers: the one parameter that changes results, by less than weights of 8 bits do.
    pub packed: bool,
    /// More rows of x than that are for `matmul.wgsl`.
    pub up_to: u32,
    /// Workgroups that keep the whole adapter busy: for smaller matrices a workgroup
    /// takes fewer rows.
    pub groups: u32,
}

/// `matmul.wgsl`: each thread makes `rows` × `tokens` results. `matmul_coop.wgsl`: each
/// subgroup makes `coop_rows` × `coop_tokens`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MatmulTuning {
    /// Threads a workgroup.
    pub threads: u32,
    /// Rows a thread (even).
    pub rows: u32,
    /// Tokens a thread.
    pub tokens: u32,
    /// Threads along the tokens at most (a power of two); the others go along the rows.
    pub token_threads: u32,
    /// Cooperative matrices (`matmul_coop.wgsl`) where the adapter has them.
    pub coop: bool,
    /// With those: subgroups a workgroup (a power of two).
    pub coop_subgroups: u32,
    /// Tokens a subgroup at most (a multiple of 16).
    pub coop_tokens: u32,
    /// Rows a subgroup (a multiple of 16).
    pub coop_rows: u32,
}

/// `attention_decode.wgsl`, `attention_prefill.wgsl`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AttentionTuning {
    /// Threads a workgroup.
    pub threads: u32,
    /// Splits of the context at most.
    pub splits: u32,
    /// Keys a split should hold at least.
    pub split_keys: u32,
    /// What a thread of decode takes; its rows are query heads.
    pub decode: Block,
    /// What a thread of prefill takes; its rows are queries.
    pub prefill: Block,
}

/// What a thread of attention has for each thing that it loads (`shaders/lib/attend.wgsl`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Block {
    /// Rows for a key, at most.
    pub rows: u32,
    /// Keys for a row (a power of two).
    pub keys: u32,
    /// Fours of a value for a weight.
    pub values: u32,
}

impl Tuning {
    /// For adapters that run shaders on the processor: a load costs far more
    /// than a multiplication, and threads of a subgroup are SIMD lanes.
    pub const CPU: Tuning = Tuning {
        matvec: MatvecTuning {
            threads: 32,
            lanes: 1,
            rows: 8,
            rows_for_many: 4,
            tokens: 8,
            share_x: true,
            packed: false,
            up_to: u32::MAX,
            groups: 8,
        },
        matmul: MatmulTuning {
            threads: 32,
            rows: 4,
            tokens: 16,
            token_threads: 1,
            coop: false, // It has no hardware for them.
            coop_subgroups: 4,
            coop_tokens: 16,
            coop_rows: 16,
        },
        attention: AttentionTuning {
            threads: 32,
            splits: 8,
            split_keys: 64,
            decode: Block { rows: 8, keys: 4, values: 2 },
            prefill: Block { rows: 4, keys: 4, values: 2 },
        },
        reduce_threads: 32,
        prefill_tokens: 64,
        steps_in_flight: 2,
    };

    /// For GPUs: neighbouring threads read neighbouring words.
    pub const GPU: Tuning = Tuning {
        matvec: MatvecTuning {
            threads: 64,
            lanes: 16,
            rows: 4,
            rows_for_many: 4,
            tokens: 4,
            share_x: false,
            packed: false,
            up_to: 8,
            groups: 128,
        },
        matmul: MatmulTuning {
            threads: 64,
            rows: 4,
            tokens: 4,
            token_threads: 8,
            coop: true,
            coop_subgroups: 4,
            coop_tokens: 64,
            coop_rows: 32,
        },
        attention: AttentionTuning {
            threads: 64,
            splits: 16,
            split_keys: 128,
            decode: Block { rows: 1, keys: 1, values: 1 },
            prefill: Block { rows: 2, keys: 4, values: 2 },
        },
        reduce_threads: 256,
        prefill_tokens: 512,
        steps_in_flight: 4,
    };
}

/// What a parameter may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Rule {
    /// From 1 on.
    Any,
    /// A multiple of 2.
    Even,
    /// A multiple of 16.
    Sixteens,
    /// 1, 2, 4, 8, …
    PowerOfTwo,
    /// 0 or 1.
    Switch,
}

impl Rule {
    fn allows(self, value: u32) -> bool {
        match self {
            Self::Any => value > 0,
            Self::Even => value > 0 && value.is_multiple_of(2),
            Self::Sixteens => value > 0 && value.is_multiple_of(16),
            Self::PowerOfTwo => value.is_power_of_two(),
            Self::Switch => value <= 1,
        }
    }

    fn says(self) -> &'static str {
        match self {
            Self::Any => "a whole number from 1 on",
            Self::Even => "an even number from 2 on",
            Self::Sixteens => "a multiple of 16",
            Self::PowerOfTwo => "a power of two",
            Self::Switch => "0 or 1",
        }
    }
}

type Get = fn(&Tuning) -> u32;
type Set = fn(&mut Tuning, u32);

/// Every parameter: its name, what it may be, how it is read and written.
const PARAMETERS: [(&str, Rule, Get, Set); 29] = {
    use Rule::{Any, Even, PowerOfTwo, Sixteens, Switch};
    macro_rules! at {
        ($name:literal, $rule:ident, $($field:ident).+) => {
            ($name, $rule, |t| t.$($field).+ as u32, |t, to| t.$($field).+ = to as _)
        };
    }
    [
        at!("matvec.threads", PowerOfTwo, matvec.threads),
        at!("matvec.lanes", PowerOfTwo, matvec.lanes),
        at!("matvec.rows", Even, matvec.rows),
        at!("matvec.rows_for_many", Even, matvec.rows_for_many),
        at!("matvec.tokens", PowerOfTwo, matvec.tokens),
        ("matvec.share_x", Switch, |t| t.matvec.share_x.into(), |t, to| t.matvec.share_x = to == 1),
        ("matvec.packed", Switch, |t| t.matvec.packed.into(), |t, to| t.matvec.packed = to == 1),
        at!("matvec.up_to", Any, matvec.up_to),
        at!("matvec.groups", Any, matvec.groups),
        at!("matmul.threads", PowerOfTwo, matmul.threads),
        at!("matmul.rows", Even, matmul.rows),
        at!("matmul.tokens", Any, matmul.tokens),
        at!("matmul.token_threads", PowerOfTwo, matmul.token_threads),
        ("matmul.coop", Switch, |t| t.matmul.coop.into(), |t, to| t.matmul.coop = to == 1),
        at!("matmul.coop_subgroups", PowerOfTwo, matmul.coop_subgroups),
        at!("matmul.coop_tokens", Sixteens, matmul.coop_tokens),
        at!("matmul.coop_rows", Sixteens, matmul.coop_rows),
        at!("attention.threads", PowerOfTwo, attention.threads),
        at!("attention.splits", Any, attention.splits),
        at!("attention.split_keys", Any, attention.split_keys),
        at!("attention.decode.rows", Any, attention.decode.rows),
        at!("attention.decode.keys", PowerOfTwo, attention.decode.keys),
        at!("attention.decode.values", PowerOfTwo, attention.decode.values),
        at!("attention.prefill.rows", Any, attention.prefill.rows),
        at!("attention.prefill.keys", PowerOfTwo, attention.prefill.keys),
        at!("attention.prefill.values", PowerOfTwo, attention.prefill.values),
        at!("reduce_threads", PowerOfTwo, reduce_threads),
        at!("prefill_tokens", Any, prefill_tokens),
        at!("steps_in_flight", Any, steps_in_flight),
    ]
};

/// Every parameter, as [`Tuning::with`] reads them.
impl fmt::Display for Tuning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, (name, _, get, _)) in PARAMETERS.iter().enumerate() {
            let comma = if at == 0 { "" } else { "," };
            write!(f, "{comma}{name}={}", get(self))?;
        }
        Ok(())
    }
}

impl Tuning {
    /// Without what an adapter of these capabilities does not offer.
    pub fn within(mut self, caps: Caps) -> Self {
        self.matvec.packed &= caps.dot;
        self
    }

    /// With some parameters set: `matvec.rows=4,prefill_tokens=256`; an empty text sets none.
    ///
    /// # Errors
    /// A name that there is not, or a value that it cannot have.
    pub fn with(mut self, text: &str) -> Result<Self> {
        for pair in text.split(',').map(str::trim).filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let known = PARAMETERS.iter().find(|(known, ..)| *known == name.trim());
            let (_, rule, _, set) = known.ok_or_else(|| {
                let names: Vec<_> = PARAMETERS.iter().map(|(name, ..)| *name).collect();
                Error::input(format!(
                    "--tune: there is no parameter {name}; there are {}",
                    names.join(", ")
                ))
            })?;
            let value = value.trim().parse().ok().filter(|value| rule.allows(*value));
            let value = value.ok_or_else(|| {
                Error::input(format!("--tune: `{pair}`: {name} must be {}", rule.says()))
            })?;
            set(&mut self, value);
        }
        Ok(self)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn what_is_shown_can_be_read_again() {
        for tuning in [Tuning::CPU, Tuning::GPU] {
            assert_eq!(Tuning::CPU.with(&tuning.to_string()).unwrap(), tuning);
        }
        let set = Tuning::GPU.with("matvec.rows=8, matvec.share_x=1").unwrap();
        assert_eq!((set.matvec.rows, set.matvec.share_x), (8, true));
        for (wrong, says) in [
            ("matvec.rows=3", "must be an even number"),
            ("matvec.lanes=12", "must be a power of two"),
            ("matvec.tokens", "must be a power of two"),
            ("matmul.coop_rows=8", "must be a multiple of 16"),
            ("matvec.up_to=-1", "from 1 on"),
            ("rows=2", "there is no parameter rows; there are matvec.threads"),
        ] {
            let error = Tuning::GPU.with(wrong).unwrap_err().to_string();
            assert!(error.contains(says), "{error}");
        }
    }
}
