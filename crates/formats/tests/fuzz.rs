//! 100,000 damaged headers: no panic, and no more memory than the file's size
//! explains. With `WISP_TEST_MODEL=model.gguf`, damages that header too.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use counting::{Counting, peak};
use wisp_base::{Format, Result};
use wisp_formats::{Array, FileSource, Gguf, GgufWriter, LocalFuture, Safetensors, Source, Value};

#[path = "../../../tests/src/counting.rs"]
mod counting;

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// splitmix64
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e3779b97f4a7c15);
        let a = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58476d1ce4e5b9);
        let b = (a ^ (a >> 27)).wrapping_mul(0x94d049bb133111eb);
        b ^ (b >> 31)
    }

    fn below(&mut self, end: usize) -> usize {
        (self.next() % end.max(1) as u64) as usize
    }
}

/// A damaged header at the start of a file of `len` bytes, zeros after it.
struct Damaged<'a> {
    header: &'a [u8],
    len: u64,
}

impl Source for Damaged<'_> {
    fn name(&self) -> &str {
        "damaged.gguf"
    }

    fn len(&self) -> u64 {
        self.len
    }

    fn read<'a>(&'a self, offset: u64, into: &'a mut [u8]) -> LocalFuture<'a, Result<()>> {
        assert!(offset.checked_add(into.len() as u64).is_some_and(|end| end <= self.len));
        into.fill(0);
        let rest = self.header.get(offset as usize..).unwrap_or_default();
        for (into, byte) in into.iter_mut().zip(rest) {
            *into = *byte;
        }
        Box::pin(std::future::ready(Ok(())))
    }
}

const NUMBERS: [u64; 14] = [
    0,
    1,
    2,
    9,
    31,
    255,
    1 << 16,
    1 << 31,
    u32::MAX as u64,
    1 << 32,
    1 << 60,
    i64::MAX as u64,
    u64::MAX - 31,
    u64::MAX,
];

/// One to four wounds. `other` is spliced from.
fn damage(random: &mut Random, header: &mut Vec<u8>, other: &[u8]) {
    for _ in 0..=random.below(4) {
        let at = place(random, header.len());
        let number = NUMBERS[random.below(NUMBERS.len())].to_le_bytes();
        match random.below(8) {
            0 => header[at] ^= 1 << random.below(8),
            1 => header[at] = random.next() as u8,
            2 => overwrite(header, at, &number),
            3 => overwrite(header, at, &number[..4]),
            4 if random.below(4) == 0 => header.truncate(at.max(1)),
            4 => overwrite(header, at & !7, &(random.next() >> random.below(64)).to_le_bytes()),
            5 => {
                let end = (at + random.below(32)).min(header.len() - 1);
                header.drain(at.min(end)..end);
            }
            6 => {
                let from = random.below(other.len());
                let piece = &other[from..(from + random.below(64)).min(other.len())];
                header.splice(at..at, piece.iter().copied());
            }
            _ => {
                let from = random.below(other.len());
                let piece = &other[from..(from + random.below(64)).min(other.len())];
                overwrite(header, at, piece);
            }
        }
    }
}

/// Anywhere; in a long header, whose middle is all vocabulary, more often near
/// its two ends, where keys and tensors are.
fn place(random: &mut Random, len: usize) -> usize {
    match random.below(3) {
        0 if len > 65536 => random.below(4096),
        1 if len > 65536 => len - 1 - random.below(20_000),
        _ => random.below(len),
    }
}

fn overwrite(header: &mut [u8], at: usize, bytes: &[u8]) {
    for (into, byte) in header.iter_mut().skip(at).zip(bytes) {
        *into = *byte;
    }
}

