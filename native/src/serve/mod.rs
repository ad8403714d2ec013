//! `wisp serve`: models for clients of OpenAI, Anthropic and Ollama, on axum and tokio.
//!
//! `connections` takes them, `routes` has what is answered where, `access` who may ask, `models` the engines and when they
//! are loaded, `generate` how an answer goes out, `metrics` what has been done so far.

mod access;
mod connections;
mod conversations;
mod failure;
mod generate;
mod metrics;
mod models;
mod ollama;
mod routes;
mod texts;

use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::sync::watch;
use wisp_base::{Error, Result};

use crate::args::{Global, Serve};
use crate::engine;
use crate::interrupt;
use crate::out::{self, Outcome};
use access::Access;
use conversations::Conversations;
use metrics::Metrics;
use models::Models;

/// Answers under way have so long to end once the server is asked to.
const GRACE: Duration = Duration::from_secs(30);

/// What is answered may take so long to be sent.
const LAST_WORDS: Duration = Duration::from_secs(2);

/// How far the server is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Phase {
    /// The first model is on its way.
    Loading,
    Serving,
    /// It takes no more requests, and ends when the last is answered.
    Ending,
    /// What is not answered yet will not be.
    Ended,
}

/// What all requests share.
struct Server {
    models: Models,
    access: Access,
    metrics: Metrics,
    conversations: Conversations,
    phase: watch::Sender<Phase>,
}

impl Server {
    fn phase(&self) -> Phase {
        *self.phase.borrow()
    }

    /// Returns once the server is so far.
    async fn reached(&self, wanted: Phase) {
        // The sender lives as long as this.
        let _ = self.phase.subscribe().wait_for(|phase| *phase >= wanted).await;
    }

    /// Returns once nothing is left to answer.
    async fn idle(&self) {
        const LOOK: Duration = Duration::from_millis(20);
        while self.models.requests() + self.metrics.under_way() > 0 {
            tokio::time::sleep(LOOK).await;
        }
    }
}

/// Runs the command.
pub fn run(global: &Global, args: Serve) -> Outcome {
    let access = Access::new(&args)?;
    let models = Models::new(engine::options(global), &args)?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .map_err(|cause| Error::io("cannot start the server's threads", cause))?;
    let phase = watch::Sender::new(Phase::Loading);
    let (metrics, conversations) = (Metrics::default(), Conversations::default());
    let server = Arc::new(Server { models, access, metrics, conversations, phase });
    runtime.block_on(serve(server.clone(), &args))?;
    runtime.shutdown_background();
    if server.models.are_loading() {
        interrupt::leave(0);
    }
    server.models.unload_all();
    Ok(())
}

async fn serve(server: Arc<Server>, args: &Serve) -> Result<()> {
    let place = format!("{}:{}", args.host, args.port);
    let listener = TcpListener::bind((args.host.as_str(), args.port)).await;
    let listener = listener.map_err(|cause| {
        Error::io(format!("cannot listen on {place} (give another --host or --port)"), cause)
    })?;
    let address = listener.local_addr().map_err(|cause| Error::io("cannot listen", cause))?;
    let accepting = tokio::spawn(connections::accept(listener, server.clone()));

    // Requests are told meanwhile that the model is being loaded.
    server.models.first().handle().await?;
    let stopping = server.clone();
    interrupt::at_end(move || {
        stopping.phase.send_replace(Phase::Ending);
    });
    server.phase.send_replace(Phase::Serving);
    out::to_stderr(format!("listening on http://{address}"));
    server.reached(Phase::Ending).await;
    let open = accepting.await.map_err(|_| Error::Cancelled)?;
    if tokio::time::timeout(GRACE, server.idle()).await.is_err() {
        out::note("answers that are not ready yet are given up");
        server.phase.send_replace(Phase::Ended);
    }
    // Last words are sent; who has asked nothing is not waited for.
    let _ = tokio::time::timeout(LAST_WORDS, open.shutdown()).await;
    Ok(())
}
