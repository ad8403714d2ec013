//! Requests and answers in OpenAI's shapes: what is asked for, checked field by field, as a
//! [`Request`](wisp_runtime::Request); what came of it as JSON. No transport: a server and the
//! npm package bring their own.

mod chat;
mod common;
mod embeddings;
mod error;
mod fields;
mod generation;
mod logprobs;
mod response;
mod writer;

pub use common::{IGNORED, UNSUPPORTED};
pub use embeddings::{EmbeddingFormat, EmbeddingInput, EmbeddingRequest, EmbeddingResponse};
pub use error::{ErrorBody, Refusal};
pub use fields::Fields;
pub use generation::{Endpoint, GenerationRequest, ResponseForm};
pub use response::Head;
pub use writer::ResponseWriter;
