//! What needs a model's tokenizer or its vectors: embeddings, tokens of a text and back, and
//! conversations as its template writes them.

use std::sync::Arc;

use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};
use wisp_api::{
    DetokenizeRequest, EmbeddingInput, EmbeddingRequest, EmbeddingResponse, Fields,
    MessagesRequest, TemplateRequest, TokenizeRequest,
};
use wisp_base::Error;
use wisp_runtime::rendered;
use wisp_tokenizer::Tokenizer;

use super::Server;
use super::failure::{Failure, JSON};
use super::models::{Model, Place};

type Answered = Result<Response, Failure>;

/// `/v1/embeddings`
pub async fn embeddings(server: &Server, body: &str) -> Answered {
    let asked = EmbeddingRequest::read(Fields::parse(body)?)?;
    let model = server.models.named(asked.model.as_deref())?;
    let (vectors, tokens) = vectors(server, &model, asked.inputs, false).await?;
    let response = EmbeddingResponse::new(model.name.clone(), vectors, asked.format, tokens);
    Ok((JSON, response.json()).into_response())
}

/// A vector for each input, and how many tokens all have. `cut`: inputs that are too long.
///
/// # Errors
/// A model that is no encoder, an input that is too long.
pub async fn vectors(
    server: &Server,
    model: &Arc<Model>,
    inputs: Vec<EmbeddingInput>,
    cut: bool,
) -> Result<(Vec<Vec<f32>>, usize), Failure> {
    let place = model.place()?;
    let handle = server.models.engine(model).await?;
    let info = handle.info();
    if !info.is_encoder {
        let message = format!("{} gives no vectors: ask an encoder, minilm say", model.name);
        return Err(Error::input(message).into());
    }
    let (of, tokenizer) = (model.clone(), handle.tokenizer()?);
    let prepared = blocking(move || {
        let settings = of.embedding()?;
        let most = settings.most_tokens.min(info.ctx());
        let tokens = |input| match input {
            EmbeddingInput::Text(text) if cut => tokenizer.encode_cut(text.as_bytes(), most),
            input => {
                let tokens = input.tokens(&tokenizer)?;
                if tokens.len() > most {
                    let count = tokens.len();
                    let message = format!(
                        "an input has {count} tokens, but the model takes {most}: give shorter ones"
                    );
                    return Err(Error::input(message));
                }
                Ok(tokens)
            }
        };
        let inputs = inputs.into_iter().map(tokens).collect::<wisp_base::Result<Vec<_>>>()?;
        Ok((settings, inputs, place))
    });
    let (settings, inputs, _place) = prepared.await?;
    let tokens = inputs.iter().map(Vec::len).sum();
    Ok((handle.embed(inputs, settings).await?, tokens))
}

/// `/v1/messages/count_tokens`
pub async fn count_tokens(server: &Server, body: &str) -> Answered {
    let (model, prompt) = MessagesRequest::read_count(body)?;
    let (tokenizer, place) = tokenizer(server, model.as_deref()).await?;
    let tokens = blocking(move || {
        let _place = place;
        prompt.tokens(Ok(&tokenizer))
    });
    let tokens = tokens.await?;
    Ok(json_of(&json!({ "input_tokens": tokens.len() })))
}

/// `/tokenize`
pub async fn tokenize(server: &Server, body: &str) -> Answered {
    let TokenizeRequest { model, content, add_special, parse_special } =
        TokenizeRequest::read(body)?;
    let (tokenizer, place) = tokenizer(server, model.as_deref()).await?;
    let tokens = blocking(move || {
        let _place = place;
        tokenizer.encode(content.as_bytes(), add_special, parse_special)
    });
    Ok(json_of(&json!({ "tokens": tokens.await? })))
}

/// `/detokenize`
pub async fn detokenize(server: &Server, body: &str) -> Answered {
    let DetokenizeRequest { model, tokens } = DetokenizeRequest::read(body)?;
    let (tokenizer, place) = tokenizer(server, model.as_deref()).await?;
    let content = blocking(move || {
        let _place = place;
        tokenizer.decode(&tokens, true)
    });
    Ok(json_of(&json!({ "content": content.await? })))
}

/// `/apply-template`
pub async fn apply_template(server: &Server, body: &str) -> Answered {
    let TemplateRequest { model, messages, tools } = TemplateRequest::read(body)?;
    let (tokenizer, place) = tokenizer(server, model.as_deref()).await?;
    let prompt = blocking(move || {
        let _place = place;
        rendered(&tokenizer, &messages, tools.as_ref())
    });
    Ok(json_of(&json!({ "prompt": prompt.await? })))
}

/// The tokenizer of the model that `name` is, and a place for the work with it.
async fn tokenizer(
    server: &Server,
    name: Option<&str>,
) -> Result<(Arc<Tokenizer>, Place), Failure> {
    let model = server.models.named(name)?;
    let place = model.place()?;
    Ok((server.models.engine(&model).await?.tokenizer()?, place))
}

/// Does what takes a while where it holds nobody up.
pub async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> wisp_base::Result<T> + Send + 'static,
) -> Result<T, Failure> {
    Ok(tokio::task::spawn_blocking(work).await.map_err(|_| Error::Cancelled)??)
}

/// A body of JSON.
pub fn json_of(value: &Value) -> Response {
    (JSON, value.to_string()).into_response()
}
