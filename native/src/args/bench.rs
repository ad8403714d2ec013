//! `wisp bench`, as typed.

use super::{DEFAULT_MODEL, parse};
use clap::Args;
use std::path::PathBuf;
use wisp_bench::{GpuSpec, Load};
use wisp_convert::Type;
use wisp_runtime::Shape;

#[derive(Debug, Args)]
pub struct Bench {
    #[arg(default_value = DEFAULT_MODEL, conflicts_with = "shape")]
    pub model: String,
    /// Random weights in the sizes of a published model, made on the adapter: no file is needed.
    /// One of smollm2-135m, granite-1b-a400m, llama-3.2-1b, llama-3.2-3b, llama-3.1-8b, qwen3-4b,
    /// qwen3-30b-a3b, gpt-oss-20b, gemma-3-4b
    #[arg(long, value_name = "NAME", value_parser = shape)]
    pub shape: Option<Shape>,
    /// The type of those weights, as `wisp quantize` has them
    #[arg(long = "type", value_name = "TYPE", value_parser = Type::parse, requires = "shape")]
    #[arg(conflicts_with = "quantize", default_value = "q4_0")]
    pub of: Type,
    /// Prompt length in tokens
    #[arg(long, value_name = "N", default_value_t = 128, value_parser = parse::positive)]
    pub prompt_tokens: usize,
    /// Tokens to decode
    #[arg(long, value_name = "N", default_value_t = 32, value_parser = parse::positive)]
    pub generate: usize,
    /// Rounds
    #[arg(long, value_name = "R", default_value_t = 3, value_parser = parse::positive)]
    pub repeat: usize,
    /// Measure prompts of these lengths too: 128,512,2048
    #[arg(long, value_name = "N,…", value_delimiter = ',', value_parser = parse::positive)]
    pub prefill: Vec<usize>,
    /// Measure decode behind so many positions too: 128,4096,16384
    #[arg(long, value_name = "N,…", value_delimiter = ',', value_parser = parse::positive)]
    pub depth: Vec<usize>,
    /// Measure decode of so many sequences at once too: 1,4,16,64
    #[arg(long, value_name = "N,…", value_delimiter = ',', value_parser = parse::positive)]
    pub batch: Vec<usize>,
    /// Time each kind of dispatch on the GPU as well
    #[arg(long)]
    pub ops: bool,
    /// Draw those times beside the adapter's limits, as an SVG file
    #[arg(long, value_name = "FILE", requires = "ops")]
    pub roofline: Option<PathBuf>,
    /// Print what a model of cost expects too, by operation: from bytes, bytes in flight,
    /// operations and dispatches
    #[arg(long, conflicts_with_all = ["prefill", "batch"])]
    pub predict: bool,
    /// Predict for this GPU in place of measuring, behind --depth positions [default: 1024]. One of
    /// H100 SXM, A100 80GB, RTX 5090, RTX 4090, RX 7900 XTX, RTX 3090, RX 9070 XT, Arc A770,
    /// M2 Max, M4
    #[arg(long, value_name = "GPU", value_parser = gpu, requires = "predict")]
    #[arg(conflicts_with_all = ["prompt_tokens", "generate", "repeat", "ops"])]
    pub on: Option<GpuSpec>,
    /// Print one JSON object
    #[arg(long)]
    pub json: bool,
}

fn shape(name: &str) -> Result<Shape, String> {
    Shape::find(name).map_err(|error| error.to_string())
}

fn gpu(name: &str) -> Result<GpuSpec, String> {
    GpuSpec::find(name).map_err(|error| error.to_string())
}

impl Bench {
    /// What is measured beside the prompt and the tokens of every bench.
    pub fn loads(&self) -> Vec<Load> {
        let mut loads: Vec<Load> = self.prefill.iter().copied().map(Load::Prefill).collect();
        if self.depth.is_empty() && self.batch.is_empty() {
            return loads;
        }
        let or = |list: &[usize], one: usize| if list.is_empty() { vec![one] } else { list.into() };
        for depth in or(&self.depth, self.prompt_tokens) {
            loads.extend(or(&self.batch, 1).into_iter().map(|batch| Load::Decode { depth, batch }));
        }
        loads
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::args::{Cli, Command};
    use clap::Parser;

    fn bench(words: &[&str]) -> Result<Bench, String> {
        let words = ["wisp", "bench"].iter().chain(words);
        match Cli::try_parse_from(words).map_err(|error| error.to_string())?.command {
            Command::Bench(args) => Ok(args),
            _ => Err("another command".into()),
        }
    }

    #[test]
    fn lists_become_loads() {
        let loads = |words: &[&str]| bench(words).unwrap().loads();
        let decode = |depth, batch| Load::Decode { depth, batch };
        assert_eq!(loads(&[]), []);
        assert_eq!(loads(&["--prefill", "5,7"]), [Load::Prefill(5), Load::Prefill(7)]);
        assert_eq!(loads(&["--depth", "9"]), [decode(9, 1)]);
        assert_eq!(loads(&["--batch", "1,4"]), [decode(128, 1), decode(128, 4)]);
        assert_eq!(loads(&["--depth", "3,4", "--batch", "2"]), [decode(3, 2), decode(4, 2)]);
    }

    #[test]
    fn shapes_and_types_are_named() {
        let args = bench(&["--shape", "qwen3-4b", "--type", "q4_k"]).unwrap();
        assert_eq!((args.shape.unwrap().name, args.of.name), ("qwen3-4b", "q4_k_m"));
        assert!(bench(&["--shape", "llama"]).unwrap_err().contains("llama-3.1-8b"));
        assert!(bench(&["--type", "q8_0"]).unwrap_err().contains("--shape"));
        assert!(bench(&["m.gguf", "--shape", "qwen3-4b"]).is_err());
    }
}
