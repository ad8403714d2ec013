//! 100,000 damaged settings of checkpoints, of every family: what is read is read or
//! refused in a sentence, without a panic, and takes no memory that its tensors do not
//! explain.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use pollster::block_on;
use serde_json::Value as Json;
use wisp_base::splitmix64;
use wisp_formats::{BytesSource, FolderSource, LocalFuture, Source};
use wisp_runtime::open;
use wisp_tests::counting::{Counting, peak};
use wisp_tests::damage::damage;
use wisp_tests::hub::families;

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// A file that many folders share.
#[derive(Clone)]
struct Held(std::rc::Rc<BytesSource>);

impl Source for Held {
    fn name(&self) -> &str {
        self.0.name()
    }

    fn len(&self) -> u64 {
        self.0.len()
    }

    fn read<'a>(
        &'a self,
        offset: u64,
        into: &'a mut [u8],
    ) -> LocalFuture<'a, wisp_base::Result<()>> {
        self.0.read(offset, into)
    }
}

const WORDS: [&str; 9] =
    ["", "llama", "yarn", "longrope", "dynamic", "sigmoid", "full_attention", "gelu", "gemma3"];

#[test]
fn damaged_settings_neither_panic_nor_take_memory() {
    let seeds: Vec<(Json, Held)> = families()
        .iter()
        .map(|family| {
            let folder = family.folder();
            let file = |name: &str| {
                let entry = folder.files().iter().find(|file| file.name == name).unwrap();
                let mut bytes = vec![0; entry.len as usize];
                block_on(folder.read(entry.start, &mut bytes)).unwrap();
                bytes
            };
            let tensors = BytesSource::new("model.safetensors", file("model.safetensors"));
            (serde_json::from_slice(&file("config.json")).unwrap(), Held(tensors.into()))
        })
        .collect();
    let mut random = splitmix64(7);
    let mut accepted = 0;
    const INPUTS: usize = 100_000;
    for _ in 0..INPUTS {
        let (config, tensors) = &seeds[random() as usize % seeds.len()];
        let mut config = config.clone();
        for _ in 0..=random() % 3 {
            damage(&mut config, &WORDS, &mut random);
        }
        let bytes = serde_json::to_vec(&config).unwrap();
        let files: Vec<(String, Box<dyn Source>)> = vec![
            ("config.json".into(), Box::new(BytesSource::new("config.json", bytes))),
            ("model.safetensors".into(), Box::new(tensors.clone())),
        ];
        let folder = FolderSource::new("damaged", files).unwrap();
        let (read, peak) =
            peak(|| block_on(open(&folder)).and_then(|checkpoint| wisp_models::read(&checkpoint)));
        assert!(peak < 16 << 20, "{peak} bytes of memory for {config}");
        match read {
            Ok(_) => accepted += 1,
            Err(error) => {
                let error = error.to_string();
                assert!(error.len() < 1000 && !error.contains('\n'), "{error}");
            }
        }
    }
    // Else the wounds are too deep to reach what is read last.
    assert!(accepted > INPUTS / 100, "only {accepted} were accepted");
    println!("{accepted} of {INPUTS} accepted");
}
