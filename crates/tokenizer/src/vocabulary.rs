//! What a file says of its tokenizer, as plain data.

/// What a GGUF file says of its tokenizer (`tokenizer.ggml.*`), or what a front
/// end fills in.
#[derive(Debug, Clone, Default)]
pub struct Vocabulary {
    /// `tokenizer.ggml.model`. `"gpt2"` (byte-level BPE), `"gemma4"` (BPE over
    /// characters), `"llama"` (SentencePiece's BPE), `"t5"` (unigram) or `"bert"` (WordPiece).
    pub model: String,
    /// `tokenizer.ggml.pre`: how text is split before BPE. None is `default`.
    pub pre: Option<String>,
    /// The text of each token; its index is its id.
    pub tokens: Vec<String>,
    /// ggml's token types: 1 normal, 2 unknown, 3 control, 4 user-defined,
    /// 5 unused, 6 byte. Empty: all are normal.
    pub types: Vec<i32>,
    /// The score of each token, for `"llama"` and `"t5"`.
    pub scores: Vec<f32>,
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
    /// Separator: ends BERT's texts.
    pub sep: Option<u32>,
    /// BERT's begin token, where `bos` is not given.
    pub cls: Option<u32>,
    /// Unknown; byte-level BPE has no use for it.
    pub unk: Option<u32>,
    /// Padding.
    pub pad: Option<u32>,
    /// Whether text begins with `bos`. None, here and below: as is usual for the model.
    pub add_bos: Option<bool>,
    /// Whether text ends with `eos`.
    pub add_eos: Option<bool>,
    /// Whether text ends with `sep`.
    pub add_sep: Option<bool>,
    /// Whether a space is put before text; for `"llama"` and `"t5"`.
    pub add_space_prefix: Option<bool>,
    /// Whether a run of spaces is one space; for `"t5"`.
    pub remove_extra_whitespaces: Option<bool>,
    /// `tokenizer.ggml.precompiled_charsmap`, for `"t5"`: what characters become.
    pub charsmap: Vec<u8>,
    /// `tokenizer.chat_template`: Jinja source.
    pub chat_template: Option<String>,
}

impl Vocabulary {
    /// Without special ids that no token has: converters write 2³² - 1 for "none", and llama.cpp
    /// takes such an id as if the file did not have the key.
    pub(crate) fn without_absent_ids(mut self) -> Self {
        let count = self.tokens.len();
        let Self { bos, eos, eot, eom, sep, cls, unk, pad, .. } = &mut self;
        for id in [bos, eos, eot, eom, sep, cls, unk, pad] {
            *id = id.filter(|id| (*id as usize) < count);
        }
        self
    }
}
