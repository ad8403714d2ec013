//! 100,000 damaged settings of checkpoints, of every family: what is read is read or
//! refused in a sentence, without a panic, and takes no memory that its tensors do not
//! explain.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
#![allow(unsafe_code)] // the counting allocator

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use pollster::block_on;
use serde_json::{Value as Json, json};
use wisp_base::splitmix64;
use wisp_formats::{BytesSource, FolderSource, LocalFuture, Source};
use wisp_runtime::open;
use wisp_tests::hub::families;

/// Counts the bytes that are allocated, and the most that ever were. One test in this
/// file, so that nothing else counts.
struct Counting;

static NOW: AtomicUsize = AtomicUsize::new(0);
static PEAK: AtomicUsize = AtomicUsize::new(0);

// SAFETY: hands every call to the system's allocator unchanged.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        PEAK.fetch_max(NOW.fetch_add(layout.size(), Relaxed) + layout.size(), Relaxed);
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        NOW.fetch_sub(layout.size(), Relaxed);
        unsafe { System.dealloc(at, layout) }
    }
}

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

/// Something that a setting should not be.
fn hostile(random: &mut impl FnMut() -> u64) -> Json {
    const NUMBERS: [i64; 14] =
        [0, 1, 2, 3, 7, 63, 65, 4097, 1 << 20, 1 << 31, u32::MAX as i64, 1 << 40, i64::MAX, -1];
    match random() % 8 {
        0..=3 => json!(NUMBERS[random() as usize % NUMBERS.len()]),
        4 => json!([1e-30, 1e30, 0.5, -2.5, 1e308][random() as usize % 5]),
        5 => json!(WORDS[random() as usize % WORDS.len()]),
        6 => [json!(true), json!(false), Json::Null][random() as usize % 3].clone(),
        _ => [json!([]), json!([1, 2]), json!({}), json!(["x"])][random() as usize % 4].clone(),
    }
}

/// One setting somewhere within `json` is another; some are gone.
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
        Json::Array(list) if !list.is_empty() && random().is_multiple_of(2) => {
            let at = random() as usize % list.len();
            damage(&mut list[at], random);
        }
        other => *other = hostile(random),
    }
}

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
            damage(&mut config, &mut random);
        }
        let bytes = serde_json::to_vec(&config).unwrap();
        let files: Vec<(String, Box<dyn Source>)> = vec![
            ("config.json".into(), Box::new(BytesSource::new("config.json", bytes))),
            ("model.safetensors".into(), Box::new(tensors.clone())),
        ];
        let folder = FolderSource::new("damaged", files).unwrap();
        let before = NOW.load(Relaxed);
        PEAK.store(before, Relaxed);
        let read = block_on(open(&folder)).and_then(|checkpoint| wisp_models::read(&checkpoint));
        let peak = PEAK.load(Relaxed) - before;
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
