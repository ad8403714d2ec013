//! 100,000 damaged tokenizer.json, of each kind of model: what is read is read or refused
//! in a sentence, and what was read encodes and decodes without a panic.
#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used)]

use serde_json::{Value as Json, json};
use wisp_base::splitmix64;
use wisp_tokenizer::Tokenizer;

/// Something that should not be there.
fn hostile(random: &mut impl FnMut() -> u64) -> Json {
    const NUMBERS: [i64; 10] = [0, 1, 2, 7, 65, 4097, 1 << 31, u32::MAX as i64, i64::MAX, -1];
    const WORDS: [&str; 8] = ["", "a", "BPE", "ByteLevel", "[UNK]", "Ġ", "##", "("];
    match random() % 6 {
        0 | 1 => json!(NUMBERS[random() as usize % NUMBERS.len()]),
        2 => json!(WORDS[random() as usize % WORDS.len()]),
        3 => [json!(true), json!(false), Json::Null][random() as usize % 3].clone(),
        4 => {
            [json!([]), json!([1, 2]), json!({}), json!(["a", "b"])][random() as usize % 4].clone()
        }
        _ => json!(-1e30),
    }
}

/// One value somewhere within `json` is another; some are gone.
fn damage(json: &mut Json, random: &mut impl FnMut() -> u64) {
    match json {
        Json::Object(object) if !object.is_empty() => {
            let keys: Vec<String> = object.keys().cloned().collect();
            let key = &keys[random() as usize % keys.len()];
            if random().is_multiple_of(8) {
                object.remove(key);
            } else {
                damage(&mut object[key], random);
            }
        }
        Json::Array(list) if !list.is_empty() && !random().is_multiple_of(8) => {
            let at = random() as usize % list.len();
            damage(&mut list[at], random);
        }
        other => *other = hostile(random),
    }
}

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
        damage(&mut file, random);
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
