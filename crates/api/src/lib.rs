//! Requests and answers in the shapes of OpenAI, Anthropic and Ollama: what is asked for, checked field by field, as a
//! [`Request`](wisp_runtime::Request); what came of it as JSON. No transport: a server and the
//! npm package bring their own.

mod anthropic;
mod chat;
mod common;
mod embeddings;
mod error;
mod fields;
mod generation;
mod logprobs;
mod ollama;
mod protocol;
mod response;
mod responses;
mod texts;
mod writer;

pub use anthropic::{MessagesRequest, MessagesWriter};
pub use common::{IGNORED, UNSUPPORTED};
pub use embeddings::{EmbeddingFormat, EmbeddingInput, EmbeddingRequest, EmbeddingResponse};
pub use error::{ErrorBody, Refusal};
pub use fields::Fields;
pub use generation::{Endpoint, GenerationRequest, ResponseForm};
pub use ollama::{
    OllamaEmbedRequest, OllamaEndpoint, OllamaModelRequest, OllamaRequest, OllamaWriter,
};
pub use protocol::{Framing, Protocol};
pub use response::Head;
pub use responses::{ResponsesRequest, ResponsesWriter};
pub use texts::{DetokenizeRequest, TemplateRequest, TokenizeRequest};
pub use writer::{ResponseWriter, Writer};
