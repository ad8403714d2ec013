//! Settings of config.json against PyTorch: families' tiny checkpoints with other settings than
//! their own, or without some, which are then as transformers' classes have them. The data:
//! `golden/make_settings.py`.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::path::Path;

use pollster::block_on;
use serde_json::{Map, Value as Json};
use wisp_runtime::EngineOptions;
use wisp_tests::hub::{families, folder};
use wisp_tests::{load_from, npy, relative_l2};

#[test]
fn every_setting_agrees_with_pytorch() {
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("golden");
    let listed: Json =
        serde_json::from_slice(&std::fs::read(golden.join("settings.json")).unwrap()).unwrap();
    let rows: Vec<usize> = serde_json::from_value(listed["rows"].clone()).unwrap();
    let (families, mut wrong) = (families(), Vec::new());
    let variants = listed["variants"].as_object().unwrap();
    for (at, (name, variant)) in variants.iter().enumerate() {
        let family = families.iter().find(|family| family.name == variant["family"]).unwrap();
        let mut config = family.config(variant["settings"].as_object().unwrap_or(&Map::new()));
        for key in variant["without"].as_array().unwrap() {
            config.as_object_mut().unwrap().remove(key.as_str().unwrap());
        }
        let tokens: Vec<u32> = serde_json::from_value(family.golden["tokens"].clone()).unwrap();
        // f32 variants in turn.
        let caps = ["f16=off", "subgroups=off,f16=off"][at % 2].to_owned();
        let options = EngineOptions { caps, ctx: Some(128), ..EngineOptions::default() };
        let (mut engine, notes) = match load_from(&folder(&config, &family.tensors()), options) {
            Ok(loaded) => loaded,
            Err(why) => {
                wrong.push(format!("{name}: {why}"));
                continue;
            }
        };
        let told = notes.iter().find(|note| note.contains("config.json"));
        let all = block_on(engine.logits(&tokens, true, None)).unwrap();
        let want = npy(&golden.join(format!("settings/{name}.npy")));
        let cols = want.len() / rows.len();
        let error = rows.iter().zip(want.chunks_exact(cols)).map(|(row, want)| {
            let size: f64 = want.iter().map(|w| f64::from(*w).powi(2)).sum();
            relative_l2(&all[row * cols..(row + 1) * cols], want, size.sqrt())
        });
        let error = error.fold(0.0, f64::max);
        println!("{name:30} {error:.1e}");
        if error > 1e-4 || told.is_some() {
            wrong.push(format!("{name}: {error:e}, {notes:?}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(variants.len() >= 40);
}
