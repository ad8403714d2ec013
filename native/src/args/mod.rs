//! The command line, as typed.

mod bench;
mod parse;
mod sampling;
mod serve;
mod speculation;
mod tokenizer;
mod tokens;

pub use bench::Bench;
pub use parse::parse;
pub use sampling::{SamplingArgs, any_seed, seed};
pub use serve::Serve;
pub use speculation::Speculative;
pub use tokenizer::{Task as TokenizerTask, Tokenizer, Train};
pub use tokens::{TokenList, from_file, within};

use clap::{ArgGroup, Args, Parser, Subcommand};
use std::ffi::OsString;
use std::path::PathBuf;
use wisp_base::KvType;
use wisp_convert::Type;

/// The model where none is named.
pub const DEFAULT_MODEL: &str = "smollm2-135m";

/// Runs language models on any GPU that Vulkan, Metal or DX12 reaches.
#[derive(Debug, Parser)]
#[command(name = "wisp", version, max_term_width = 100)]
#[command(after_help = "MODEL is a .gguf file, a known name (see `wisp models`), \
    hf:OWNER/REPO/FILE.gguf, or an https URL. Of a split model (…-00001-of-00003.gguf) any of its \
    files names it.")]
pub struct Cli {
    #[command(flatten)]
    pub global: Global,
    #[command(subcommand)]
    pub command: Command,
}

/// What every command takes.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Everywhere")]
pub struct Global {
    /// The adapter, by its number in `wisp devices` or part of its name
    #[arg(long, global = true, value_name = "N|NAME", value_parser = parse::text)]
    pub device: Option<String>,
    /// Do without features of the adapter: subgroups=off,f16=off,dot=off,coop=off
    #[arg(long, global = true, env = "WISP_CAPS", value_name = "LIST", default_value = "")]
    #[arg(hide_default_value = true, hide_env_values = true, value_parser = parse::caps)]
    pub caps: String,
    /// Set parameters of the kernels; `wisp devices` has them all, --verbose those in use.
    /// Without it some are measured at the first load on an adapter
    #[arg(long, global = true, env = "WISP_TUNE", value_name = "LIST", default_value = "")]
    #[arg(hide_default_value = true, hide_env_values = true, hide_short_help = true)]
    pub tune: String,
    /// How the KV cache is stored: f32, f16, q8_0 or q4_0
    #[arg(long, global = true, value_name = "TYPE", value_parser = parse::kv)]
    pub kv: Option<KvType>,
    /// Context in tokens [default: what the model was trained for, if it fits]
    #[arg(long, global = true, value_name = "N", value_parser = parse::positive)]
    pub ctx: Option<usize>,
    /// Take the weights in another type, made while the model is loaded: see `wisp quantize`
    #[arg(long, global = true, value_name = "TYPE", value_parser = Type::parse)]
    pub quantize: Option<Type>,
    /// Print results and errors only
    #[arg(long, short, global = true, conflicts_with = "verbose")]
    pub quiet: bool,
    /// Print what is being done
    #[arg(long, short, global = true)]
    pub verbose: bool,
}

// What is said of a command stands at its arguments where there is more to say than here: a line
// here would hide it.
#[derive(Debug, Subcommand)]
pub enum Command {
    Chat(Chat),
    Generate(Generate),
    /// Write the logits of given tokens to a NumPy file
    Logits(Logits),
    /// Turn the text on stdin into tokens
    Tokenize(Tokenize),
    /// Turn tokens into text
    Detokenize(Detokenize),
    /// Make a vocabulary of your own: `tokenizer train`
    Tokenizer(Tokenizer),
    /// How well a model predicts a text
    Perplexity(Perplexity),
    Quantize(Quantize),
    Compare(Compare),
    Embed(Embed),
    /// How alike two texts are: the cosine of their vectors
    Similar(Similar),
    /// What a model file holds and what memory it needs
    Inspect(Inspect),
    /// The adapters of this machine
    Devices(Devices),
    Pull(Pull),
    /// List the models of the store and those that can be had
    Models(Models),
    /// Delete a model from the store
    Rm(Rm),
    /// Measure the speed of a model on an adapter
    Bench(Bench),
    Serve(Serve),
}

