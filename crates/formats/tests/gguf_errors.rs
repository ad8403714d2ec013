//! Every way in which a GGUF file can be wrong gives its own sentence.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use wisp_base::{Error, Format};
use wisp_formats::{BytesSource, Gguf, GgufWriter, Value};

fn error(bytes: Vec<u8>) -> Error {
    pollster::block_on(Gguf::read(&BytesSource::new("t.gguf", bytes))).unwrap_err()
}

#[track_caller]
fn says(bytes: Vec<u8>, sentence: &str) {
    assert_eq!(error(bytes).to_string(), sentence);
}

/// Writes headers, right or wrong.
#[derive(Clone, Default)]
struct Raw(Vec<u8>);

impl Raw {
    fn start(version: u32, tensors: u64, entries: u64) -> Self {
        Self(b"GGUF".to_vec()).u32(version).u64(tensors).u64(entries)
    }

    fn u32(mut self, value: u32) -> Self {
        self.0.extend(value.to_le_bytes());
        self
    }

    fn u64(mut self, value: u64) -> Self {
        self.0.extend(value.to_le_bytes());
        self
    }

    fn text(self, text: &[u8]) -> Self {
        let mut raw = self.u64(text.len() as u64);
        raw.0.extend(text);
        raw
    }

    fn tensor(self, name: &[u8], shape: &[u64], kind: u32, offset: u64) -> Self {
        let raw = self.text(name).u32(shape.len() as u32);
        shape.iter().fold(raw, |raw, dim| raw.u64(*dim)).u32(kind).u64(offset)
    }

    /// Pads the header to 32, then adds zeros for data.
    fn data(mut self, bytes: usize) -> Vec<u8> {
        let header = self.0.len().next_multiple_of(32);
        self.0.resize(header + bytes, 0);
        self.0
    }
}

/// One tensor, 1 KiB of data.
fn one_tensor(name: &[u8], shape: &[u64], kind: u32, offset: u64) -> Vec<u8> {
    Raw::start(3, 1, 0).tensor(name, shape, kind, offset).data(1024)
}

#[test]
fn not_a_gguf() {
    let with = |begins: &str| {
        format!(
            "t.gguf is not a GGUF file: it begins with \"{begins}\", not \"GGUF\"; give the path \
             of a .gguf file"
        )
    };
    says(b"PK\x03\x04 and more".to_vec(), &with(r"PK\x03\x04"));
    says(b"GG".to_vec(), &with("GG"));
    says(vec![], &with(""));
}

#[test]
fn unsupported_versions() {
    let with = |version| {
        format!(
            "t.gguf is a GGUF file of version {version}, but this version of wisp reads 2 and 3: \
             convert the model again"
        )
    };
    for version in [0, 1, 4, 0xffffffff] {
        says(Raw::start(version, 0, 0).0, &with(version));
    }
    assert!(matches!(error(Raw::start(1, 0, 0).0), Error::Unsupported(_)));
    says(
        Raw::start(3u32.swap_bytes(), 0, 0).0,
        "t.gguf is a big-endian GGUF file, which this version does not read: convert it with \
         gguf_convert_endian.py or use a little-endian file",
    );
}

#[test]
fn truncated_header() {
    says(
        Raw::start(3, 0, 0).0[..20].to_vec(),
        "t.gguf: the header is cut short: 8 bytes are wanted at byte 16, but 4 are left; the file \
         is truncated, download it again",
    );
    let whole = GgufWriter::new()
        .metadata("general.name", "name")
        .tensor("a.weight", [8], Format::F32, vec![0; 32])
        .finish()
        .unwrap();
    assert!(pollster::block_on(Gguf::read(&BytesSource::new("t", whole.clone()))).is_ok());
    for length in 0..whole.len() {
        error(whole[..length].to_vec());
    }
}