/// As [`try_read`], for a safetensors file.
fn try_safetensors(header: &[u8], len: u64) -> bool {
    let source = Damaged { header, len };
    let (result, peak) = peak(|| pollster::block_on(Safetensors::read(&source, "damaged", 0, len)));
    // The header, and entries of a few bytes each in a tree and then in a list.
    assert!(peak as u64 <= 65536 + 64 * len, "{peak} bytes of memory for a file of {len}");
    let Ok(read) = result else { return false };
    for tensor in &read.tensors {
        assert!(tensor.offset >= 8 && tensor.offset + tensor.bytes <= len);
        assert_eq!(tensor.numbers() * tensor.dtype.bitsize() as u64, tensor.bytes * 8);
    }
    true
}

fn safetensors_seed() -> Vec<u8> {
    let header = br#"{"__metadata__":{"format":"pt"},"a.weight":{"dtype":"F32","shape":[2,3],
        "data_offsets":[0,24]},"b":{"dtype":"BF16","shape":[4],"data_offsets":[24,32]},
        "c":{"dtype":"F8_E4M3","shape":[],"data_offsets":[32,33]},
        "d":{"dtype":"I32","shape":[0,7],"data_offsets":[33,33]}}"#;
    [&(header.len() as u64).to_le_bytes()[..], header, &[7; 33]].concat()
}

/// Reads `header`; whether it was accepted.
fn try_read(header: &[u8], len: u64) -> bool {
    let source = Damaged { header, len };
    let (result, peak) = peak(|| pollster::block_on(Gguf::read(&source)));
    // A chunk, and a constant factor. The worst is a key of a few bytes with a truth
    // value: two copies of the key, an entry of 64 bytes and a slot of the index, in
    // tables of which old and new both live while they double.
    let most = len.min(1 << 20) + 16 * len.min(128 << 20) + 65536;
    assert!(peak as u64 <= most, "{peak} bytes of memory for a file of {len}");
    let Ok(gguf) = result else { return false };
    for tensor in &gguf.tensors {
        assert!(tensor.offset >= gguf.data_offset && tensor.offset + tensor.bytes <= len);
        assert_eq!(tensor.cols() * tensor.rows(), tensor.weights());
    }
    for (_, value) in gguf.metadata.iter() {
        assert!(value.to_string().len() < 100_000);
    }
    true
}

fn seeds() -> Vec<Vec<u8>> {
    let strings = |texts: &[&str]| Array::String(texts.iter().map(|t| t.to_string()).collect());
    let all = GgufWriter::new()
        .metadata("general.architecture", "llama")
        .metadata("a", Value::U8(1))
        .metadata("b", Value::I8(-1))
        .metadata("c", Value::U16(1))
        .metadata("d", Value::I16(-1))
        .metadata("e", Value::U32(1))
        .metadata("f", Value::I32(-1))
        .metadata("g", Value::F32(1.0))
        .metadata("h", Value::Bool(true))
        .metadata("i", Value::U64(1))
        .metadata("j", Value::I64(-1))
        .metadata("k", Value::F64(1.0))
        .metadata("general.alignment", Value::U32(64))
        .metadata("tokens", strings(&["<s>", "", "é", "Ġthe"]))
        .metadata("scores", Array::F32(vec![0.0; 7]))
        .metadata("types", Array::I32(vec![1; 5]))
        .metadata("bools", Array::Bool(vec![true, false]))
        .metadata("bytes", Array::U8(vec![3; 9]))
        .metadata("longs", Array::U64(vec![3; 3]))
        .metadata(
            "nested",
            Array::Nested(vec![
                Array::U16(vec![1, 2]),
                Array::Nested(vec![strings(&["x"]), Array::F64(vec![])]),
            ]),
        )
        .tensor("token_embd.weight", [32, 3], Format::Q4_1, vec![1; 60])
        .tensor("blk.0.attn_q.weight", [64, 2], Format::Q8_0, vec![2; 136])
        .tensor("blk.0.attn_norm.weight", [5], Format::F32, vec![3; 20])
        .tensor("x", [3, 2, 2, 1], Format::BF16, vec![4; 24]);
    let few = GgufWriter::new()
        .metadata("general.architecture", "qwen2")
        .metadata("tokenizer.ggml.tokens", strings(&["a", "b", "c"]))
        .tensor("a", [32], Format::Q4_0, vec![0; 18])
        .tensor("b", [2, 2], Format::F16, vec![0; 8]);
    let tiny = GgufWriter::new().metadata("k", 1u32);
    let mut files: Vec<_> = [all, few, tiny].map(|writer| writer.finish().unwrap()).into();
    let part = |number: u16| {
        GgufWriter::new()
            .metadata("split.no", Value::U16(number))
            .metadata("split.count", Value::U16(2))
            .metadata("split.tensors.count", Value::I32(2))
            .tensor(format!("t{number}"), [3, 2], Format::F16, vec![1; 12])
            .finish()
            .unwrap()
    };
    // Two files of one model, one behind the other.
    files.push([part(0), part(1)].concat());
    files
}

