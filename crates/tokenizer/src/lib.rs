//! wisp-tokenizer
