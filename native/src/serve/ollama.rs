//! What only Ollama's clients ask: which models there are, what is known of them, and vectors.

use std::time::{SystemTime, UNIX_EPOCH};

use axum::response::Response;
use serde_json::{Value, json};
use wisp_api::{OllamaEmbedRequest, OllamaModelRequest};

use super::Server;
use super::failure::Failure;
use super::models::Model;
use super::texts::{blocking, json_of, vectors};
use crate::engine;

type Answered = Result<Response, Failure>;

/// The time in RFC 3339.
pub fn now() -> String {
    rfc3339(SystemTime::now())
}

fn rfc3339(time: SystemTime) -> String {
    let seconds = time.duration_since(UNIX_EPOCH).map_or(0, |time| time.as_secs() as i64);
    jiff::Timestamp::from_second(seconds).unwrap_or_default().to_string()
}

/// `/api/tags`
pub async fn tags(server: &Server) -> Response {
    let mut all = Vec::new();
    for model in server.models.all() {
        let name = &model.name;
        let model = model.clone();
        // One that is to be downloaded has no file yet.
        let known = blocking(move || described(&model)).await;
        all.push(known.unwrap_or_else(|_| json!({"name": name, "model": name})));
    }
    json_of(&json!({ "models": all }))
}

/// `/api/ps`
pub fn running(server: &Server) -> Response {
    let loaded = server.models.loaded().into_iter().map(|loaded| {
        let memory = loaded.handle.info().memory;
        let bytes = memory.weights + memory.kv + memory.scratch;
        json!({"name": loaded.name, "model": loaded.name, "size": bytes, "size_vram": bytes,
            "context_length": memory.ctx})
    });
    json_of(&json!({ "models": loaded.collect::<Vec<_>>() }))
}

/// `/api/show`
pub async fn show(server: &Server, body: &str) -> Answered {
    let asked = OllamaModelRequest::read(body)?;
    let model = server.models.named(Some(&asked.model))?;
    let shown = blocking(move || {
        let (_, checkpoint) = engine::header(&model.spec)?;
        let metadata = &checkpoint.metadata;
        let architecture = metadata.str("general.architecture")?;
        let is_encoder = wisp_models::read(&checkpoint)?.config.encoder;
        let template = metadata.str("tokenizer.chat_template").unwrap_or_default();
        let context = metadata.u32(&format!("{architecture}.context_length"))?;
        let info = json!({"general.architecture": architecture,
            format!("{architecture}.context_length"): context});
        Ok(json!({
            "details": described(&model)?["details"],
            "template": template,
            "model_info": info,
            "capabilities": if is_encoder { ["embedding"] } else { ["completion"] },
        }))
    });
    Ok(json_of(&shown.await?))
}

/// A model as `/api/tags` lists it.
fn described(model: &Model) -> wisp_base::Result<Value> {
    let (path, checkpoint) = engine::header(&model.spec)?;
    let files = engine::files(&path);
    let known: Vec<_> = files.iter().filter_map(|file| file.metadata().ok()).collect();
    let bytes: u64 = known.iter().map(std::fs::Metadata::len).sum();
    let changed = known.iter().filter_map(|file| file.modified().ok()).max();
    let family = checkpoint.metadata.str("general.architecture")?.to_owned();
    let format = if checkpoint.gguf_version.is_some() { "gguf" } else { "safetensors" };
    Ok(json!({
        "name": model.name,
        "model": model.name,
        "modified_at": changed.map(rfc3339),
        "size": bytes,
        "details": {"format": format, "family": family, "families": [family]},
    }))
}

/// `/api/embed`, and `/api/embeddings` before it, which takes one text and gives one vector.
pub async fn embed(server: &Server, body: &str, old: bool) -> Answered {
    let asked = OllamaEmbedRequest::read(body)?;
    let model = server.models.named(Some(&asked.model))?;
    let (mut vectors, tokens) = vectors(server, &model, asked.inputs, asked.truncate).await?;
    if old {
        return Ok(json_of(&json!({ "embedding": vectors.pop() })));
    }
    let body = json!({"model": model.name, "embeddings": vectors, "prompt_eval_count": tokens});
    Ok(json_of(&body))
}
