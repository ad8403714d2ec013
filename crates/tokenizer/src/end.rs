//! Which tokens end a generation where a file does not say: by their texts, the
//! ones that llama.cpp knows.

use std::collections::BTreeSet;

/// End of a turn, a message or a text.
const ENDS: [&str; 22] = [
    "<|eot_id|>",
    "<|im_end|>",
    "<|end|>",
    "<|return|>",
    "<|call|>",
    "<|flush|>",
    "<|calls|>",
    "<end_of_turn>",
    "<|endoftext|>",
    "</s>",
    "<|eom_id|>",
    "<EOT>",
    "_<EOT>",
    "[EOT]",
    "[EOS]",
    "<|end_of_text|>",
    "<end_of_utterance>",
    "<eos>",
    "<turn|>",
    "<|tool_response>",
    "<｜end▁of▁sentence｜>",
    "[e~[",
];

/// Where code models put the next file or padding: the completion is over.
const NEXT_FILE: [&str; 11] = [
    "<|fim_pad|>",
    "<fim-pad>",
    "<fim_pad>",
    "<PAD>",
    "[PAD]",
    "<|fim_repo|>",
    "<|repo_name|>",
    "<fim-repo>",
    "<REPO>",
    "<reponame>",
    "<|file_sep|>",
];

/// Whether a token of this text is a control token, whatever type a file gives it:
/// some converters mark these as ordinary.
pub(crate) fn is_control(text: &str) -> bool {
    ENDS.contains(&text)
}

/// The ids that end a generation, of a vocabulary's control tokens.
pub(crate) fn ids<'a>(control: impl Iterator<Item = (u32, &'a str)>) -> BTreeSet<u32> {
    let is_known = |text: &str| ENDS.contains(&text) || NEXT_FILE.contains(&text);
    let known: Vec<_> = control.filter(|(_, text)| is_known(text)).collect();
    let has = |wanted: &str| known.iter().any(|(_, text)| *text == wanted);
    // gpt-oss and Solar end a channel with <|end|>, and go on.
    let calls = has("<|call|>") || has("<|calls|>");
    let past_end = calls && has("<|end|>") && (has("<|return|>") || has("<|flush|>"));
    // In Gemma 4 </s> is a piece of HTML.
    let past_s = has("<|tool_response>");
    let goes_on = |text: &str| past_end && text == "<|end|>" || past_s && text == "</s>";
    known.into_iter().filter(|(_, text)| !goes_on(text)).map(|(id, _)| id).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ends_by_text() {
        let of = |texts: &[&'static str]| {
            let texts: Vec<_> = texts.to_vec();
            Vec::from_iter(ids((0..).zip(texts)))
        };
        assert_eq!(of(&["<s>", "<|im_end|>", "<|im_start|>", "<|endoftext|>"]), [1, 3]);
        assert_eq!(of(&["<|end|>", "x"]), [0]);
        assert_eq!(of(&["<|end|>", "<|return|>", "<|call|>"]), [1, 2]);
        assert_eq!(of(&["</s>", "<|tool_response>"]), [1]);
    }
}