/// Chat with a model, by its own template; interactive without PROMPT
///
/// Text that is piped in follows PROMPT.
///
/// When the context is full, the oldest turns are left out; what --system says stays.
///
/// Unless set otherwise, answers are drawn at temperature 0.6, top-p 0.95, min-p 0.05 and
/// repetition penalty 1.1 (1 with --lookup or --draft), with a new seed each time.
#[derive(Debug, Args)]
pub struct Chat {
    /// Model and prompt, either may be left out: a single argument that is no model is the prompt
    #[arg(value_name = "[MODEL] [PROMPT]", num_args = 0..=2, hide_possible_values = true)]
    pub words: Vec<String>,
    /// What the model is told before the conversation
    #[arg(long, value_name = "TEXT", allow_hyphen_values = true)]
    pub system: Option<String>,
    /// Longest answer in tokens [default: until the context is full, as with -1]
    #[arg(long, value_name = "N", value_parser = parse::most, allow_negative_numbers = true)]
    pub max_tokens: Option<usize>,
    #[command(flatten)]
    pub sampling: SamplingArgs,
    #[command(flatten)]
    pub speculative: Speculative,
}

/// Continue a prompt
///
/// Unless set otherwise, the most likely token is taken each time.
#[derive(Debug, Args)]
#[command(group = ArgGroup::new("input").required(true))]
pub struct Generate {
    pub model: String,
    /// The prompt as token ids, used as given: 1,2,3
    #[arg(long, group = "input", value_name = "IDS", allow_hyphen_values = true)]
    pub tokens: Option<TokenList>,
    /// The prompt as text, byte for byte
    #[arg(long, group = "input", value_name = "TEXT", allow_hyphen_values = true)]
    pub prompt: Option<OsString>,
    /// A file with the prompt as text
    #[arg(long, group = "input", value_name = "FILE")]
    pub prompt_file: Option<PathBuf>,
    /// A JSON file with messages for the model's chat template
    #[arg(long, group = "input", value_name = "FILE")]
    pub chat_file: Option<PathBuf>,
    /// Most tokens to generate; -1 goes on to the answer's end, or until the context is full
    #[arg(long, value_name = "N", default_value = "256", value_parser = parse::most)]
    #[arg(allow_negative_numbers = true)]
    pub max_tokens: usize,
    #[command(flatten)]
    pub sampling: SamplingArgs,
    #[command(flatten)]
    pub speculative: Speculative,
    /// Print one JSON object when done
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, Args)]
pub struct Logits {
    pub model: String,
    /// Token ids, used as given: 1,2,3
    #[arg(long, value_name = "IDS", allow_hyphen_values = true)]
    pub tokens: TokenList,
    /// Every position, not only the last
    #[arg(long)]
    pub all: bool,
    /// Feed the cache so many tokens at a time
    #[arg(long, value_name = "N", value_parser = parse::positive)]
    pub chunk: Option<usize>,
    /// The NumPy file to write: float32, [positions, vocabulary]
    #[arg(long, value_name = "FILE.npy")]
    pub out: PathBuf,
}

#[derive(Debug, Args)]
pub struct Tokenize {
    pub model: String,
    /// Print {"tokens":[…]}
    #[arg(long)]
    pub json: bool,
    /// Add no token at the beginning or end, whatever the model's metadata ask
    #[arg(long)]
    pub no_special: bool,
    /// Read the text of control tokens as these tokens
    #[arg(long)]
    pub parse_special: bool,
    /// One JSON string a line in, one JSON object a line out
    #[arg(long)]
    pub lines: bool,
}

#[derive(Debug, Args)]
pub struct Detokenize {
    pub model: String,
    /// Token ids: 1,2,3
    #[arg(long, value_name = "IDS", allow_hyphen_values = true)]
    pub tokens: TokenList,
    /// Leave control tokens out of the text
    #[arg(long)]
    pub no_special: bool,
}

#[derive(Debug, Args)]
#[command(group = ArgGroup::new("input").required(true))]
pub struct Perplexity {
    pub model: String,
    /// A JSON array of token ids, used as given
    #[arg(long, group = "input", value_name = "FILE")]
    pub tokens_file: Option<PathBuf>,
    /// A text
    #[arg(long, group = "input", value_name = "FILE")]
    pub text_file: Option<PathBuf>,
    /// A text longer than the context is read in windows of it, each so many tokens further on,
    /// of which those that no window had before count [default: half the context]
    #[arg(long, value_name = "N", value_parser = parse::positive)]
    pub stride: Option<usize>,
    /// Print {"nll":[…],"mean_nll":…,"perplexity":…}
    #[arg(long)]
    pub json: bool,
}

