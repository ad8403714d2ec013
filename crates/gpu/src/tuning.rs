//! Kernel parameters per adapter: how work is cut, and never what is computed, but for
//! [`MatvecTuning::packed`].

use std::fmt;

use wisp_base::{Error, Result, Setting};

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
    /// `gated_delta.wgsl`.
    pub gated_delta: GatedDeltaTuning,
    /// Threads a workgroup of the small kernels: embed, norm, RoPE, sampling.
    pub reduce_threads: u32,
    /// Prompt tokens per step at most: large enough to pay for reading the weights,
    /// small enough that a cancelled prompt stops soon.
    pub prefill_tokens: usize,
    /// Decode steps submitted before the first one's token is read back.
    pub steps_in_flight: usize,
}

/// `matvec.wgsl`: `threads / lanes` groups of `lanes` threads, each group `rows` rows of W.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MatvecTuning {
    /// Threads per workgroup.
    pub threads: u32,
    /// Threads that share a row (a power of two); more where a small matrix needs them.
    pub lanes: u32,
    /// Bytes of W that all threads together should load at once, unless they share x: what keeps
    /// memory busy while each load takes its time.
    pub in_flight: u32,
    /// Rows of W a thread (even), for one row of x.
    pub rows: u32,
    /// Rows of W a thread (even), for several rows of x.
    pub rows_for_many: u32,
    /// Rows of x a thread at most (a power of two).
    pub tokens: u32,
    /// A subgroup loads x together, where a thread has rows of W for itself; else a workgroup
    /// holds x in its memory.
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
/// subgroup of the smallest size makes `coop_rows` × `coop_tokens`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MatmulTuning {
    /// Threads per workgroup.
    pub threads: u32,
    /// Rows per thread (even).
    pub rows: u32,
    /// Tokens per thread at most (a power of two).
    pub tokens: u32,
    /// Threads along the tokens at most (a power of two); the others go along the rows.
    pub token_threads: u32,
    /// Workgroups that keep the whole adapter busy (half as many with cooperative matrices):
    /// for smaller products a workgroup takes fewer tokens.
    pub groups: u32,
    /// Cooperative matrices (`matmul_coop.wgsl`) where the adapter has them.
    pub coop: bool,
    /// With those: subgroups a workgroup at most (a power of two).
    pub coop_subgroups: u32,
    /// Tokens per subgroup at most (a multiple of 16).
    pub coop_tokens: u32,
    /// Rows per subgroup (a multiple of 16).
    pub coop_rows: u32,
}

/// `attention_decode.wgsl`, `attention_prefill.wgsl`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AttentionTuning {
    /// Threads per workgroup.
    pub threads: u32,
    /// Splits of the context at most.
    pub splits: u32,
    /// Keys a split should hold at least.
    pub split_keys: u32,
    /// Keys a turn of decode: between two of them a workgroup waits three times.
    pub turn_keys: u32,
    /// Threads that share a key in decode at most (a power of two): they load neighbouring
    /// words.
    pub key_lanes: u32,
    /// Groups of threads in decode at most (a power of two), each of which sums the values of
    /// keys of its own.
    pub key_groups: u32,
    /// Values that a thread of decode loads before it waits for the first (a power of two).
    pub in_flight: u32,
    /// Rows that a workgroup of prefill takes together at most: queries of heads that share
    /// keys.
    pub tile_rows: u32,
    /// Keys a turn of prefill at most: 32 or 64.
    pub tile_keys: u32,
    /// Fours of queries and keys that a workgroup of prefill holds at a time, at most.
    pub tile_chunk: u32,
    /// What a thread of decode takes; its rows are query heads.
    pub decode: Block,
    /// What a thread of prefill takes; its rows are queries.
    pub prefill: Block,
}

/// `gated_delta.wgsl`: `lanes` threads hold `columns` columns of a state.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct GatedDeltaTuning {
    /// Threads per workgroup.
    pub threads: u32,
    /// Threads that share a column (a power of two); without subgroups as few as registers
    /// allow, since they would wait for each other twice per column and token.
    pub lanes: u32,
    /// Columns per thread at most.
    pub columns: u32,
    /// Tokens whose keys and queries a workgroup holds at a time, at most (a power of two).
    pub tokens: u32,
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
            in_flight: 1,
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
            groups: 8,
            coop: false, // It has no hardware for them.
            coop_subgroups: 4,
            coop_tokens: 16,
            coop_rows: 16,
        },
        attention: AttentionTuning {
            threads: 32,
            splits: 8,
            split_keys: 64,
            turn_keys: 32,
            key_lanes: 1,
            key_groups: 1,
            in_flight: 1,
            tile_rows: 32,
            tile_keys: 32,
            tile_chunk: 32,
            decode: Block { rows: 8, keys: 4, values: 2 },
            prefill: Block { rows: 8, keys: 4, values: 2 },
        },
        gated_delta: GatedDeltaTuning { threads: 32, lanes: 1, columns: 1, tokens: 8 },
        reduce_threads: 32,
        prefill_tokens: 64,
        steps_in_flight: 2,
    };

    /// For GPUs: neighbouring threads read neighbouring words.
    pub const GPU: Tuning = Tuning {
        matvec: MatvecTuning {
            threads: 256,
            lanes: 16,
            in_flight: 2 << 20,
            rows: 2,
            rows_for_many: 2,
            tokens: 8,
            share_x: false,
            packed: false,
            up_to: 8,
            groups: 128,
        },
        matmul: MatmulTuning {
            threads: 128,
            rows: 4,
            tokens: 8,
            token_threads: 8,
            groups: 256,
            coop: true,
            coop_subgroups: 8,
            coop_tokens: 32,
            coop_rows: 32,
        },
        attention: AttentionTuning {
            threads: 256,
            splits: 16,
            split_keys: 256,
            turn_keys: 256,
            key_lanes: 4,
            key_groups: 16,
            in_flight: 16,
            tile_rows: 64,
            tile_keys: 64,
            tile_chunk: 4,
            decode: Block { rows: 8, keys: 4, values: 1 },
            prefill: Block { rows: 4, keys: 4, values: 2 },
        },
        gated_delta: GatedDeltaTuning { threads: 64, lanes: 8, columns: 2, tokens: 8 },
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
    /// 32, 64, 128, …: whole pages of the KV cache, and a power of two.
    Pages,
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
            Self::Pages => value.is_power_of_two() && value >= 32,
            Self::PowerOfTwo => value.is_power_of_two(),
            Self::Switch => value <= 1,
        }
    }

    fn says(self) -> &'static str {
        match self {
            Self::Any => "a whole number from 1 on",
            Self::Even => "an even number from 2 on",
            Self::Sixteens => "a multiple of 16",
            Self::Pages => "a power of two from 32 on",
            Self::PowerOfTwo => "a power of two",
            Self::Switch => "0 or 1",
        }
    }
}

