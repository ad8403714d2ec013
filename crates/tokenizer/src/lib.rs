//! Text to token ids and back, and chat templates: from a GGUF file's
//! `tokenizer.ggml.*` metadata or from Hugging Face's `tokenizer.json`.

mod bpe;
mod bytes;
mod chat;
mod end;
mod json;
mod special;
mod split;
mod spm;
mod tokenizer;
mod train;
mod unigram;
mod vocabulary;
mod wordpiece;

pub use chat::ChatTemplate;
pub use split::pre_tokenizers;
pub use tokenizer::{Stream, Tokenizer};
pub use train::train;
pub use vocabulary::Vocabulary;
