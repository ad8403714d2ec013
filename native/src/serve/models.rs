//! The models that the server answers with: loaded when they are first asked for, unloaded where
//! another needs their memory.

use std::path::Path;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use axum::http::StatusCode;
use tokio::sync::Mutex as AsyncMutex;
use wisp_base::{Error, Result};
use wisp_models::Embedding;
use wisp_runtime::{EngineOptions, Handle};

use super::failure::Failure;
use crate::args::{DEFAULT_MODEL, Serve};
use crate::engine::{self, Started};
use crate::out;

/// All models, in the order of the command line.
pub struct Models {
    all: Vec<Arc<Model>>,
}

/// One model, loaded or not.
pub struct Model {
    /// As clients name it.
    pub name: String,
    /// As the command line has it.
    pub spec: String,
    options: EngineOptions,
    /// Requests that wait or run at most.
    room: usize,
    /// Loading holds it, so that a model is loaded once.
    load: AsyncMutex<()>,
    handle: Mutex<Option<Handle>>,
    /// Of an encoder, once it was asked for.
    embedding: OnceLock<Embedding>,
    /// Requests that wait or run.
    requests: Arc<AtomicUsize>,
    /// When it was last asked for, in requests to all models.
    used: AtomicU64,
}

/// What is to be seen of a loaded model.
pub struct Loaded {
    pub name: String,
    pub handle: Handle,
    /// Requests that wait or run.
    pub requests: usize,
}

/// A request's place: given back where it is dropped.
pub struct Place(Arc<AtomicUsize>);

impl Drop for Place {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

impl Models {
    /// Those of the command line, or the one that `wisp chat` takes.
    ///
    /// # Errors
    /// Two that clients could not tell apart.
    pub fn new(options: EngineOptions, args: &Serve) -> Result<Self> {
        let options = EngineOptions { max_sequences: args.parallel, share_cache: true, ..options };
        let specs = match args.models.as_slice() {
            [] => vec![DEFAULT_MODEL.to_owned()],
            given => given.to_vec(),
        };
        let mut all: Vec<Arc<Model>> = Vec::new();
        for spec in specs {
            let name = name_of(&spec);
            if let Some(same) = all.iter().find(|model| model.name == name) {
                return Err(Error::input(format!(
                    "{spec} and {} would both be the model {name}: rename one of them",
                    same.spec
                )));
            }
            all.push(Arc::new(Model {
                name,
                spec,
                options: options.clone(),
                room: args.parallel.saturating_add(args.queue),
                load: AsyncMutex::default(),
                handle: Mutex::default(),
                embedding: OnceLock::new(),
                requests: Arc::default(),
                used: AtomicU64::new(0),
            }));
        }
        Ok(Self { all })
    }

    /// The one that is loaded at the start.
    pub fn first(&self) -> Arc<Model> {
        // There is always one.
        self.all[0].clone()
    }

    /// All, in the order of the command line.
    pub fn all(&self) -> &[Arc<Model>] {
        &self.all
    }

    /// The model that a request names, or the only one where it names none.
    ///
    /// # Errors
    /// There is no such model.
    pub fn named(&self, name: Option<&str>) -> std::result::Result<Arc<Model>, Failure> {
        let found = match name {
            None if self.all.len() == 1 => self.all.first(),
            None => None,
            Some(name) => self.all.iter().find(|model| model.name == name),
        };
        found.cloned().ok_or_else(|| {
            let here: Vec<_> = self.all.iter().map(|model| model.name.as_str()).collect();
            let here = here.join(", ");
            let message = match name {
                None => format!("model is missing: name one of {here}"),
                Some(_) => format!("there is no model of that name here: name one of {here}"),
            };
            Failure::new(StatusCode::NOT_FOUND, "model_not_found", message)
        })
    }

    /// Those that are loaded.
    pub fn loaded(&self) -> Vec<Loaded> {
        let loaded = |model: &Arc<Model>| {
            let requests = model.requests.load(Ordering::SeqCst);
            Some(Loaded { name: model.name.clone(), handle: model.known()?, requests })
        };
        self.all.iter().filter_map(loaded).collect()
    }

