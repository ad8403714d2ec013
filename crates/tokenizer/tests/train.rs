//! Training, beside a plain program that does the same.
#![allow(clippy::expect_used, clippy::unwrap_used)]

use serde_json::Value;
use std::collections::{BTreeMap, HashMap};
use wisp_tokenizer::{Tokenizer, train};

const TEXT: &str = "low lower lowest new newer newest wide wider widest. It's 2024; we'll go low, low!\n\
    \tfor (let i = 0; i < 10; i++) { sum += i; }\n\nnaïve café 你好 你好 👩‍🚀 low newest\n";

/// GPT-2's words of `TEXT`, by hand: a word takes the space before it with it.
fn words() -> Vec<String> {
    let kind = |c: char| match c {
        c if c.is_alphabetic() => 0,
        c if c.is_numeric() => 1,
        c if c.is_whitespace() => 2,
        _ => 3,
    };
    let mut words = Vec::new();
    let mut rest = TEXT;
    while !rest.is_empty() {
        let contraction = ["'s", "'ll"].into_iter().find(|end| rest.starts_with(end));
        let skip =
            usize::from(rest.starts_with(' ') && !rest[1..].starts_with(char::is_whitespace));
        let first = rest[skip..].chars().next().unwrap();
        let run = |text: &str| text.find(|c| kind(c) != kind(first)).unwrap_or(text.len());
        let mut end = contraction.map_or_else(|| skip + run(&rest[skip..]), str::len);
        if kind(first) == 2 && end < rest.len() && end > 1 {
            // The last white space belongs to what follows.
            end -= 1;
        }
        words.push(rest[..end].to_string());
        rest = &rest[end..];
    }
    words
}

/// The tokens' bytes: the 256 bytes in the order of GPT-2's characters, then what is learnt.
fn naive(vocab: usize) -> (Vec<Vec<u8>>, Vec<(u32, u32)>) {
    let printable = |byte: &u8| matches!(byte, b'!'..=b'~' | 0xa1..=0xac | 0xae..=0xff);
    let (first, last): (Vec<u8>, Vec<u8>) = (0..=255).partition(printable);
    let mut tokens: Vec<Vec<u8>> = first.into_iter().chain(last).map(|byte| vec![byte]).collect();
    let mut ids: HashMap<Vec<u8>, u32> =
        (0..).zip(&tokens).map(|(id, t)| (t.clone(), id)).collect();
    let mut words: Vec<Vec<u32>> =
        words().iter().map(|word| word.bytes().map(|byte| ids[&vec![byte]]).collect()).collect();
    let mut merges = Vec::new();
    while tokens.len() < vocab {
        let mut counts: BTreeMap<(u32, u32), usize> = BTreeMap::new();
        for pair in words.iter().flat_map(|word| word.windows(2)) {
            *counts.entry((pair[0], pair[1])).or_default() += 1;
        }
        let most = *counts.values().max().expect("a pair");
        let pair = *counts.iter().find(|(_, count)| **count == most).unwrap().0;
        let merged = [&tokens[pair.0 as usize][..], &tokens[pair.1 as usize]].concat();
        let id = *ids.entry(merged.clone()).or_insert_with(|| {
            tokens.push(merged);
            tokens.len() as u32 - 1
        });
        merges.push(pair);
        for word in &mut words {
            let mut at = 0;
            while at + 1 < word.len() {
                if (word[at], word[at + 1]) == pair {
                    word.splice(at..at + 2, [id]);
                }
                at += 1;
            }
        }
    }
    (tokens, merges)
}

#[test]
fn what_is_learnt_is_what_a_plain_program_learns() {
    for vocab in [256, 257, 270, 300, 335] {
        let trained = train(TEXT, vocab).expect("a tokenizer");
        let tokenizer = Tokenizer::from_json(trained.as_bytes(), None).expect("ours");
        assert_eq!(tokenizer.vocab_size(), vocab);
        let (tokens, merges) = naive(vocab);
        for (id, bytes) in (0..).zip(&tokens) {
            assert_eq!(tokenizer.token_bytes(id).as_ref(), Some(bytes), "{vocab}: token {id}");
        }
        let json: Value = serde_json::from_str(&trained).unwrap();
        let learnt: Vec<(u32, u32)> = json["model"]["merges"]
            .as_array()
            .unwrap()
            .iter()
            .map(|pair| {
                let id =
                    |side: usize| json["model"]["vocab"][pair[side].as_str().unwrap()].as_u64();
                (id(0).unwrap() as u32, id(1).unwrap() as u32)
            })
            .collect();
        assert_eq!(learnt, merges, "{vocab}");
    }
}

#[test]
fn text_comes_back_and_is_shorter() {
    let trained = train(TEXT, 320).expect("a tokenizer");
    let tokenizer = Tokenizer::from_json(trained.as_bytes(), None).expect("ours");
    let long = TEXT.repeat(2000);
    for text in [TEXT, "", "  \r\n\tÄ\u{0}\u{10ffff} low's", &long] {
        let ids = tokenizer.encode(text.as_bytes(), true, true).expect("ids");
        assert_eq!(tokenizer.decode(&ids, true).expect("text"), text);
        assert!(text != TEXT || ids.len() < text.len() * 2 / 3, "{}", ids.len());
    }
    // Pieces of a long text are no other words than the whole.
    assert_eq!(train(&long, 320).expect("a tokenizer"), trained);
}

#[test]
fn sizes_that_cannot_be_had_are_refused() {
    let says = |text: &str, vocab: usize, part: &str| {
        let why = train(text, vocab).expect_err("an error").to_string();
        assert!(why.contains(part), "{why}");
    };
    says(TEXT, 255, "a vocabulary of 255 tokens is too small: the bytes alone are 256");
    says("", 257, "too few pairs for 257 tokens, at most 256");
    says("aaaa", 300, "too few pairs for 300 tokens, at most 260");
    says("aaaa", 260, "too few pairs for 260 tokens, at most 258");
    says(TEXT, usize::MAX, "too few pairs");
    assert!(train("", 256).is_ok());
}
