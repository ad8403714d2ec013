//! What the writer writes, the reader reads; and the accessors of metadata.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use wisp_base::{Format, quant};
use wisp_formats::{Array, BytesSource, FileSource, Gguf, GgufWriter, Metadata, Source, Value};

fn read(bytes: Vec<u8>) -> Gguf {
    pollster::block_on(Gguf::read(&BytesSource::new("t.gguf", bytes))).unwrap()
}

fn every_value() -> Vec<(&'static str, Value)> {
    vec![
        ("u8", Value::U8(200)),
        ("i8", Value::I8(-100)),
        ("u16", Value::U16(60000)),
        ("i16", Value::I16(-30000)),
        ("u32", Value::U32(4_000_000_000)),
        ("i32", Value::I32(-2_000_000_000)),
        ("f32", Value::F32(1.5)),
        ("bool", Value::Bool(true)),
        ("string", "smol \"model\" é".into()),
        ("empty string", "".into()),
        ("u64", Value::U64(u64::MAX)),
        ("i64", Value::I64(i64::MIN)),
        ("f64", Value::F64(0.1)),
        ("u8s", Array::U8(vec![1, 2]).into()),
        ("i8s", Array::I8(vec![-1, 2]).into()),
        ("u16s", Array::U16(vec![1, 2]).into()),
        ("i16s", Array::I16(vec![-1, 2]).into()),
        ("u32s", Array::U32(vec![1, 2, 3, 4, 5, 6]).into()),
        ("i32s", Array::I32(vec![-1, 2]).into()),
        ("f32s", Array::F32(vec![0.5, -2.0]).into()),
        ("bools", Array::Bool(vec![true, false]).into()),
        ("strings", Array::String(vec!["a".into(), "\n".into()]).into()),
        ("nested", Array::Nested(vec![Array::U8(vec![1]), Array::Nested(vec![])]).into()),
        ("u64s", Array::U64(vec![1, 2]).into()),
        ("i64s", Array::I64(vec![-1, 2]).into()),
        ("f64s", Array::F64(vec![0.5, -2.0]).into()),
        ("none", Array::U8(vec![]).into()),
    ]
}

#[test]
fn every_metadata_type_comes_back() {
    let mut writer = GgufWriter::new();
    for (key, value) in every_value() {
        writer = writer.metadata(key, value);
    }
    let gguf = read(writer.finish().unwrap());
    assert_eq!(gguf.version, 3);
    assert_eq!(gguf.metadata.len(), every_value().len());
    for ((key, value), (want_key, want)) in gguf.metadata.iter().zip(every_value()) {
        assert_eq!((key, value), (want_key, &want));
        assert_eq!(gguf.metadata.get(key), Some(&want));
    }
    assert!(gguf.tensors.is_empty());
}