    /// The engine of a model, loaded if it has to be. Others make room for it, those that nobody
    /// asked for longest first, unless they are at work.
    ///
    /// # Errors
    /// It cannot be loaded.
    pub async fn handle(&self, model: &Arc<Model>) -> Result<Handle> {
        let most = |at: &Arc<Model>| at.used.load(Ordering::SeqCst);
        let now = self.all.iter().map(most).max().unwrap_or(0) + 1;
        model.used.store(now, Ordering::SeqCst);
        loop {
            let failed = match model.handle().await {
                Err(error @ Error::Memory(_)) => error,
                done => return done,
            };
            let idle = self.all.iter().filter(|other| {
                other.name != model.name
                    && other.requests.load(Ordering::SeqCst) == 0
                    && other.known().is_some()
            });
            let Some(oldest) = idle.min_by_key(|other| most(other)) else { return Err(failed) };
            out::detail(format!("{} makes room for {}", oldest.name, model.name));
            oldest.unload();
        }
    }

    /// Requests that wait or run.
    pub fn requests(&self) -> usize {
        self.all.iter().map(|model| model.requests.load(Ordering::SeqCst)).sum()
    }

    /// Whether a model is on its way.
    pub fn are_loading(&self) -> bool {
        self.all.iter().any(|model| model.load.try_lock().is_err())
    }

    /// [`Self::handle`] for a request: what is wrong with a model's files is no fault of a client's.
    ///
    /// # Errors
    /// It cannot be loaded, as is said on stderr.
    pub async fn engine(&self, model: &Arc<Model>) -> std::result::Result<Handle, Failure> {
        self.handle(model).await.map_err(|error| {
            out::failed(&error);
            let message =
                format!("the model {} cannot be loaded: its server was told why", model.name);
            Failure::new(StatusCode::SERVICE_UNAVAILABLE, "model_unavailable", message)
        })
    }

    /// Gives all memory back.
    pub fn unload_all(&self) {
        self.all.iter().for_each(|model| model.unload());
    }
}

impl Model {
    /// A place for a request.
    ///
    /// # Errors
    /// As many wait as may.
    pub fn place(&self) -> std::result::Result<Place, Failure> {
        let place = Place(self.requests.clone());
        if self.requests.fetch_add(1, Ordering::SeqCst) < self.room {
            return Ok(place);
        }
        let message = format!("{} requests wait already: try again later", self.room);
        let status = StatusCode::TOO_MANY_REQUESTS;
        Err(Failure::new(status, "queue_full", message).retry_after(5))
    }

    /// Its engine, loaded if it has to be.
    ///
    /// # Errors
    /// It cannot be loaded.
    pub async fn handle(self: &Arc<Self>) -> Result<Handle> {
        if let Some(handle) = self.known() {
            return Ok(handle);
        }
        // A task of its own: who asked first may go away meanwhile.
        let model = self.clone();
        let load = tokio::spawn(async move { model.loaded().await });
        // A panic has said its sentence already.
        load.await.map_err(|_| Error::Cancelled)?
    }

    async fn loaded(&self) -> Result<Handle> {
        let _loading = self.load.lock().await;
        if let Some(handle) = self.known() {
            return Ok(handle);
        }
        let (options, spec) = (self.options.clone(), self.spec.clone());
        let load = tokio::task::spawn_blocking(move || engine::start(options, &spec, None));
        let Started { handle, .. } = load.await.map_err(|_| Error::Cancelled)??;
        *self.handle.lock().unwrap_or_else(PoisonError::into_inner) = Some(handle.clone());
        Ok(handle)
    }

    /// Its engine, if it is loaded.
    fn known(&self) -> Option<Handle> {
        self.handle.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn unload(&self) {
        let handle = self.handle.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(handle) = handle {
            handle.unload();
        }
    }

    /// What becomes of hidden states, where it is an encoder.
    ///
    /// # Errors
    /// Its files do not say, or cannot be read.
    pub fn embedding(&self) -> Result<Embedding> {
        // The header with its vocabulary is read once.
        if let Some(known) = self.embedding.get() {
            return Ok(*known);
        }
        let (_, checkpoint) = engine::header(&self.spec)?;
        let read = Embedding::of(&checkpoint)?;
        Ok(*self.embedding.get_or_init(|| read))
    }
}

/// What clients call a model: its known name, or that of its file without the ending.
fn name_of(spec: &str) -> String {
    let path = Path::new(spec);
    let name = path.file_name().map_or(spec.into(), |name| name.to_string_lossy());
    name.strip_suffix(".gguf").unwrap_or(&name).to_owned()
}

#[cfg(test)]
mod tests {
    use super::name_of;

    #[test]
    fn models_are_named_after_their_files() {
        for (spec, name) in [
            ("smollm2-135m", "smollm2-135m"),
            ("/models/a.b.gguf", "a.b"),
            ("hf:owner/repo/file-q4_0.gguf", "file-q4_0"),
            ("./folder/", "folder"),
        ] {
            assert_eq!(name_of(spec), name);
        }
    }
}
