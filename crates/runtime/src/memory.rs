//! What a model takes on a device, known before anything is loaded.

use wisp_base::{Error, KvType, Result};
use wisp_formats::Checkpoint;
use wisp_gpu::{Off, Scalar, Tuning, Variant};
use wisp_graph::{DeviceResources, PAGE, Plan, Resource, Target};
use wisp_models::Decoder;

use crate::options::EngineOptions;
use crate::stepper::{promised_plans, shared_sizes};

/// The context where none is asked for: what most chats need. More is a flag away.
const DEFAULT_CTX: usize = 4096;

/// Contexts that are made to fit are multiples of this.
const CTX_STEP: usize = 256;

/// Bytes by purpose.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct MemoryPlan {
    /// Weights as they lie on the device.
    pub weights: u64,
    /// KV cache for `ctx` tokens of each sequence.
    pub kv: u64,
    /// Activations, sampling state, step data, staging.
    pub scratch: u64,
    /// The context that this is for, in tokens.
    pub ctx: usize,
}

impl MemoryPlan {
    /// All of it.
    pub fn total(&self) -> u64 {
        self.weights.saturating_add(self.kv).saturating_add(self.scratch)
    }
}

/// The plan for a file as `options` ask for it, without any device: as on an adapter
/// that can do all that kernels ask for, and has room.
///
/// # Errors
/// A model that this version does not run; a damaged header.
pub fn plan_memory(checkpoint: &Checkpoint, options: &EngineOptions) -> Result<MemoryPlan> {
    let decoder = wisp_models::read(checkpoint)?;
    let off = Off::parse(&options.caps)?;
    let scalar = if off.f16 { Scalar::F32 } else { Scalar::F16 };
    let variant = Variant { scalar, ..Variant::ALL[0] };
    let target = Target {
        variant,
        kv: options.kv.unwrap_or(default_kv(variant)),
        tuning: Tuning::GPU,
        max_binding: 128 << 20, // WebGPU's default
        subgroup: 32,
        max_bindings: 8, // WebGPU's default
        coop: None,
        workgroup_memory: 16 << 10,
        pages_per_sequence: 0,
    };
    let ctx = options.ctx.unwrap_or(decoder.config.context.min(DEFAULT_CTX));
    plan(&decoder, checkpoint, &target, options, ctx)
}

/// f16 halves the cache at no visible cost, where the variant computes in f16.
pub(crate) fn default_kv(variant: Variant) -> KvType {
    match variant.scalar {
        Scalar::F16 => KvType::F16,
        Scalar::F32 => KvType::F32,
    }
}

/// `target` with a page table for contexts of `ctx` tokens, and for an encoder with steps
/// that hold a whole one.
pub(crate) fn with_ctx(target: &Target, decoder: &Decoder, ctx: usize) -> Target {
    let mut target = Target { pages_per_sequence: ctx.div_ceil(PAGE), ..target.clone() };
    if decoder.config.encoder {
        target.tuning.prefill_tokens = ctx;
    }
    target
}

/// Pages of the KV cache in all.
pub(crate) fn pages(target: &Target, options: &EngineOptions) -> usize {
    let contexts = if options.share_cache { 1 } else { options.max_sequences };
    target.pages_per_sequence.saturating_mul(contexts)
}

fn plan(
    decoder: &Decoder,
    checkpoint: &Checkpoint,
    target: &Target,
    options: &EngineOptions,
    ctx: usize,
) -> Result<MemoryPlan> {
    // The RoPE table is made for planning: keep a silly context from making it large.
    let tape = decoder.tape(checkpoint, ctx.min(1 << 22), None)?.tape;
    let target = with_ctx(target, decoder, ctx);
    let pages = pages(&target, options);
    let sequences = options.max_sequences + options.guesses();
    let mut plan = MemoryPlan { ctx, ..MemoryPlan::default() };
    for resource in tape.resources() {
        let bytes = DeviceResources::bytes(resource, &target, pages);
        let sum = bytes.into_iter().fold(0u64, u64::saturating_add);
        let into = match resource {
            Resource::Cache { .. } => &mut plan.kv,
            _ => &mut plan.weights,
        };
        *into = into.saturating_add(sum);
    }
    let shared = shared_sizes(&target, sequences, decoder.vocab);
    let plans = promised_plans(&target, sequences, decoder.config.encoder);
    plan.scratch = Plan::scratch_bytes(&tape, &target, &plans)?;
    plan.scratch = shared.into_iter().fold(plan.scratch, u64::saturating_add);
    Ok(plan)
}

