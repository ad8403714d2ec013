//! One loaded model on one adapter.

use std::cell::RefCell;
use std::ops::ControlFlow;
use std::rc::Rc;

use wisp_base::{Error, Result};
use wisp_formats::{Checkpoint, Source};
use wisp_gpu::{Gpu, NATIVE, Off, Tuning, Variant};
use wisp_graph::Target;
use wisp_tokenizer::Tokenizer;

use crate::activity::Activity;
use crate::cache::PagePool;
use crate::draft::{DraftModel, Drafter};
use crate::generate::Generator;
use crate::memory::{Room, default_kv, fit, pages, with_ctx};
use crate::options::{Completion, EngineOptions, Guess, Request};
use crate::queue::{Event, Piece, Queue};
use crate::stepper::Stepper;
use crate::{MemoryPlan, Shape, autotune, load, load_tokenizer, random_weights, verdict};

/// Where a load stands, for a progress bar.
#[derive(Debug, Clone)]
pub enum Progress {
    /// The kernels are being compared with their definitions on this adapter.
    Checking,
    /// Weights on the device so far, of all, in bytes of the file.
    Weights {
        /// Bytes done.
        done: u64,
        /// Bytes in all.
        total: u64,
    },
    /// Something the person should know (a smaller context, a safer kernel variant).
    Note(String),
}