#[test]
fn values_have_a_short_form() {
    let short = |key: &str| every_value().iter().find(|(k, _)| *k == key).unwrap().1.to_string();
    assert_eq!(short("i16"), "-30000");
    assert_eq!(short("bool"), "true");
    assert_eq!(short("string"), r#""smol \"model\" é""#);
    assert_eq!(short("u32s"), "[1, 2, 3, 4, … 6 in all]");
    assert_eq!(short("strings"), r#"["a", "\n"]"#);
    assert_eq!(short("nested"), "[[1], []]");
    let long = Value::from("x".repeat(500)).to_string();
    assert!(long.ends_with("x…\"") && long.chars().count() == 83, "{long}");
}

#[test]
fn tensors_of_every_format_come_back() {
    for (alignment, version) in [(None, 3), (Some(64), 2), (Some(8), 3)] {
        let mut writer = GgufWriter::new().metadata("general.name", "t");
        if let Some(alignment) = alignment {
            writer = writer.metadata("general.alignment", Value::U32(alignment));
        }
        let formats = || Format::ALL.into_iter().filter(|format| format.ggml_id().is_some());
        let mut want = Vec::new();
        for format in formats() {
            let bytes = quant::example(format, 1, 768).unwrap();
            want.push(bytes.clone());
            writer = writer.tensor(format!("w.{format}"), [256, 3], format, bytes);
        }
        let mut file = writer.finish().unwrap();
        file[4] = version;
        let source = BytesSource::new("t.gguf", file);
        let gguf = pollster::block_on(Gguf::read(&source)).unwrap();
        assert_eq!(gguf.version, u32::from(version));
        assert_eq!(gguf.alignment, u64::from(alignment.unwrap_or(32)));
        for ((info, format), want) in gguf.tensors.iter().zip(formats()).zip(want) {
            assert_eq!(info.name, format!("w.{format}"));
            assert_eq!((info.format, info.bytes), (format, want.len() as u64));
            assert_eq!((info.cols(), info.rows(), info.weights()), (256, 3, 768));
            assert_eq!(info.offset % gguf.alignment, 0);
            let mut bytes = vec![0; want.len()];
            pollster::block_on(source.read(info.offset, &mut bytes)).unwrap();
            assert_eq!(bytes, want);
            assert_eq!(gguf.tensor(&info.name), Some(info));
        }
        assert_eq!(gguf.tensor("nothing"), None);
    }
}

/// Chunks of the cursor end inside numbers, strings and arrays.
#[test]
fn a_header_longer_than_a_chunk_comes_back() {
    let strings: Vec<String> = (0..120_000).map(|i| format!("token {i}")).collect();
    let numbers: Vec<u64> = (0..300_000).collect();
    let file = GgufWriter::new()
        .metadata("odd", "abc")
        .metadata("strings", Array::String(strings.clone()))
        .metadata("numbers", Array::U64(numbers.clone()))
        .metadata("text", "é".repeat(2_000_000))
        .metadata("last", 7u32)
        .finish()
        .unwrap();
    let metadata = read(file).metadata;
    assert_eq!(metadata.strings("strings").unwrap(), strings);
    assert_eq!(metadata.get("numbers"), Some(&Value::Array(Array::U64(numbers))));
    assert_eq!(metadata.str("text").unwrap().len(), 4_000_000);
    assert_eq!(metadata.u32("last").unwrap(), 7);
}

#[test]
fn a_string_value_that_is_not_utf8_is_kept_with_replacements() {
    let mut file = GgufWriter::new().metadata("key", "a?b").finish().unwrap();
    let at = file.windows(3).position(|w| w == b"a?b").unwrap();
    file[at + 1] = 0xff;
    assert_eq!(read(file).metadata.str("key").unwrap(), "a\u{fffd}b");
}

fn metadata() -> Metadata {
    let mut metadata = Metadata::new("t.gguf");
    for (key, value) in every_value() {
        metadata.insert(key, value).unwrap();
    }
    metadata
}

#[test]
fn accessors_convert_what_fits() {
    let m = metadata();
    assert_eq!(m.u32("u8").unwrap(), 200);
    assert_eq!(m.u64("u64").unwrap(), u64::MAX);
    assert_eq!(m.i32("i8").unwrap(), -100);
    assert_eq!(m.f32("f64").unwrap(), 0.1);
    assert!(m.bool("bool").unwrap());
    assert_eq!(m.str("string").unwrap(), "smol \"model\" é");
    assert_eq!(m.strings("strings").unwrap(), ["a", "\n"]);
    assert_eq!(m.f32s("f64s").unwrap(), [0.5, -2.0]);
    assert_eq!(m.i32s("i64s").unwrap(), [-1, 2]);
    assert_eq!(m.u32s("u16s").unwrap(), [1, 2]);
    assert!(m.strings("none").unwrap().is_empty());
    assert!(m.f32s("none").unwrap().is_empty());
    assert!(m.i32s("none").unwrap().is_empty());
    assert_eq!(m.opt_u32("missing").unwrap(), None);
    assert_eq!(m.opt_strings("missing").unwrap(), None);
}

#[test]
fn what_is_forgotten_is_gone_and_the_rest_is_found() {
    let mut m = Metadata::new("t.gguf");
    for (value, key) in (0u32..).zip(["tokenizer.a", "first", "tokenizer.b", "last"]) {
        m.insert(key, value).unwrap();
    }
    m.forget("tokenizer.");
    assert_eq!((m.len(), m.u32("first").unwrap(), m.u32("last").unwrap()), (2, 1, 3));
    assert!(m.get("tokenizer.a").is_none());
}

#[test]
fn accessors_say_what_is_wrong() {
    fn sentence<T: std::fmt::Debug>(result: wisp_base::Result<T>) -> String {
        result.unwrap_err().to_string()
    }
    let m = metadata();
    assert_eq!(
        sentence(m.u32("llama.block_count")),
        "t.gguf: metadata key llama.block_count is missing: the file is not a complete model of \
         its kind; convert or download it again"
    );
    assert_eq!(
        sentence(m.opt_u32("i8")),
        "t.gguf: metadata key i8 is -100 (i8), but must be an integer from 0 to 4294967295: \
         convert or download the file again"
    );
    assert_eq!(
        sentence(m.strings("u32s")),
        "t.gguf: metadata key u32s is [1, 2, 3, 4, … 6 in all] (array of u32), but must be an \
         array of strings: convert or download the file again"
    );
    assert!(m.u32("u64").is_err());
    assert!(m.u32("string").is_err());
    assert!(m.f32("u32").is_err());
    assert!(m.bool("u8").is_err());
    assert!(m.str("strings").is_err());
    assert!(m.u32s("i32s").is_err());
    assert!(m.i32s("f32s").is_err());
}

#[test]
fn a_file_source_reads_ranges_and_names_the_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.gguf");
    let name = path.display();
    let missing = FileSource::open(&path).unwrap_err().to_string();
    assert!(missing.starts_with(&format!("cannot open {name}: ")), "{missing}");
    std::fs::write(&path, b"0123456789").unwrap();
    let source = FileSource::open(&path).unwrap();
    assert_eq!((source.len(), source.is_empty()), (10, false));
    let mut bytes = [0; 4];
    pollster::block_on(source.read(3, &mut bytes)).unwrap();
    assert_eq!(&bytes, b"3456");
    let want = |offset: u64| {
        format!(
            "{name}: 4 bytes are wanted at byte {offset}, but the file ends at byte 10: it is \
             truncated; download it again"
        )
    };
    for offset in [7, u64::MAX] {
        let past = pollster::block_on(source.read(offset, &mut bytes)).unwrap_err();
        assert_eq!(past.to_string(), want(offset));
    }
    let is_folder = FileSource::open(folder.path()).unwrap_err().to_string();
    assert!(is_folder.ends_with(" is a folder: give a file in it"), "{is_folder}");
}

#[test]
fn the_writer_refuses_what_no_reader_takes() {
    let sentence = |writer: GgufWriter| writer.finish().unwrap_err().to_string();
    let writer = GgufWriter::new;
    assert_eq!(
        sentence(writer().metadata("k", 1u32).metadata("k", 2u32)),
        "metadata key k was added twice"
    );
    assert_eq!(
        sentence(writer().metadata("general.alignment", 12u32)),
        "general.alignment is 12, but must be a multiple of 8 from 8 to 65528"
    );
    let tensor = |shape: &[u64], bytes| writer().tensor("t", shape, Format::F32, vec![0; bytes]);
    assert_eq!(
        sentence(tensor(&[2, 2], 15)),
        "tensor t of shape [2, 2] takes 16 bytes as F32, but has 15"
    );
    assert_eq!(sentence(tensor(&[], 4)), "tensor t has 0 dimensions, but 1 to 4 are allowed");
    assert_eq!(
        sentence(tensor(&[1], 4).tensor("t", [1], Format::F32, vec![0; 4])),
        "tensor t was added twice"
    );
}
