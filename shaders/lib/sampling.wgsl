// One sequence's sampling settings; written by ops/src/sample.rs.
//!import lib/step
const VOCAB: u32 = 1u;
const STRIDE: u32 = 1u; // of a row of logits
const CHUNK: u32 = 1024u;
const CHUNKS: u32 = (VOCAB + CHUNK - 1u) / CHUNK;

struct Settings {
    temperature: f32,
    top_k: u32,
    top_p: f32,
    min_p: f32,
    repetition: f32,
    presence: f32,
    frequency: f32,
    penalties: u32, // 1: look at `counts` and keep them
    biased: u32, // 1: look at `bias`
    seed_low: u32,
    seed_high: u32,
    unused: u32,
}

@group(0) @binding(1) var<storage, read> settings: array<Settings>; // [sequences]
@group(0) @binding(2) var<storage, read_write> logits: array<f32>; // [outputs, STRIDE]
