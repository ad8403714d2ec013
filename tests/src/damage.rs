//! JSON that is wrong in places, for tests of readers. `crates/tokenizer/tests` includes this
//! file too.

use serde_json::{Value as Json, json};

/// Something that a value should not be.
fn hostile(words: &[&str], random: &mut impl FnMut() -> u64) -> Json {
    const NUMBERS: [i64; 14] =
        [0, 1, 2, 3, 7, 63, 65, 4097, 1 << 20, 1 << 31, u32::MAX as i64, 1 << 40, i64::MAX, -1];
    match random() % 8 {
        0..=3 => json!(NUMBERS[random() as usize % NUMBERS.len()]),
        4 => json!([1e-30, 1e30, 0.5, -2.5, 1e308][random() as usize % 5]),
        5 => json!(words[random() as usize % words.len()]),
        6 => [json!(true), json!(false), Json::Null][random() as usize % 3].clone(),
        _ => [json!([]), json!([1, 2]), json!({}), json!(["x"])][random() as usize % 4].clone(),
    }
}

/// One value somewhere within `json` is another, perhaps one of `words`; or it is gone.
pub fn damage(json: &mut Json, words: &[&str], random: &mut impl FnMut() -> u64) {
    match json {
        Json::Object(object) if !object.is_empty() => {
            let keys: Vec<String> = object.keys().cloned().collect();
            let key = &keys[random() as usize % keys.len()];
            if random().is_multiple_of(8) {
                object.remove(key);
            } else {
                damage(&mut object[key], words, random);
            }
        }
        Json::Array(list) if !list.is_empty() && !random().is_multiple_of(4) => {
            let at = random() as usize % list.len();
            damage(&mut list[at], words, random);
        }
        other => *other = hostile(words, random),
    }
}
