//! A vocabulary for weights that nobody trained: a token for each byte, and names for the rest.

use super::keys;
use super::tokens::{CONTROL, NORMAL, UNUSED};
use wisp_formats::Value;
use wisp_tokenizer::Vocabulary;

/// `tokenizer.*` keys of a byte-level BPE with so many tokens, one merge among them: engines
/// want to see some.
pub fn filler(rows: usize) -> Vec<(String, Value)> {
    let texts = byte_letters().chain(["<s>".into(), "</s>".into(), "Ġt".into()]);
    let bos = 256;
    let types = (0..rows).map(|id| match id {
        256 | 257 => CONTROL,
        0..=258 => NORMAL,
        _ => UNUSED,
    });
    let vocabulary = Vocabulary {
        model: "gpt2".into(),
        pre: Some("gpt-2".into()),
        types: types.collect(),
        tokens: texts.chain((259..).map(|id| format!("[PAD{id}]"))).take(rows).collect(),
        merges: vec!["Ġ t".into()],
        bos: Some(bos),
        eos: Some(bos + 1),
        add_bos: Some(false),
        ..Vocabulary::default()
    };
    keys::of(vocabulary, None)
}

/// The letter that GPT-2's byte-level BPE has for each byte: itself if it can be seen, else the
/// next from U+0100 on.
fn byte_letters() -> impl Iterator<Item = String> {
    let mut next = '\u{100}'..;
    (0..=255u8).filter_map(move |byte| match byte {
        b'!'..=b'~' | 0xa1..=0xac | 0xae..=0xff => Some(char::from(byte).into()),
        _ => next.next().map(String::from),
    })
}
