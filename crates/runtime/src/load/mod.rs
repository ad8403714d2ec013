//! Before the first request: what a model takes on a device, its tokenizer, its weights.

pub mod memory;
pub mod progress;
pub mod random_weights;
pub mod shape;
pub mod tokenizer;
pub mod weights;