type Get = fn(&Tuning) -> u32;
type Set = fn(&mut Tuning, u32);

/// Every parameter: its name, what it may be, how it is read and written.
const PARAMETERS: [(&str, Rule, Get, Set); 42] = {
    use Rule::{Any, Even, Pages, PowerOfTwo, Sixteens, Switch};
    macro_rules! at {
        ($name:literal, $rule:ident, $($field:ident).+) => {
            ($name, $rule, |t| t.$($field).+ as u32, |t, to| t.$($field).+ = to as _)
        };
    }
    [
        at!("matvec.threads", PowerOfTwo, matvec.threads),
        at!("matvec.lanes", PowerOfTwo, matvec.lanes),
        at!("matvec.in_flight", Any, matvec.in_flight),
        at!("matvec.rows", Even, matvec.rows),
        at!("matvec.rows_for_many", Even, matvec.rows_for_many),
        at!("matvec.tokens", PowerOfTwo, matvec.tokens),
        ("matvec.share_x", Switch, |t| t.matvec.share_x.into(), |t, to| t.matvec.share_x = to == 1),
        ("matvec.packed", Switch, |t| t.matvec.packed.into(), |t, to| t.matvec.packed = to == 1),
        at!("matvec.up_to", Any, matvec.up_to),
        at!("matvec.groups", Any, matvec.groups),
        at!("matmul.threads", PowerOfTwo, matmul.threads),
        at!("matmul.rows", Even, matmul.rows),
        at!("matmul.tokens", PowerOfTwo, matmul.tokens),
        at!("matmul.token_threads", PowerOfTwo, matmul.token_threads),
        at!("matmul.groups", Any, matmul.groups),
        ("matmul.coop", Switch, |t| t.matmul.coop.into(), |t, to| t.matmul.coop = to == 1),
        at!("matmul.coop_subgroups", PowerOfTwo, matmul.coop_subgroups),
        at!("matmul.coop_tokens", Sixteens, matmul.coop_tokens),
        at!("matmul.coop_rows", Sixteens, matmul.coop_rows),
        at!("attention.threads", PowerOfTwo, attention.threads),
        at!("attention.splits", Any, attention.splits),
        at!("attention.split_keys", Any, attention.split_keys),
        at!("attention.turn_keys", Pages, attention.turn_keys),
        at!("attention.key_lanes", PowerOfTwo, attention.key_lanes),
        at!("attention.key_groups", PowerOfTwo, attention.key_groups),
        at!("attention.in_flight", PowerOfTwo, attention.in_flight),
        at!("attention.tile_rows", Any, attention.tile_rows),
        at!("attention.tile_keys", Pages, attention.tile_keys),
        at!("attention.tile_chunk", Any, attention.tile_chunk),
        at!("attention.decode.rows", Any, attention.decode.rows),
        at!("attention.decode.keys", PowerOfTwo, attention.decode.keys),
        at!("attention.decode.values", PowerOfTwo, attention.decode.values),
        at!("attention.prefill.rows", Any, attention.prefill.rows),
        at!("attention.prefill.keys", PowerOfTwo, attention.prefill.keys),
        at!("attention.prefill.values", PowerOfTwo, attention.prefill.values),
        at!("gated_delta.threads", PowerOfTwo, gated_delta.threads),
        at!("gated_delta.lanes", PowerOfTwo, gated_delta.lanes),
        at!("gated_delta.columns", Any, gated_delta.columns),
        at!("gated_delta.tokens", PowerOfTwo, gated_delta.tokens),
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
                let names = names.join(", ");
                Error::input(format!("`{pair}`: there is no parameter {name}; there are {names}"))
                    .about(Setting::Tuning)
            })?;
            let value = value.trim().parse().ok().filter(|value| rule.allows(*value));
            let value = value.ok_or_else(|| {
                Error::input(format!("`{pair}`: {name} must be {}", rule.says()))
                    .about(Setting::Tuning)
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
