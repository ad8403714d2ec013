//! One loaded model on one adapter, and the loop that answers requests with it.

pub mod activity;
pub mod draft;
mod embed;
pub mod generate;
pub mod logprobs;
pub mod queue;
mod runner;
mod sampling;
mod score;
mod speculate;
pub mod stepper;
mod text;

use std::cell::RefCell;
use std::ops::ControlFlow;
use std::rc::Rc;
use std::sync::Arc;

use wisp_base::{Error, Result};
use wisp_formats::{Checkpoint, Source};
use wisp_gpu::{Gpu, Off, Tuning, Variant};
use wisp_graph::{Target, default_kv};
use wisp_tokenizer::Tokenizer;

use crate::engine::activity::Activity;
use crate::engine::draft::{DraftModel, Drafter};
use crate::engine::generate::Generator;
use crate::engine::queue::{Event, Piece, Queue};
use crate::engine::stepper::Stepper;
use crate::load::memory::{Room, fit, state_size, with_ctx};
use crate::load::progress::Progress;
use crate::load::shape::Shape;
use crate::load::tokenizer::load_tokenizer;
use crate::load::{random_weights, weights};
use crate::options::{EngineOptions, Speculation};
use crate::request::{Completion, Request};
use crate::selfcheck::autotune;
use crate::state::BlockManager;
use crate::{MemoryPlan, selfcheck};

/// One loaded model on one adapter.
pub struct Engine {
    pub(crate) stepper: Stepper,
    pub(crate) blocks: BlockManager,
    tokenizer: Result<Arc<Tokenizer>>,
    memory: MemoryPlan,
    /// What the device's buffers took before those of the model.
    before: u64,
    options: EngineOptions,
    drafter: Option<Drafter>,
    /// Where the weights come from once more, if that was said.
    recover_from: Option<Rc<dyn Source>>,
    name: String,
    architecture: String,
}

impl Engine {
    /// Reads the header, plans the memory, checks the kernels, uploads the weights.
    ///
    /// # Errors
    /// A file that is damaged or not a model that this version runs; a model that
    /// does not fit; an adapter that is missing, fails or computes wrongly.
    pub async fn load(
        source: &dyn Source,
        options: &EngineOptions,
        progress: &mut dyn FnMut(Progress),
    ) -> Result<Engine> {
        let mut checkpoint = open(source, options).await?;
        let tokenizer = load_tokenizer(&checkpoint).map_err(|error| named(source.name(), error));
        // Most of a header is the vocabulary, which lives on in the tokenizer.
        checkpoint.metadata.forget("tokenizer.");
        Self::with_tokenizer(source, &checkpoint, tokenizer.map(Arc::new), options, progress).await
    }

    /// A model of published sizes with random weights, for a bench: there is no file.
    ///
    /// # Errors
    /// As [`Self::load`].
    pub async fn random(
        shape: &Shape,
        options: &EngineOptions,
        progress: &mut dyn FnMut(Progress),
    ) -> Result<Engine> {
        let checkpoint = options.prepared(shape.checkpoint()?)?;
        let tokenizer = Err(Error::input("random weights have no tokenizer"));
        let engine = Self::empty(None, &checkpoint, tokenizer, options, progress).await?;
        let Stepper { gpu, forward, resources, .. } = &engine.stepper;
        let mut drawn = random_weights::Drawn::new();
        random_weights::fill(gpu, &forward.tape, resources, &mut drawn, random_weights::numbers)
            .await?;
        Ok(engine)
    }

    async fn with_tokenizer(
        source: &dyn Source,
        checkpoint: &Checkpoint,
        tokenizer: Result<Arc<Tokenizer>>,
        options: &EngineOptions,
        progress: &mut dyn FnMut(Progress),
    ) -> Result<Engine> {
        let engine = Self::empty(Some(source), checkpoint, tokenizer, options, progress).await?;
        let Stepper { gpu, forward, resources, .. } = &engine.stepper;
        weights::weights(gpu, source, checkpoint, &forward.tape, resources, progress).await?;
        Ok(engine)
    }

