//! Kernel parameters per adapter: how work is cut, never what is computed.

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
    /// More rows of x than that are for `matmul.wgsl`.
    pub up_to: u32,
    /// Workgroups that keep the whole adapter busy: for smaller matrices a workgroup
    /// takes fewer rows.
    pub groups: u32,
}

/// `matmul.wgsl`: each thread makes `rows` × `tokens` results.
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
            up_to: u32::MAX,
            groups: 8,
        },
        matmul: MatmulTuning { threads: 32, rows: 4, tokens: 16, token_threads: 1 },
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
            up_to: 8,
            groups: 128,
        },
        matmul: MatmulTuning { threads: 64, rows: 4, tokens: 4, token_threads: 8 },
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
