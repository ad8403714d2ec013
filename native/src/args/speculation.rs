//! Speculative decoding, as flags.

use clap::Args;

/// Flags that `chat` and `generate` share.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Speed")]
pub struct Speculative {
    /// Draft tokens from what the text repeats, and check them in the same step; the tokens stay
    /// the same. Paused while that is not faster
    #[arg(long)]
    pub lookup: bool,
    /// As --lookup, with draft tokens by a smaller model that has the same vocabulary
    #[arg(long, value_name = "MODEL", conflicts_with = "lookup")]
    pub draft: Option<String>,
}

impl Speculative {
    /// Whether any was asked for.
    pub fn is_on(&self) -> bool {
        self.lookup || self.draft.is_some()
    }
}