/// Write a model's weights in other formats, to a GGUF file.
///
/// The types are llama.cpp's, with its choice of which tensors get more bits.
#[derive(Debug, Args)]
pub struct Quantize {
    /// A .gguf file, a folder with safetensors, a known name, or shape:NAME: random weights in the
    /// sizes of a published model (see `wisp bench --shape`), to measure other engines with
    #[arg(value_name = "IN")]
    pub model: String,
    /// The GGUF file to write
    pub out: PathBuf,
    /// q8_0, q6_k, q5_k_m, q4_k_m, q4_0, iq4_xs, q3_k_m, iq3_s, q2_k, iq2_xs, tq2_0, mxfp4, f16, …
    #[arg(long = "type", value_name = "TYPE", value_parser = Type::parse)]
    pub of: Type,
    /// How much each column matters, as llama-imatrix writes it
    #[arg(long, value_name = "FILE")]
    pub imatrix: Option<PathBuf>,
    /// Print one JSON object
    #[arg(long)]
    pub json: bool,
}

/// What a type of weights, or of KV cache, costs in quality
///
/// It tells perplexity, and how far each token's distribution is from that of the first model.
#[derive(Debug, Args)]
pub struct Compare {
    /// The model that others are held against
    #[arg(value_name = "A")]
    pub a: String,
    /// Another file of the same model
    #[arg(value_name = "B")]
    pub b: Option<String>,
    /// A in these types, made in memory: q8_0,q4_k_m,q2_k (see `wisp quantize`)
    #[arg(long, value_name = "LIST", value_delimiter = ',', value_parser = Type::parse)]
    pub types: Option<Vec<Type>>,
    /// A with these caches: f16,q8_0,q4_0
    #[arg(long, value_name = "LIST", value_delimiter = ',', value_parser = parse::kv)]
    pub kvs: Option<Vec<KvType>>,
    /// B's cache, where it is not A's
    #[arg(long, value_name = "TYPE", value_parser = parse::kv, requires = "b")]
    pub kv_b: Option<KvType>,
    /// The text to read, of which the first 512 tokens count [default: one of our own]
    #[arg(long, value_name = "FILE")]
    pub text: Option<PathBuf>,
    /// Print one JSON object
    #[arg(long)]
    pub json: bool,
}

/// Turn texts into vectors
///
/// The texts on stdin, one JSON string a line, are cut, pooled and normalised as the model's own files
/// ask, which is what sentence-transformers does.
#[derive(Debug, Args)]
pub struct Embed {
    /// An encoder: minilm, or any BERT, nomic-bert or ModernBERT
    pub model: String,
    /// Print {"embeddings":[[…],…]} instead of a vector a line
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, Args)]
pub struct Similar {
    /// An encoder, as for `wisp embed`
    pub model: String,
    pub a: String,
    pub b: String,
    /// Print {"cosine":…}
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, Args)]
pub struct Inspect {
    pub model: String,
    /// Print one JSON object
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, Args)]
pub struct Devices {
    /// Compare every kernel variant with its CPU definition
    #[arg(long)]
    pub check: bool,
    /// Time every kernel at the sizes of models, on one adapter (on a slow one: minutes)
    #[arg(long, conflicts_with = "check")]
    pub bench: bool,
    /// Only kernels with this in their line: matmul, Q4_0, rms, "decode at 4096"
    #[arg(long, value_name = "TEXT", default_value = "", hide_default_value = true)]
    #[arg(requires = "bench")]
    pub filter: String,
    /// Times each
    #[arg(long, value_name = "N", default_value_t = 10, value_parser = parse::positive)]
    #[arg(requires = "bench")]
    pub samples: usize,
    /// Print one JSON object
    #[arg(long)]
    pub json: bool,
}

/// Download a model into the store.
///
/// For gated models of the hub, HF_TOKEN is a token that may read them. Proxies are those that
/// curl takes: http_proxy, https_proxy, all_proxy, no_proxy.
#[derive(Debug, Args)]
pub struct Pull {
    /// A known name (see `wisp models`), hf:OWNER/REPO/FILE.gguf, or an https URL
    #[arg(required_unless_present = "best")]
    pub name: Option<String>,
    /// The best model for conversation that this machine runs: the first of `wisp models --fit`
    #[arg(long, conflicts_with = "name")]
    pub best: bool,
}

#[derive(Debug, Args)]
pub struct Models {
    /// Which models of the catalog this machine runs, best first: in which type, with which
    /// context, and about how fast, by the adapter's measured bandwidth
    #[arg(long)]
    pub fit: bool,
    /// The architectures that this version runs, as `general.architecture` names them
    #[arg(long, conflicts_with = "fit")]
    pub families: bool,
    /// Print one JSON object
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, Args)]
pub struct Rm {
    /// As `wisp models` lists it
    pub name: String,
}