    /// An engine whose weights are yet to be filled.
    async fn empty(
        source: Option<&dyn Source>,
        checkpoint: &Checkpoint,
        tokenizer: Result<Arc<Tokenizer>>,
        options: &EngineOptions,
        progress: &mut dyn FnMut(Progress),
    ) -> Result<Engine> {
        let named = |error| named(source.map_or("", |source| source.name()), error);
        let decoder = wisp_models::read(checkpoint).map_err(named)?;
        checkpoint.notes.iter().for_each(|note| progress(Progress::Note(note.clone())));
        let gpu = Gpu::open(options.device.as_deref(), Off::parse(&options.caps)?).await?;

        let results = options.self_check_results.as_ref();
        let facts = gpu.facts();
        let best = Variant::best(facts.caps);
        let mut target = Target::of(facts, best, gpu.tuning());
        target.kv = options.kv.unwrap_or(target.kv);
        if options.autotune.is_for(facts.kind) {
            target.tuning =
                autotune::tuned(&gpu, &target, &decoder.planning, results, progress).await?;
        }
        let kv = options.kv;
        target.tuning = target.tuning.with(&options.tuning)?.within(facts.caps);
        let tuning = target.tuning;
        let (variant, tuning) =
            selfcheck::choose(&gpu, tuning, &decoder.planning, kv, results, progress).await?;
        if let Some(folder) = &options.pipelines {
            // Not before: the self-check's kernels are of no use to a model.
            gpu.open_pipeline_cache(folder).await;
        }
        let target = Target { variant, tuning, kv: kv.unwrap_or(default_kv(variant)), ..target };
        let room = Room {
            memory: options.memory_limit.or(facts.memory),
            buffer: facts.max_binding.min(facts.max_buffer),
        };
        let (memory, note) = fit(&decoder, &target, options, room)?;
        if let Some(note) = note {
            progress(Progress::Note(note));
        }
        let target = with_ctx(&target, &decoder, memory.ctx);
        let state = state_size(&target, &decoder, options);
        let mut factors = Vec::new();
        for name in decoder.rope_factors(memory.ctx) {
            if let (Some(tensor), Some(source)) = (checkpoint.tensor(name), source) {
                factors.push(checkpoint.vector(source, tensor).await?);
            }
        }
        let forward = decoder.tape(checkpoint, memory.ctx, Some(&factors))?;
        let before = gpu.allocated();
        let recurrent = decoder.is_recurrent();
        let decode_tokens = options.decode_tokens();
        let stepper = Stepper::new(gpu, target, decoder, forward, state, decode_tokens).await?;
        stepper.compile(progress).await?;
        stepper.activity.show_free_pages(state.pages);
        let text =
            |key| checkpoint.metadata.opt_str(key).ok().flatten().unwrap_or_default().to_owned();
        Ok(Engine {
            blocks: match recurrent {
                true => BlockManager::new(state.pages).with_snapshots(state.snapshots),
                false => BlockManager::new(state.pages),
            },
            stepper,
            tokenizer,
            memory,
            before,
            options: options.clone(),
            drafter: (options.speculation != Speculation::Never).then_some(Drafter::Lookup),
            recover_from: None,
            architecture: text("general.architecture"),
            name: text("general.name"),
        })
    }

    /// After a device that failed: opens one anew and loads the weights again. What
    /// [`Self::serve`] left in the queue goes on where it was.
    ///
    /// # Errors
    /// As [`Self::load`].
    pub async fn restore(
        &mut self,
        source: &dyn Source,
        progress: &mut dyn FnMut(Progress),
    ) -> Result<()> {
        // What a failed device holds may be held until it is destroyed.
        self.stepper.gpu.destroy();
        // The same context: prompts that fitted must fit again. So does the model, though the
        // driver may still count what the failed device held.
        let memory_limit = self.options.memory_limit.or(Some(self.memory.total()));
        let ctx = Some(self.memory.ctx);
        let options = EngineOptions { ctx, memory_limit, ..self.options.clone() };
        let checkpoint = open(source, &options).await?;
        let tokenizer = self.tokenizer.clone();
        let engine =
            Self::with_tokenizer(source, &checkpoint, tokenizer, &options, progress).await?;
        // Only now: who tries again after an error still has what is not to be loaded anew.
        let (drafter, options) = (self.drafter.take(), self.options.clone());
        let recover_from = self.recover_from.take();
        *self = Engine { drafter, options, recover_from, ..engine };
        Ok(())
    }