#[test]
fn truncated_data() {
    let file = one_tensor(b"a", &[256], 0, 0);
    let length = file.len();
    says(
        file[..length - 1].to_vec(),
        &format!(
            "t.gguf: tensor a takes 1024 bytes at offset 0 of the data, past the end of the file \
             at byte {}: the file is truncated; download it again",
            length - 1
        ),
    );
    says(
        one_tensor(b"a", &[1], 0, u64::MAX - 31),
        "t.gguf: tensor a takes 4 bytes at offset 18446744073709551584 of the data, past the end \
         of the file at byte 1088: the file is truncated; download it again",
    );
}

#[test]
fn huge_counts() {
    let with = |context: &str, count: u64, what: &str, most: u64, left: u64| {
        format!(
            "t.gguf: {context} claims {count} {what}, but at most {most} fit in the {left} bytes \
             that may follow: the file is damaged or truncated; download it again"
        )
    };
    says(Raw::start(3, u64::MAX, 0).0, &with("the header", u64::MAX, "tensors", 0, 8));
    says(Raw::start(3, 0, 1 << 40).0, &with("the header", 1 << 40, "metadata entries", 0, 0));
    says(
        Raw::start(3, 0, 1).u64(u64::MAX).u64(0).0,
        &with("metadata entry 0", u64::MAX, "bytes of text", 8, 8),
    );
    let key = || Raw::start(3, 0, 1).text(b"k");
    says(
        key().u32(8).u64(1 << 63).u64(0).0,
        &with("metadata key k", 1 << 63, "bytes of text", 8, 8),
    );
    // (element type, bytes that an element takes at least)
    for (kind, least) in [(0, 1), (2, 2), (4, 4), (7, 1), (8, 8), (9, 12), (10, 8), (12, 8)] {
        for count in [33, 1 << 61, u64::MAX] {
            says(
                key().u32(9).u32(kind).u64(count).u64(0).u64(0).u64(0).u64(0).0,
                &with("metadata key k", count, "array elements", 32 / least, 32),
            );
        }
    }
}

#[test]
fn overlapping_tensors() {
    says(
        Raw::start(3, 3, 0)
            .tensor(b"a", &[8], 0, 0)
            .tensor(b"c", &[16], 0, 64)
            .tensor(b"b", &[9], 0, 32)
            .data(128),
        "t.gguf: tensor b and tensor c overlap at byte 192: the file is damaged; download it again",
    );
    // In any order, and with a gap, is fine.
    let apart = Raw::start(3, 2, 0).tensor(b"a", &[8], 0, 96).tensor(b"b", &[8], 0, 0).data(128);
    assert!(pollster::block_on(Gguf::read(&BytesSource::new("t", apart))).is_ok());
}

#[test]
fn unaligned_tensor() {
    says(
        one_tensor(b"a", &[8], 0, 4),
        "t.gguf: tensor a is at offset 4, which is not a multiple of the alignment 32: the file \
         is damaged; convert or download it again",
    );
}

#[test]
fn wrong_alignment() {
    for (value, shown) in
        [(Value::U32(0), "0"), (Value::I32(-8), "-8"), (12u32.into(), "12"), ("x".into(), "\"x\"")]
    {
        let mut file = GgufWriter::new().metadata("general.alignmenT", value).finish().unwrap();
        let at = file.windows(17).position(|w| w == b"general.alignmenT").unwrap();
        file[at + 16] = b't';
        says(
            file,
            &format!(
                "t.gguf: general.alignment is {shown}, but must be a multiple of 8, and not 0: \
                 convert the model again"
            ),
        );
    }
}

#[test]
fn unknown_tensor_types() {
    says(
        one_tensor(b"blk.0.attn_q.weight", &[256], 15, 0),
        "t.gguf: tensor blk.0.attn_q.weight is stored as Q8_K, which this version does not read \
         as weights: use a file in another format",
    );
    for kind in [4, 99, u32::MAX] {
        let file = one_tensor(b"a", &[256], kind, 0);
        assert!(matches!(error(file.clone()), Error::Unsupported(_)));
        says(
            file,
            &format!(
                "t.gguf: tensor a is stored as type {kind}, which ggml does not have: the file \
                 is damaged, or newer than this version"
            ),
        );
    }
}

