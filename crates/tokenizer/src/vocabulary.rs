//! What a file says of its tokenizer, as plain data.

/// What a GGUF file says of its tokenizer (`tokenizer.ggml.*`), or what a front
/// end fills in.
#[derive(Debug, Clone, Default)]
pub struct Vocabulary {
    /// `tokenizer.ggml.model`. `"gpt2"`, byte-level BPE, is the one that can be used.
    pub model: String,
    /// `tokenizer.ggml.pre`: how text is split before BPE. None is `default`.
    pub pre: Option<String>,
    /// The text of each token; its index is its id.
    pub tokens: Vec<String>,
    /// ggml's token types: 1 normal, 2 unknown, 3 control, 4 user-defined,
    /// 5 unused, 6 byte. Empty: all are normal.
    pub types: Vec<i32>,
    /// `"a b"`: the tokens `a` and `b` are joined; earlier ones first.
    pub merges: Vec<String>,
    /// Begin of sequence.
    pub bos: Option<u32>,
    /// End of sequence.
    pub eos: Option<u32>,
    /// End of turn.
    pub eot: Option<u32>,
    /// End of message.
    pub eom: Option<u32>,
    /// Unknown; byte-level BPE has no use for it.
    pub unk: Option<u32>,
    /// Padding.
    pub pad: Option<u32>,
    /// Whether text begins with `bos`.
    pub add_bos: bool,
    /// Whether text ends with `eos`.
    pub add_eos: bool,
    /// For tokenizers that are not byte-level BPE; llama.cpp ignores it for these.
    pub add_space_prefix: bool,
    /// `tokenizer.chat_template`: Jinja source.
    pub chat_template: Option<String>,
}