/// Whole files of the things that take the most memory for their bytes.
fn worst() -> Vec<(&'static str, Vec<u8>)> {
    let one = |array: Array| GgufWriter::new().metadata("k", array).finish().unwrap();
    // Just past a power of two: vectors have just doubled.
    let many = (1 << 18) + 1;
    let mut entries = GgufWriter::new();
    let mut tensors = GgufWriter::new();
    for index in 0..(1 << 15) + 1 {
        entries = entries.metadata(format!("{index:x}"), true);
        tensors = tensors.tensor(format!("{index:x}"), [1], Format::F32, vec![0; 4]);
    }
    vec![
        ("empty strings", one(Array::String(vec![String::new(); many]))),
        ("one-byte strings", one(Array::String(vec!["x".into(); many]))),
        ("empty arrays", one(Array::Nested(vec![Array::U8(vec![]); many]))),
        ("one-byte arrays", one(Array::Nested(vec![Array::U8(vec![0]); many]))),
        ("entries", entries.finish().unwrap()),
        ("tensors", tensors.finish().unwrap()),
    ]
}

/// Whether a damaged file of this length was accepted.
type Try = fn(&[u8], u64) -> bool;

fn run(try_read: Try, seeds: &[(Vec<u8>, u64)], inputs: usize) {
    let mut random = Random(2);
    let mut accepted = 0;
    for (seed, len) in seeds {
        assert!(try_read(seed, *len), "a seed must be whole");
    }
    let mut header = Vec::new();
    for _ in 0..inputs {
        let (seed, len) = &seeds[random.below(seeds.len())];
        let (other, _) = &seeds[random.below(seeds.len())];
        header.clone_from(seed);
        damage(&mut random, &mut header, other);
        // Sometimes the data shrinks or grows with the header, sometimes not.
        let len = if random.below(2) == 0 { (*len).max(header.len() as u64) } else { *len };
        let len = if header.len() < seed.len() { header.len() as u64 } else { len };
        accepted += usize::from(try_read(&header, len));
    }
    // Else the wounds are too deep to reach what comes late in a header.
    assert!(accepted > inputs / 100, "only {accepted} of {inputs} were accepted");
    println!("{accepted} of {inputs} accepted");
}

#[test]
fn damaged_headers_neither_panic_nor_take_memory() {
    let made: Vec<_> = seeds().into_iter().map(|file| (file.clone(), file.len() as u64)).collect();
    run(try_read, &made, 100_000);
    let seed = safetensors_seed();
    let len = seed.len() as u64;
    run(try_safetensors, &[(seed, len)], 100_000);
    for (what, file) in worst() {
        assert!(try_read(&file, file.len() as u64), "{what}");
    }
    let Some(path) = std::env::var_os("WISP_TEST_MODEL") else { return };
    let file = FileSource::open(path).unwrap();
    let gguf = pollster::block_on(Gguf::read(&file)).unwrap();
    let mut header = vec![0; gguf.data_offset as usize];
    pollster::block_on(file.read(0, &mut header)).unwrap();
    run(try_read, &[(header, file.len())], 500);
}
