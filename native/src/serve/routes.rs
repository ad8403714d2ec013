//! What is answered where.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::{Body, HttpBody};
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, Request, State};
use axum::http::{Method, StatusCode, Uri, header};
use axum::middleware::from_fn_with_state;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use futures_util::future::BoxFuture;
use serde_json::{Value, json};
use wisp_api::{Endpoint, OllamaEndpoint, Protocol};

use super::failure::Failure;
use super::texts::json_of;
use super::{Phase, Server, access, generate, ollama, texts};

/// Bytes of a request's body at most.
const BODY: usize = 32 << 20;

/// So long a body may take to come.
const BODY_TIME: Duration = Duration::from_secs(60);

type Shared = State<Arc<Server>>;

/// What answers a request with a body.
type Answer = fn(Arc<Server>, String) -> BoxFuture<'static, Result<Response, Failure>>;

/// Paths that take a body.
const POSTED: [(&str, Answer); 14] = {
    macro_rules! at {
        ($path:literal, $server:ident, $body:ident, $answered:expr) => {
            ($path, |$server, $body| Box::pin(async move { $answered.await }))
        };
    }
    [
        at!("/v1/chat/completions", s, body, generate::openai(s, Endpoint::Chat, &body)),
        at!("/v1/completions", s, body, generate::openai(s, Endpoint::Completions, &body)),
        at!("/v1/embeddings", s, body, texts::embeddings(&s, &body)),
        at!("/v1/responses", s, body, generate::responses(s, &body)),
        at!("/v1/messages", s, body, generate::messages(s, &body)),
        at!("/v1/messages/count_tokens", s, body, texts::count_tokens(&s, &body)),
        at!("/api/chat", s, body, generate::ollama(s, OllamaEndpoint::Chat, &body)),
        at!("/api/generate", s, body, generate::ollama(s, OllamaEndpoint::Generate, &body)),
        at!("/api/embed", s, body, ollama::embed(&s, &body, false)),
        at!("/api/embeddings", s, body, ollama::embed(&s, &body, true)),
        at!("/api/show", s, body, ollama::show(&s, &body)),
        at!("/tokenize", s, body, texts::tokenize(&s, &body)),
        at!("/detokenize", s, body, texts::detokenize(&s, &body)),
        at!("/apply-template", s, body, texts::apply_template(&s, &body)),
    ]
};

/// All routes, behind [`access::guard`].
pub fn router(server: Arc<Server>) -> Router {
    let routes = Router::new()
        // Where clients of Ollama look first.
        .route("/", get(async || "wisp is running\n"))
        .route("/health", get(health))
        .route("/v1/models", get(models))
        .route("/v1/models/{name}", get(model))
        .route("/api/tags", get(tags))
        .route("/api/ps", get(async |State(server): Shared| ollama::running(&server)))
        .route("/api/version", get(async || json_of(&json!({"version": VERSION}))))
        .route("/props", get(props))
        .route("/metrics", get(metrics));
    let posted = |(path, with): (&'static str, Answer)| {
        let answer = async move |State(server): Shared, request: Request| {
            answer(server, request, with).await
        };
        (path, post(answer))
    };
    POSTED
        .map(posted)
        .into_iter()
        .fold(routes, |routes, (path, answer)| routes.route(path, answer))
        .fallback(async |uri: Uri| {
            let message = "there is nothing at this path: see `wisp serve --help`";
            Failure::new(StatusCode::NOT_FOUND, "not_found", message)
                .response(Protocol::of(uri.path()))
        })
        .method_not_allowed_fallback(async |method: Method, uri: Uri| {
            let message = format!("{} is not asked by {method}", uri.path());
            Failure::new(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", message)
                .response(Protocol::of(uri.path()))
        })
        .layer(from_fn_with_state(server.clone(), access::guard))
        .with_state(server)
}

const VERSION: &str = env!("CARGO_PKG_VERSION");

/// A request with a body.
async fn answer(server: Arc<Server>, request: Request, with: Answer) -> Response {
    let protocol = Protocol::of(request.uri().path());
    let answered = match read(request.into_body()).await {
        Ok(body) => with(server, body).await,
        Err(failure) => Err(failure),
    };
    answered.unwrap_or_else(|failure| failure.response(protocol))
}

/// A body as text.
async fn read(body: Body) -> Result<String, Failure> {
    let too_long = || {
        let message = format!("the body is longer than {} MiB", BODY >> 20);
        Failure::new(StatusCode::PAYLOAD_TOO_LARGE, "too_large", message)
    };
    // What the header says is enough.
    if body.size_hint().lower() > BODY as u64 {
        return Err(too_long());
    }
    let bytes = tokio::time::timeout(BODY_TIME, axum::body::to_bytes(body, BODY)).await;
    let bytes = bytes.map_err(|_| {
        let message = format!("the body did not come within {} s", BODY_TIME.as_secs());
        Failure::new(StatusCode::REQUEST_TIMEOUT, "timeout", message)
    })?;
    let bytes = bytes.map_err(|cause| {
        let mut causes =
            std::iter::successors(Some(&cause as &dyn std::error::Error), |cause| cause.source());
        if causes.any(|cause| cause.is::<http_body_util::LengthLimitError>()) {
            return too_long();
        }
        let message = "the body is cut off, or not sent as HTTP has it";
        Failure::new(StatusCode::BAD_REQUEST, "bad_body", message)
    })?;
    String::from_utf8(bytes.into()).map_err(|_| {
        Failure::new(StatusCode::BAD_REQUEST, "not_utf8", "the body is not text in UTF-8")
    })
}

async fn health(State(server): Shared) -> Response {
    let (status, word) = match server.phase() {
        Phase::Loading => (StatusCode::SERVICE_UNAVAILABLE, "loading"),
        Phase::Serving => (StatusCode::OK, "ok"),
        Phase::Ending | Phase::Ended => (StatusCode::SERVICE_UNAVAILABLE, "ending"),
    };
    (status, json_of(&json!({ "status": word }))).into_response()
}

async fn models(State(server): Shared) -> Response {
    let data: Vec<Value> = server.models.all().iter().map(|model| described(&model.name)).collect();
    json_of(&json!({ "object": "list", "data": data }))
}

async fn model(State(server): Shared, name: Result<Path<String>, PathRejection>) -> Response {
    // What is no text names no model.
    match server.models.named(Some(&name.map_or_else(|_| String::new(), |Path(name)| name))) {
        Ok(model) => json_of(&described(&model.name)),
        Err(failure) => failure.response(Protocol::OpenAi),
    }
}

/// A model, as OpenAI lists it.
fn described(name: &str) -> Value {
    json!({ "id": name, "object": "model", "created": 0, "owned_by": "wisp" })
}

async fn tags(State(server): Shared) -> Response {
    ollama::tags(&server).await
}

/// What is known of the models that are loaded.
async fn props(State(server): Shared) -> Response {
    let models: Vec<Value> = server
        .models
        .loaded()
        .into_iter()
        .map(|loaded| {
            let info = loaded.handle.info();
            json!({
                "model": loaded.name,
                "architecture": info.architecture,
                "context": info.ctx(),
                "vocabulary": info.vocab,
                "device": info.device_name(),
                "requests": loaded.requests,
            })
        })
        .collect();
    json_of(&json!({ "version": VERSION, "models": models }))
}

async fn metrics(State(server): Shared) -> Response {
    let kind = [(header::CONTENT_TYPE, "text/plain; version=0.0.4")];
    (kind, server.metrics.text(&server.models)).into_response()
}