    /// From now on a [`Driver`](crate::Driver) replaces a device that fails: `source` is what
    /// was given to [`Self::load`].
    pub fn recover_from(&mut self, source: Rc<dyn Source>) {
        self.recover_from = Some(source);
    }

    /// What [`Self::recover_from`] was given.
    pub(crate) fn recovery_source(&self) -> Option<Rc<dyn Source>> {
        self.recover_from.clone()
    }

    /// From now on draft tokens come from a smaller model, not from repetitions in the text. The engine must have
    /// been loaded with [`EngineOptions::speculation`], which makes room for them.
    ///
    /// # Errors
    /// A model with another vocabulary; an engine without that room.
    pub fn draft_with(&mut self, draft: Engine) -> Result<()> {
        if self.options.speculation == Speculation::Never {
            return Err(Error::input(
                "the engine has no room for draft tokens: load it with `speculation`",
            ));
        }
        self.drafter = Some(Drafter::Model(Box::new(DraftModel::new(draft, self)?)));
        Ok(())
    }

    /// The tokenizer of the file, or the sentence that says why there is none.
    ///
    /// # Errors
    /// The file has none that this version knows.
    pub fn tokenizer(&self) -> Result<&Tokenizer> {
        self.tokenizer.as_deref().map_err(Clone::clone)
    }

    /// The tokenizer, to be used while the engine is busy.
    ///
    /// # Errors
    /// As [`Self::tokenizer`].
    pub fn shared_tokenizer(&self) -> Result<Arc<Tokenizer>> {
        self.tokenizer.clone()
    }

    /// What the file calls the model; may be empty.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The model's family, as the file names it.
    pub fn architecture(&self) -> &str {
        &self.architecture
    }

    /// The kernels in use.
    pub fn variant(&self) -> Variant {
        self.stepper.target.variant
    }

    /// The kernels' parameters in use.
    pub fn tuning(&self) -> Tuning {
        self.stepper.target.tuning
    }

    /// Shows what the engine does, while it does it.
    pub fn activity(&self) -> Activity {
        self.stepper.activity.clone()
    }

    /// Numbers of a row that [`Self::logits`] gives: the vocabulary's entries, or the width
    /// of an encoder's hidden states.
    pub fn columns(&self) -> usize {
        self.stepper.decoder.columns()
    }

    /// Whether it is an encoder: it gives hidden states, not logits.
    pub fn is_encoder(&self) -> bool {
        self.stepper.decoder.config.encoder
    }

    /// Refuses an encoder, where tokens are to be predicted.
    ///
    /// # Errors
    /// The model is an encoder.
    pub fn expect_decoder(&self) -> Result<()> {
        if !self.is_encoder() {
            return Ok(());
        }
        Err(Error::unsupported(format!(
            "the model is an encoder ({}), which predicts no tokens: use `wisp embed`",
            self.architecture
        )))
    }

    /// Whether the adapter's own clock can be read: whether operations can be timed.
    pub fn has_timestamps(&self) -> bool {
        self.stepper.gpu.facts().timestamps
    }

    /// Entries of the vocabulary.
    pub fn vocab(&self) -> usize {
        self.stepper.decoder.vocab
    }

    /// The context that was planned for, in tokens.
    pub fn ctx(&self) -> usize {
        self.memory.ctx
    }

    /// The adapter's name and the kernels in use.
    pub fn device_name(&self) -> String {
        format!("{} ({})", self.stepper.gpu.facts().name, self.stepper.target.variant)
    }

    /// What the weights, KV cache and scratch take; see `wisp inspect`.
    pub fn memory(&self) -> MemoryPlan {
        self.memory
    }

    /// Bytes of the buffers that were made for the model so far: what [`Self::memory`]
    /// foretold.
    pub fn allocated(&self) -> u64 {
        self.stepper.gpu.allocated().saturating_sub(self.before)
    }

