//! Published models by their sizes alone: what a bench needs where no file can be had.

use wisp_base::{Error, Format, Result};
use wisp_formats::{Checkpoint, Metadata, Value};

/// A model's sizes, from its published `config.json`.
#[derive(Debug, Clone, Copy)]
pub struct Shape {
    /// What `--shape` takes.
    pub name: &'static str,
    /// `general.architecture`
    arch: &'static str,
    layers: u32,
    width: u32,
    heads: u32,
    kv_heads: u32,
    head_dim: u32,
    /// Numbers of a feed-forward layer, or of an expert.
    ffn: u32,
    vocab: u32,
    context: u32,
    rope_base: f32,
    /// Logits by the embedding's matrix.
    tied: bool,
    /// Experts, and how many a token goes to.
    experts: Option<(u32, u32)>,
}

/// What is right of most of them.
const LLAMA: Shape = Shape {
    name: "",
    arch: "llama",
    layers: 0,
    width: 0,
    heads: 32,
    kv_heads: 8,
    head_dim: 128,
    ffn: 8192,
    vocab: 128_256,
    context: 131_072,
    rope_base: 5e5,
    tied: true,
    experts: None,
};
const QWEN3: Shape =
    Shape { arch: "qwen3", vocab: 151_936, context: 40_960, rope_base: 1e6, ..LLAMA };

/// All of them. The first has no package of its own to be measured with elsewhere: it is
/// there for tests, and for adapters that are slow.
pub const SHAPES: [Shape; 9] = [
    Shape {
        name: "smollm2-135m",
        layers: 30,
        width: 576,
        heads: 9,
        kv_heads: 3,
        head_dim: 64,
        ffn: 1536,
        vocab: 49_152,
        context: 8192,
        rope_base: 1e5,
        ..LLAMA
    },
    // Experts, and small enough for a slow adapter: granite-3.0-1b-a400m.
    Shape {
        name: "granite-1b-a400m",
        arch: "granitemoe",
        layers: 24,
        width: 1024,
        heads: 16,
        head_dim: 64,
        ffn: 512,
        vocab: 49_155,
        context: 4096,
        rope_base: 1e4,
        experts: Some((32, 8)),
        ..LLAMA
    },
    Shape { name: "llama-3.2-1b", layers: 16, width: 2048, head_dim: 64, ..LLAMA },
    Shape { name: "llama-3.2-3b", layers: 28, width: 3072, heads: 24, ..LLAMA },
    Shape { name: "llama-3.1-8b", layers: 32, width: 4096, ffn: 14_336, tied: false, ..LLAMA },
    Shape { name: "qwen3-4b", layers: 36, width: 2560, ffn: 9728, ..QWEN3 },
    Shape {
        name: "qwen3-30b-a3b",
        arch: "qwen3moe",
        layers: 48,
        width: 2048,
        kv_heads: 4,
        ffn: 768,
        tied: false,
        experts: Some((128, 8)),
        ..QWEN3
    },
    Shape {
        name: "gpt-oss-20b",
        arch: "gpt-oss",
        layers: 24,
        width: 2880,
        heads: 64,
        head_dim: 64,
        ffn: 2880,
        vocab: 201_088,
        rope_base: 1.5e5,
        tied: false,
        experts: Some((32, 4)),
        ..LLAMA
    },
    Shape {
        name: "gemma-3-4b",
        arch: "gemma3",
        layers: 34,
        width: 2560,
        heads: 8,
        kv_heads: 4,
        head_dim: 256,
        ffn: 10_240,
        vocab: 262_208,
        rope_base: 1e6,
        ..LLAMA
    },
];

impl Shape {
    /// By its name.
    ///
    /// # Errors
    /// There is none of that name: those that there are.
    pub fn find(name: &str) -> Result<Self> {
        SHAPES.into_iter().find(|shape| shape.name == name).ok_or_else(|| {
            let names = SHAPES.map(|shape| shape.name).join(", ");
            Error::input(format!("there is no shape {name}; there are {names}"))
        })
    }

    /// The header that a GGUF file of f16 weights would have.
    ///
    /// # Errors
    /// None of the sizes here.
    pub fn checkpoint(&self) -> Result<Checkpoint> {
        let mut metadata = Metadata::new(self.name);
        metadata.insert("general.architecture", self.arch)?;
        metadata.insert("general.name", self.name)?;
        for (key, value) in self.sizes() {
            metadata.insert(format!("{}.{key}", self.arch), value)?;
        }
        Checkpoint::of_shapes(metadata, self.tensors())
    }

