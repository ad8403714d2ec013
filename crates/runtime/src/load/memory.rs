//! What a model takes on a device, known before anything is loaded.

use wisp_base::{Error, Result, Setting};
use wisp_formats::Checkpoint;
use wisp_gpu::{Off, Scalar, Tuning, Variant};
use wisp_graph::{DeviceResources, PAGE, Plan, Resource, StateSize, Tape, Target};
use wisp_models::Decoder;

use crate::engine::stepper::{promised_plans, shared_sizes};
use crate::options::EngineOptions;

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
    let mut target = Target::least(variant, Tuning::GPU);
    target.kv = options.kv.unwrap_or(target.kv);
    let ctx = options.ctx.unwrap_or(decoder.config.context.min(DEFAULT_CTX));
    plan(&decoder, &target, options, ctx)
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

/// For how much state of sequences there is to be room.
pub(crate) fn state_size(target: &Target, decoder: &Decoder, options: &EngineOptions) -> StateSize {
    let contexts = if options.share_cache { 1 } else { options.max_sequences };
    // Those of prompts that others may begin with, and one of each answer.
    let snapshots = if decoder.is_recurrent() { 2 * options.max_sequences + 2 } else { 0 };
    StateSize {
        pages: target.pages_per_sequence.saturating_mul(contexts),
        slots: options.max_sequences,
        snapshots,
    }
}

fn plan(
    decoder: &Decoder,
    target: &Target,
    options: &EngineOptions,
    ctx: usize,
) -> Result<MemoryPlan> {
    let tape = &decoder.planning;
    let target = with_ctx(target, decoder, ctx);
    let state = state_size(&target, decoder, options);
    let mut plan = MemoryPlan { ctx, ..MemoryPlan::default() };
    // Of these the tape that is planned with has tables for one position.
    plan.weights = decoder.rope_bytes(ctx).saturating_sub(decoder.rope_bytes(1));
    for resource in tape.resources() {
        let bytes = DeviceResources::bytes(resource, &target, state);
        let sum = bytes.into_iter().fold(0u64, u64::saturating_add);
        let into = match resource {
            Resource::Paged { .. } => &mut plan.kv,
            // As many bytes in any context.
            Resource::Slots { .. } => &mut plan.scratch,
            _ => &mut plan.weights,
        };
        *into = into.saturating_add(sum);
    }
    let decode = options.decode_tokens();
    let shared = shared_sizes(&target, state.slots, decode, decoder.vocab);
    let plans = promised_plans(&target, decode, decoder.config.encoder);
    let scratch = Plan::scratch_bytes(tape, &target, &plans)?;
    plan.scratch = plan.scratch.saturating_add(scratch);
    plan.scratch = shared.into_iter().fold(plan.scratch, u64::saturating_add);
    Ok(plan)
}

/// What an adapter has room for.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Room {
    /// Bytes in all, where that is known.
    pub memory: Option<u64>,
    /// Bytes per buffer at most.
    pub buffer: u64,
}

/// The plan to load with, and what the person should know of it.
///
/// # Errors
/// It does not fit: the numbers, and the largest context that would.
pub(crate) fn fit(
    decoder: &Decoder,
    target: &Target,
    options: &EngineOptions,
    room: Room,
) -> Result<(MemoryPlan, Option<String>)> {
    let trained = decoder.config.context;
    let wanted = options.ctx.unwrap_or(trained.min(DEFAULT_CTX));
    if wanted == 0 || options.max_sequences == 0 {
        let error = Error::input("the context must be at least 1 token");
        return Err(error.hint("give a larger ", Setting::Ctx, ""));
    }
    if let Some(rows) = decoder.config.learned_positions.filter(|rows| wanted > *rows) {
        let error = Error::input(format!(
            "a context of {wanted} tokens is asked for, but the model has a table of {rows} \
             positions and cannot go beyond it"
        ));
        return Err(at_most(error, rows));
    }
    if wanted > trained && decoder.config.ropes.iter().any(|rope| rope.dynamic) {
        let error = Error::unsupported(format!(
            "a context of {wanted} tokens is asked for, but the model was trained for {trained}, and \
             beyond that this version does not compute its dynamic RoPE"
        ));
        return Err(at_most(error, trained));
    }
    let tape = &decoder.planning;
    check_slots(tape, target, state_size(target, decoder, options).slots)?;
    let make = |ctx| plan(decoder, target, options, ctx);
    let asked = make(wanted)?;
    let least = make(PAGE)?;
    // A page of every layer.
    let page = least.kv.max(1);
    let by_buffer = room.buffer / largest_page(tape, target);
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
        return Err(at_most(Error::memory(numbers), most));
    }
    Ok((make(most)?, Some(format!("{numbers}: the context is made smaller, {most} tokens"))))
}

/// With the advice to take so many tokens of context at most.
fn at_most(error: Error, tokens: usize) -> Error {
    error.hint("give ", Setting::Ctx, format!(" {tokens} or less"))
}

/// State in slots is one buffer per layer for all sequences, which kernels are bound to.
///
/// # Errors
/// It is larger than the adapter binds.
fn check_slots(tape: &Tape, target: &Target, slots: usize) -> Result<()> {
    let largest = tape.resources().iter().filter_map(|resource| match resource {
        Resource::Slots { len, .. } => Some(4 * *len as u64),
        _ => None,
    });
    let Some(each) = largest.max() else { return Ok(()) };
    let most = target.max_binding / each.max(1);
    if slots as u64 <= most {
        return Ok(());
    }
    Err(Error::memory(format!(
        "the state of {slots} sequences at once is {} per layer, but the adapter offers {} per \
         buffer: ask for {most} sequences at most",
        mb(each.saturating_mul(slots as u64)),
        mb(target.max_binding)
    )))
}

/// Bytes of a page in the largest buffer that pages are in; 1 where there are none.
fn largest_page(tape: &Tape, target: &Target) -> u64 {
    let one = StateSize { pages: 1, ..StateSize::default() };
    let caches = tape.resources().iter().filter(|r| matches!(r, Resource::Paged { .. }));
    let bytes = caches.flat_map(|cache| DeviceResources::bytes(cache, target, one));
    bytes.max().unwrap_or(1).max(1)
}

fn mb(bytes: u64) -> String {
    format!("{:.1} MB", bytes as f64 / 1e6)
}