    /// Pages of the KV cache: (free, in all).
    pub fn pages(&self) -> (usize, usize) {
        (self.blocks.available(), self.blocks.total())
    }

    /// The model on its device, step by step: for what measures.
    pub fn stepper(&self) -> &Stepper {
        &self.stepper
    }

    /// As [`Self::stepper`].
    pub fn stepper_mut(&mut self) -> &mut Stepper {
        &mut self.stepper
    }

    /// The blocks of the KV cache: for what measures.
    pub fn blocks_mut(&mut self) -> &mut BlockManager {
        &mut self.blocks
    }

    /// The device, for tests that take it away.
    pub fn gpu(&self) -> &Gpu {
        &self.stepper.gpu
    }

    /// Prefill and decode; `on_piece` sees each token and may break off.
    ///
    /// # Errors
    /// A request that is wrong, a cache that is full, a device that failed.
    pub async fn generate(
        &mut self,
        request: &Request,
        on_piece: &mut dyn FnMut(Piece) -> ControlFlow<()>,
    ) -> Result<Completion> {
        let requests = std::slice::from_ref(request);
        let mut results = self.generate_all(requests, &mut |_, piece| on_piece(piece)).await?;
        results.pop().unwrap_or_else(|| Err(Error::input("no request was given")))
    }

    /// Answers several requests, as many at once as there are sequences; prefixes that
    /// they share are computed and stored once. A result each, in their order.
    ///
    /// # Errors
    /// A device that failed; what is wrong with one request is in its own result.
    pub async fn generate_all(
        &mut self,
        requests: &[Request],
        on_piece: &mut dyn FnMut(usize, Piece) -> ControlFlow<()>,
    ) -> Result<Vec<Result<Completion>>> {
        let on_piece = RefCell::new(on_piece);
        let results = RefCell::new(vec![None; requests.len()]);
        let queue = Queue::new();
        for (index, request) in requests.iter().enumerate() {
            let (on_piece, results) = (&on_piece, &results);
            queue.push(request.clone(), move |event| match event {
                Event::Piece(piece) => on_piece.borrow_mut()(index, piece),
                Event::Done(result) => {
                    results.borrow_mut()[index] = Some(result);
                    ControlFlow::Continue(())
                }
                Event::DeviceLost(_) | Event::DeviceRestored => ControlFlow::Continue(()),
            });
        }
        self.serve(&queue).await?;
        drop(queue);
        let missing = || Err(Error::input("a request was lost"));
        Ok(results.into_inner().into_iter().map(|done| done.unwrap_or_else(missing)).collect())
    }

    /// Answers what is in `queue`, and what is pushed meanwhile, until nothing is left.
    /// Requests take steps together, as many at once as there are sequences.
    ///
    /// # Errors
    /// A device that failed; requests that have not ended are in the queue, and go on
    /// after [`Self::restore`]. What is wrong with one request is told to its sink.
    pub async fn serve(&mut self, queue: &Queue<'_>) -> Result<()> {
        self.expect_decoder()?;
        let tokenizer = self.tokenizer.as_deref().map_err(Clone::clone);
        let ctx = self.memory.ctx;
        let (stepper, blocks) = (&mut self.stepper, &mut self.blocks);
        let drafter = self.drafter.as_mut();
        let generator = Generator::new(stepper, blocks, tokenizer, ctx, queue)
            .with_drafter(drafter, self.options.speculation == Speculation::Always);
        let result = generator.run().await;
        if result.is_err() {
            // What the cache holds is no longer certain.
            self.blocks = self.blocks.emptied();
        }
        // Now, since whoever serves may be killed rather than end.
        self.stepper.gpu.save_pipeline_cache();
        result
    }
}

/// The header, made ready as the options ask.
async fn open(source: &dyn Source, options: &EngineOptions) -> Result<Checkpoint> {
    options.prepared(wisp_models::open(source).await?)
}

/// Says which file an error is about.
fn named(name: &str, error: Error) -> Error {
    match error {
        Error::Input(message) if message.text().starts_with(name) => Error::Input(message),
        Error::Input(_) | Error::Unsupported(_) => error.within(name),
        other => other,
    }
}