    fn sizes(&self) -> Vec<(&'static str, Value)> {
        let mut sizes: Vec<(&str, Value)> = vec![
            ("block_count", self.layers.into()),
            ("embedding_length", self.width.into()),
            ("attention.head_count", self.heads.into()),
            ("attention.head_count_kv", self.kv_heads.into()),
            ("attention.key_length", self.head_dim.into()),
            ("attention.value_length", self.head_dim.into()),
            ("attention.layer_norm_rms_epsilon", 1e-5f32.into()),
            ("feed_forward_length", self.ffn.into()),
            ("context_length", self.context.into()),
            ("vocab_size", self.vocab.into()),
            ("rope.dimension_count", self.head_dim.into()),
            ("rope.freq_base", self.rope_base.into()),
        ];
        if let Some((count, used)) = self.experts {
            sizes.push(("expert_count", count.into()));
            sizes.push(("expert_used_count", used.into()));
            sizes.push(("expert_feed_forward_length", self.ffn.into()));
        }
        if self.is_oss() {
            sizes.push(("attention.sliding_window", 128u32.into()));
        }
        if self.is_gemma() {
            sizes.push(("attention.sliding_window", 1024u32.into()));
        }
        sizes
    }

    fn is_oss(&self) -> bool {
        self.arch == "gpt-oss"
    }

    fn is_gemma(&self) -> bool {
        self.arch == "gemma3"
    }

    /// Names, shapes with columns first, formats.
    fn tensors(&self) -> Vec<(String, Vec<u64>, Format)> {
        let [width, ffn, vocab] = [self.width, self.ffn, self.vocab].map(u64::from);
        let queries = u64::from(self.heads * self.head_dim);
        let keys = u64::from(self.kv_heads * self.head_dim);
        let mut all = Vec::new();
        let mut add = |name: String, shape: &[u64]| {
            let format = if shape.len() == 1 { Format::F32 } else { Format::F16 };
            all.push((name, shape.to_vec(), format));
        };
        add("token_embd.weight".into(), &[width, vocab]);
        add("output_norm.weight".into(), &[width]);
        if !self.tied {
            add("output.weight".into(), &[width, vocab]);
        }
        for layer in 0..self.layers {
            let mut add = |name: &str, shape: &[u64]| add(format!("blk.{layer}.{name}"), shape);
            let ffn_norm = if self.is_oss() { "post_attention_norm" } else { "ffn_norm" };
            add("attn_norm.weight", &[width]);
            add(&format!("{ffn_norm}.weight"), &[width]);
            for (name, rows, cols) in [
                ("attn_q", queries, width),
                ("attn_k", keys, width),
                ("attn_v", keys, width),
                ("attn_output", width, queries),
            ] {
                add(&format!("{name}.weight"), &[cols, rows]);
                if self.is_oss() {
                    add(&format!("{name}.bias"), &[rows]);
                }
            }
            if self.is_gemma() {
                add("post_attention_norm.weight", &[width]);
                add("post_ffw_norm.weight", &[width]);
            }
            if self.is_gemma() || self.arch.starts_with("qwen3") {
                add("attn_q_norm.weight", &[self.head_dim.into()]);
                add("attn_k_norm.weight", &[self.head_dim.into()]);
            }
            if self.is_oss() {
                add("attn_sinks.weight", &[self.heads.into()]);
            }
            let experts = self.experts.map(|(count, _)| u64::from(count));
            if let Some(count) = experts {
                add("ffn_gate_inp.weight", &[width, count]);
                if self.is_oss() {
                    add("ffn_gate_inp.bias", &[count]);
                }
            }
            for (name, rows, cols) in
                [("ffn_gate", ffn, width), ("ffn_up", ffn, width), ("ffn_down", width, ffn)]
            {
                match experts {
                    None => add(&format!("{name}.weight"), &[cols, rows]),
                    Some(count) => {
                        add(&format!("{name}_exps.weight"), &[cols, rows, count]);
                        if self.is_oss() {
                            add(&format!("{name}_exps.bias"), &[rows, count]);
                        }
                    }
                }
            }
        }
        all
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use wisp_graph::Resource;

    /// Parameters as the models' cards say, in millions.
    #[test]
    fn shapes_have_their_models_parameters() {
        for (name, millions) in [
            ("smollm2-135m", 135),
            ("granite-1b-a400m", 1335),
            ("llama-3.2-1b", 1236),
            ("llama-3.2-3b", 3213),
            ("llama-3.1-8b", 8030),
            ("qwen3-4b", 4022),
            ("qwen3-30b-a3b", 30_532),
            ("gpt-oss-20b", 20_915),
            ("gemma-3-4b", 3_880),
        ] {
            let checkpoint = Shape::find(name).unwrap().checkpoint().unwrap();
            let weights: u64 = checkpoint.tensors.iter().map(|tensor| tensor.weights()).sum();
            assert_eq!((weights + 500_000) / 1_000_000, millions, "{name}");
            // Every tensor is one that its family asks for.
            let decoder = wisp_models::read(&checkpoint).unwrap();
            for positions in [64, 100_000] {
                let tape = decoder.tape(&checkpoint, positions, None).unwrap().tape;
                let bytes = tape.resources().iter().map(|resource| match resource {
                    Resource::Table { data, .. } => 4 * data.len() as u64,
                    _ => 0,
                });
                assert_eq!(decoder.rope_bytes(positions), bytes.sum::<u64>(), "{name}");
            }
        }
        assert!(Shape::find("llama").unwrap_err().to_string().contains("llama-3.2-1b"));
    }
}