#[test]
fn unknown_metadata_types() {
    let sentence = "t.gguf: metadata key k has a value of type 13, which GGUF does not have: the \
                    file is damaged, or newer than this version";
    says(Raw::start(3, 0, 1).text(b"k").u32(13).u64(0).0, sentence);
    says(Raw::start(3, 0, 1).text(b"k").u32(9).u32(13).u64(0).0, sentence);
}

#[test]
fn nested_too_deep() {
    let nested = |depth: usize| {
        let raw = Raw::start(3, 0, 1).text(b"k").u32(9);
        (1..depth).fold(raw, |raw, _| raw.u32(9).u64(1)).u32(0).u64(0).0
    };
    assert!(pollster::block_on(Gguf::read(&BytesSource::new("t", nested(4)))).is_ok());
    for depth in [5, 5000] {
        says(
            nested(depth),
            "t.gguf: metadata key k has arrays nested more than 4 deep, which no model needs: \
             the file is damaged; download it again",
        );
    }
}

#[test]
fn a_truth_value_that_is_neither() {
    let mut file = Raw::start(3, 0, 1).text(b"k").u32(7).0;
    file.push(2);
    says(
        file,
        "t.gguf: metadata key k has a truth value of 2, neither 0 nor 1: the file is damaged; \
         download it again",
    );
}

#[test]
fn duplicates() {
    says(
        Raw::start(3, 2, 0).tensor(b"a", &[8], 0, 0).tensor(b"a", &[8], 0, 32).data(64),
        "t.gguf: tensor a is there twice: the file is damaged; download it again",
    );
    says(
        Raw::start(3, 0, 2).text(b"k").u32(4).u32(1).text(b"k").u32(4).u32(2).0,
        "t.gguf: metadata key k is there twice: the file is damaged; download it again",
    );
}

#[test]
fn wrong_shapes() {
    let with = |why: &str| {
        format!("t.gguf: tensor a {why}: the file is damaged; convert or download it again")
    };
    for dims in [0, 5, u32::MAX] {
        let raw = Raw::start(3, 1, 0).text(b"a").u32(dims);
        says(
            raw.data(1024),
            &format!(
                "t.gguf: tensor a has {dims} dimensions, but 1 to 4 are allowed: the file is \
                 damaged; download it again"
            ),
        );
    }
    says(one_tensor(b"a", &[8, 0], 0, 0), &with("has a dimension of 0 in its shape [8, 0]"));
    for shape in [vec![1 << 32, 1 << 32], vec![1 << 31, 1 << 31], vec![u64::MAX, 1, 1, 2]] {
        says(
            one_tensor(b"a", &shape, 0, 0),
            &with(&format!("has the shape {shape:?}, which overflows 64 bits")),
        );
    }
    says(
        one_tensor(b"a", &[48, 2], 8, 0),
        &with("has rows of 48 weights, which are not whole blocks of Q8_0 (32 a block)"),
    );
}

#[test]
fn names_that_are_not_utf8() {
    says(
        one_tensor(b"a\xff", &[8], 0, 0),
        "t.gguf: tensor 0 has a name that is not UTF-8 (a\u{fffd}): the file is damaged; download \
         it again",
    );
    says(
        Raw::start(3, 0, 1).text(b"\xc3k").u32(4).u32(1).0,
        "t.gguf: metadata entry 0 has a key that is not UTF-8 (\u{fffd}k): the file is damaged; \
         download it again",
    );
}

/// Names reach messages printable and cut.
#[test]
fn names_are_shown_safely() {
    let mut name = b"\x1b[31m\n".to_vec();
    name.extend([b'x'; 1000]);
    let sentence = error(one_tensor(&name, &[0], 0, 0)).to_string();
    assert!(sentence.contains(r"tensor \u{1b}[31m\nxxx"), "{sentence}");
    assert!(!sentence.contains('\n') && sentence.len() < 300, "{sentence}");
}
