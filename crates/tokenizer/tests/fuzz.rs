//! 100,000 damaged tokenizer.json, of each kind of model: what is read is read or refused
//! in a sentence, and what was read encodes and decodes without a panic.
#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used)]

use serde_json::Value as Json;
use wisp_base::splitmix64;
use wisp_tokenizer::Tokenizer;

#[path = "../../../tests/src/damage.rs"]
mod damage;

const WORDS: [&str; 8] = ["", "a", "BPE", "ByteLevel", "[UNK]", "Ġ", "##", "("];

#[test]
fn damaged_tokenizers_do_not_panic() {
    let golden: Json = serde_json::from_str(include_str!("data/tokens.json")).unwrap();
    let seeds: Vec<Json> = golden["json"]
        .as_object()
        .unwrap()
        .values()
        .map(|one| serde_json::from_str(one["file"].as_str().unwrap()).unwrap())
        .collect();
    assert!(seeds.len() >= 2);
    const INPUTS: usize = 100_000;
    const THREADS: usize = 4;
    let part = |seed: usize| {
        let mut random = splitmix64(seed as u64);
        (0..INPUTS / THREADS).filter(|_| is_read(&seeds, &mut random)).count()
    };
    let read: usize = std::thread::scope(|scope| {
        let part = &part;
        let parts: Vec<_> = (0..THREADS).map(|seed| scope.spawn(move || part(seed))).collect();
        parts.into_iter().map(|part| part.join().unwrap()).sum()
    });
    // Else the wounds are too deep to reach what is read last.
    assert!(read > INPUTS / 100, "only {read} were read");
    println!("{read} of {INPUTS} read");
}

/// Damages one of them and tries it; whether it was read all the same.
fn is_read(seeds: &[Json], random: &mut impl FnMut() -> u64) -> bool {
    let mut file = seeds[random() as usize % seeds.len()].clone();
    for _ in 0..=random() % 3 {
        damage::damage(&mut file, &WORDS, random);
    }
    match Tokenizer::from_json(file.to_string().as_bytes(), None) {
        Err(error) => {
            let error = error.to_string();
            assert!(!error.contains('\n') && error.len() < 2000, "{error}");
            false
        }
        Ok(tokenizer) => {
            if let Ok(ids) = tokenizer.encode("Hello wörld 12 <s>".as_bytes(), true, true) {
                let _ = tokenizer.decode(&ids, false);
            }
            true
        }
    }
}