/// One loaded model on one adapter.
pub struct Engine {
    pub(crate) stepper: Stepper,
    pub(crate) pool: PagePool,
    tokenizer: Result<Rc<Tokenizer>>,
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
        Self::with_tokenizer(source, &checkpoint, tokenizer.map(Rc::new), options, progress).await
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
        let checkpoint = prepared(shape.checkpoint()?, options)?;
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
        tokenizer: Result<Rc<Tokenizer>>,
        options: &EngineOptions,
        progress: &mut dyn FnMut(Progress),
    ) -> Result<Engine> {
        let engine = Self::empty(Some(source), checkpoint, tokenizer, options, progress).await?;
        let Stepper { gpu, forward, resources, .. } = &engine.stepper;
        load::weights(gpu, source, checkpoint, &forward.tape, resources, progress).await?;
        Ok(engine)
    }

    /// An engine whose weights are yet to be filled.
    async fn empty(
        source: Option<&dyn Source>,
        checkpoint: &Checkpoint,
        tokenizer: Result<Rc<Tokenizer>>,
        options: &EngineOptions,
        progress: &mut dyn FnMut(Progress),
    ) -> Result<Engine> {
        let named = |error| named(source.map_or("", |source| source.name()), error);
        let decoder = wisp_models::read(checkpoint).map_err(named)?;
        checkpoint.notes.iter().for_each(|note| progress(Progress::Note(note.clone())));
        let gpu = Gpu::open(options.device.as_deref(), Off::parse(&options.caps)?).await?;

        let tape = decoder.tape(checkpoint, 1, None)?.tape;
        let verdicts = options.verdicts.as_ref();
        let facts = gpu.facts();
        let best = Variant::best(facts.caps);
        let mut target = Target {
            variant: best,
            kv: options.kv.unwrap_or(default_kv(best)),
            tuning: gpu.tuning(),
            max_binding: facts.max_binding.min(facts.max_buffer),
            subgroup: facts.subgroup_size.0,
            max_bindings: facts.max_bindings,
            coop: facts.caps.coop,
            workgroup_memory: facts.max_workgroup_memory,
            pages_per_sequence: 0,
        };
        if NATIVE && options.autotune {
            progress(Progress::Checking);
            target.tuning = autotune::tuned(&gpu, &target, &tape, verdicts).await?;
        }
        let kv = options.kv;
        target.tuning = target.tuning.with(&options.tuning)?.within(facts.caps);
        let tuning = target.tuning;
        let (variant, tuning) =
            verdict::choose(&gpu, tuning, &tape, kv, verdicts, progress).await?;
        if let Some(folder) = &options.pipelines {
            // Not before: the self-check's kernels are of no use to a model.
            gpu.keep_pipelines(folder).await;
        }
        let target = Target { variant, tuning, kv: kv.unwrap_or(default_kv(variant)), ..target };
        let room = Room {
            memory: options.memory_limit.or(facts.memory),
            buffer: facts.max_binding.min(facts.max_buffer),
        };
        let (memory, note) = fit(&decoder, checkpoint, &target, options, room)?;
        if let Some(note) = note {
            progress(Progress::Note(note));
        }
        let target = with_ctx(&target, &decoder, memory.ctx);
        let sequences = (options.max_sequences, options.guesses());
        let pages = pages(&target, options);
        let mut factors = Vec::new();
        for name in decoder.rope_factors(memory.ctx) {
            if let (Some(tensor), Some(source)) = (checkpoint.tensor(name), source) {
                factors.push(checkpoint.vector(source, tensor).await?);
            }
        }
        let forward = decoder.tape(checkpoint, memory.ctx, Some(&factors))?;
        let before = gpu.allocated();
        let stepper = Stepper::new(gpu, target, decoder, forward, sequences, pages).await?;
        stepper.activity.show_free_pages(pages);
        let text =
            |key| checkpoint.metadata.opt_str(key).ok().flatten().unwrap_or_default().to_owned();
        Ok(Engine {
            pool: PagePool::new(pages),
            stepper,
            tokenizer,
            memory,
            before,
            options: options.clone(),
            drafter: (options.guess != Guess::Never).then_some(Drafter::Lookup),
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

    /// From now on a device that fails in [`Self::generate`] or [`Self::generate_all`] is
    /// replaced, once a call: `source` is what was given to [`Self::load`].
    pub fn recover_from(&mut self, source: Box<dyn Source>) {
        self.recover_from = Some(source.into());
    }

    /// From now on guesses come from a smaller model, not from the text. The engine must have
    /// been loaded with [`EngineOptions::guess`], which makes room for them.
    ///
    /// # Errors
    /// A model with another vocabulary; an engine without that room.
    pub fn draft_with(&mut self, draft: Engine) -> Result<()> {
        if self.stepper.guesses == 0 {
            return Err(Error::input("the engine has no room for guesses: load it with `guess`"));
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
    pub fn shared_tokenizer(&self) -> Result<Rc<Tokenizer>> {
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

    /// # Errors
    /// The model is an encoder.
    pub(crate) fn expect_decoder(&self) -> Result<()> {
        if !self.is_encoder() {
            return Ok(());
        }
        Err(Error::unsupported(format!(
            "the model is an encoder ({}), which predicts no tokens: use `wisp embed`",
            self.architecture
        )))
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
        (self.pool.free(), self.pool.len())
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
            });
        }
        if let Err(error) = self.serve(&queue).await {
            let failed = matches!(error, Error::Device(_));
            let source = self.recover_from.clone().filter(|_| failed).ok_or(error)?;
            self.restore(source.as_ref(), &mut |_| ()).await?;
            self.serve(&queue).await?;
        }
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
        let (stepper, pool) = (&mut self.stepper, &mut self.pool);
        let drafter = self.drafter.as_mut();
        let generator = Generator::new(stepper, pool, tokenizer, ctx, queue)
            .guessing(drafter, self.options.guess == Guess::Always);
        let result = generator.run().await;
        if result.is_err() {
            // What the cache holds is no longer certain.
            self.pool = PagePool::new(self.pool.len());
        }
        // Now, since whoever serves may be killed rather than end.
        self.stepper.gpu.save_pipelines();
        result
    }
}

/// The header, made ready as the options ask.
async fn open(source: &dyn Source, options: &EngineOptions) -> Result<Checkpoint> {
    prepared(wisp_models::open(source).await?, options)
}

fn prepared(mut checkpoint: Checkpoint, options: &EngineOptions) -> Result<Checkpoint> {
    if let Some(prepare) = &options.prepare {
        (prepare.0)(&mut checkpoint)?;
    }
    Ok(checkpoint)
}

/// Says which file an error is about.
fn named(name: &str, error: Error) -> Error {
    match error {
        Error::Input(message) if !message.starts_with(name) => {
            Error::Input(format!("{name}: {message}"))
        }
        Error::Unsupported(message) => Error::Unsupported(format!("{name}: {message}")),
        other => other,
    }
}
