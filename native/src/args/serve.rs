//! `wisp serve`, as typed.

use super::parse;
use clap::Args;

/// A server for clients of OpenAI, Anthropic and Ollama.
///
/// Requests are answered together, up to --parallel of a model at once, and share the computed
/// beginnings of their prompts. OpenAI's paths: /v1/chat/completions, /v1/completions,
/// /v1/embeddings, /v1/responses, /v1/models; Anthropic's: /v1/messages,
/// /v1/messages/count_tokens; Ollama's: /api/chat, /api/generate, /api/embed, /api/tags,
/// /api/show, /api/ps, /api/version; besides /tokenize, /detokenize, /apply-template, /health,
/// /props and /metrics.
///
/// Ctrl-C or SIGTERM ends it when the answers under way are ready, and a second one at once.
#[derive(Debug, Args)]
pub struct Serve {
    /// The first is loaded at the start, others when they are first asked for: by the names of their
    /// files without the ending [default: smollm2-135m]
    #[arg(value_name = "MODEL")]
    pub models: Vec<String>,
    /// The address to listen on; on any other than this machine's own an --api-key is needed
    #[arg(long, value_name = "HOST", default_value = "127.0.0.1", value_parser = parse::text)]
    pub host: String,
    /// The port to listen on; 0 takes one that is free
    #[arg(long, value_name = "PORT", default_value_t = 8080)]
    pub port: u16,
    /// Clients must send this key, as `Authorization: Bearer KEY`
    #[arg(long, env = "WISP_API_KEY", value_name = "KEY", hide_env_values = true)]
    #[arg(value_parser = parse::text)]
    pub api_key: Option<String>,
    /// Pages of this origin (scheme, host and port) may ask; several allowed, and * is all
    #[arg(long, value_name = "ORIGIN", value_parser = parse::text)]
    pub cors: Vec<String>,
    /// Requests answered at once, for each model
    #[arg(long, value_name = "N", default_value_t = 8, value_parser = parse::positive)]
    pub parallel: usize,
    /// Requests that may wait beside those, for each model; more are told to come back
    #[arg(long, value_name = "N", default_value_t = 64)]
    pub queue: usize,
}