/// What an adapter has room for.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Room {
    /// Bytes in all, where that is known.
    pub memory: Option<u64>,
    /// Bytes a buffer at most.
    pub buffer: u64,
}

/// The plan to load with, and what the person should know of it.
///
/// # Errors
/// It does not fit: the numbers, and the largest context that would.
pub(crate) fn fit(
    decoder: &Decoder,
    checkpoint: &Checkpoint,
    target: &Target,
    options: &EngineOptions,
    room: Room,
) -> Result<(MemoryPlan, Option<String>)> {
    let trained = decoder.config.context;
    let wanted = options.ctx.unwrap_or(trained.min(DEFAULT_CTX));
    if wanted == 0 || options.max_sequences == 0 {
        return Err(Error::input("the context must be at least 1 token: give a larger --ctx"));
    }
    if let Some(rows) = decoder.config.learned_positions.filter(|rows| wanted > *rows) {
        return Err(Error::input(format!(
            "a context of {wanted} tokens is asked for, but the model has a table of {rows} \
             positions and cannot go beyond it: give --ctx {rows} or less"
        )));
    }
    if wanted > trained && decoder.config.ropes.iter().any(|rope| rope.dynamic) {
        return Err(Error::unsupported(format!(
            "a context of {wanted} tokens is asked for, but the model was trained for {trained}, and \
             beyond that this version does not compute its dynamic RoPE: give --ctx {trained} or less"
        )));
    }
    let make = |ctx| plan(decoder, checkpoint, target, options, ctx);
    let asked = make(wanted)?;
    let least = make(PAGE)?;
    // A page of every layer, in so many buffers: keys, and values if they are kept.
    let page = least.kv.max(1);
    let kinds = if decoder.config.latent.is_some() { 1 } else { 2 };
    let by_buffer = room.buffer / (page / (kinds * decoder.config.layers as u64)).max(1);
    let by_buffer = usize::try_from(by_buffer).unwrap_or(usize::MAX).saturating_mul(PAGE);
    let over = |plan: &MemoryPlan| room.memory.map_or(0, |m| plan.total().saturating_sub(m));
    if wanted <= by_buffer && over(&asked) == 0 {
        let note = (wanted > trained).then(|| {
            format!(
                "the model was trained for {trained} tokens of context, and {wanted} are asked for"
            )
        });
        return Ok((asked, note));
    }
    let offers = match room.memory {
        Some(memory) => format!("{} in all and {} a buffer", mb(memory), mb(room.buffer)),
        None => format!("{} a buffer", mb(room.buffer)),
    };
    let numbers = format!(
        "{} of weights, {} of KV cache for {wanted} tokens and {} of scratch do not fit the \
         adapter, which offers {offers}",
        mb(asked.weights),
        mb(asked.kv),
        mb(asked.scratch)
    );
    let mut most = by_buffer;
    if let Some(memory) = room.memory {
        let pages = memory.saturating_sub(least.total() - least.kv) / page;
        most = most.min(usize::try_from(pages).unwrap_or(usize::MAX).saturating_mul(PAGE));
    }
    // Page tables grow with the context too, a little.
    while most > 0 {
        let over = over(&make(most)?);
        if over == 0 {
            break;
        }
        let pages = usize::try_from(over.div_ceil(page)).unwrap_or(usize::MAX);
        most = most.saturating_sub(pages.saturating_mul(PAGE));
    }
    if most == 0 {
        return Err(Error::memory(format!("{numbers}: not even the shortest context would")));
    }
    let most = if most > CTX_STEP { most / CTX_STEP * CTX_STEP } else { most };
    if options.ctx.is_some() {
        return Err(Error::memory(format!("{numbers}: give --ctx {most} or less")));
    }
    Ok((make(most)?, Some(format!("{numbers}: the context is made smaller, {most} tokens"))))
}

fn mb(bytes: u64) -> String {
    format!("{:.1} MB", bytes as f64 / 1e6)
}
