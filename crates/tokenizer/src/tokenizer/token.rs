//! A token of a vocabulary.

/// One token; its index is its id.
#[derive(Debug, Clone)]
pub(crate) struct Token {
    pub(crate) text: String,
    pub(crate) kind: Kind,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Its text is in the vocabulary's code (GPT-2's table, for byte-level BPE).
    Normal,
    /// The same, but unigram spells no text with it: it fills up the vocabulary.
    Unused,
    /// Literal text, always recognised.
    UserDefined,
    /// Literal text, recognised and printed only where that is asked for.
    Control,
    /// No token has this id.
    Missing,
}

impl Token {
    pub(crate) fn is_control(&self) -> bool {
        self.kind == Kind::Control
    }
}
