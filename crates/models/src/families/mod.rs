//! A short file per family, and what is built like it: metadata → [`crate::DecoderConfig`].

pub(crate) mod deepseek;
pub(crate) mod encoder;
pub(crate) mod gemma;
pub(crate) mod gpt;
pub(crate) mod lfm;
pub(crate) mod llama;
pub(crate) mod olmo;
pub(crate) mod phi;
pub(crate) mod qwen;
