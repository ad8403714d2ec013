//! Split GGUF: the files of one model are read as one, and those that are not are told apart.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use pollster::block_on;
use std::path::Path;
use wisp_base::Format;
use wisp_base::quant::encode;
use wisp_formats::{
    BytesSource, Checkpoint, FolderSource, Gguf, GgufWriter, Source, SplitName, Value,
};

/// Eight numbers that no other tensor has.
fn numbers(tensor: usize) -> Vec<f32> {
    (0..8).map(|at| (tensor * 100 + at) as f32).collect()
}

/// One file of a split model.
#[derive(Clone)]
struct File {
    number: u16,
    count: u16,
    /// In all files.
    total: i32,
    tensors: Vec<usize>,
    architecture: Option<&'static str>,
    alignment: Option<u32>,
}

impl File {
    fn bytes(&self) -> Vec<u8> {
        let mut writer = GgufWriter::new();
        if let Some(architecture) = self.architecture {
            writer = writer.metadata("general.architecture", architecture);
        }
        if let Some(alignment) = self.alignment {
            writer = writer.metadata("general.alignment", alignment);
        }
        if self.count > 0 {
            writer = writer
                .metadata("split.no", Value::U16(self.number))
                .metadata("split.count", Value::U16(self.count))
                .metadata("split.tensors.count", Value::I32(self.total));
        }
        for tensor in &self.tensors {
            let bytes = encode(Format::F32, &numbers(*tensor), None).unwrap();
            writer = writer.tensor(format!("t{tensor}"), [4, 2], Format::F32, bytes);
        }
        writer.finish().unwrap()
    }
}

/// Seven tensors in three files: none in the first, as with `--no-tensor-first-split`; the
/// files have alignments of their own.
fn model() -> [File; 3] {
    let file = File {
        number: 0,
        count: 3,
        total: 7,
        tensors: vec![],
        architecture: Some("llama"),
        alignment: None,
    };
    let later = File { architecture: None, ..file.clone() };
    [
        file,
        File { number: 1, tensors: vec![0, 1, 2], alignment: Some(64), ..later.clone() },
        File { number: 2, tensors: vec![3, 4, 5, 6], ..later },
    ]
}

fn source(files: &[File]) -> FolderSource {
    let name = SplitName::parse(&format!("m-00001-of-{:05}.gguf", files.len())).unwrap();
    let files = name.files().zip(files).map(|(name, file)| {
        let source = BytesSource::new(name.clone(), file.bytes());
        (name, Box::new(source) as Box<dyn Source>)
    });
    FolderSource::new("m-00001-of-00003.gguf", files.collect()).unwrap()
}

fn refused(files: &[File]) -> String {
    block_on(Gguf::read(&source(files))).unwrap_err().to_string()
}

#[test]
fn the_files_of_a_model_are_read_as_one() {
    let source = source(&model());
    let gguf = block_on(Gguf::read(&source)).unwrap();
    assert_eq!(gguf.metadata.str("general.architecture").unwrap(), "llama");
    assert_eq!(gguf.tensor("t5").unwrap().shape, [4, 2]);
    let checkpoint = Checkpoint::from(gguf);
    assert_eq!(checkpoint.tensors.len(), 7);
    for (at, tensor) in checkpoint.tensors.iter().enumerate() {
        assert_eq!(tensor.name, format!("t{at}"));
        assert_eq!(block_on(checkpoint.vector(&source, tensor)).unwrap(), numbers(at));
    }
}

/// As a browser has them, or who has put them together by hand.
#[test]
fn files_one_behind_the_other_are_read_as_one() {
    let all = model().map(|file| file.bytes());
    let source = BytesSource::new("m.gguf", all.concat());
    let checkpoint = Checkpoint::from(block_on(Gguf::read(&source)).unwrap());
    assert_eq!(checkpoint.tensors.len(), 7);
    for (at, tensor) in checkpoint.tensors.iter().enumerate() {
        assert_eq!(block_on(checkpoint.vector(&source, tensor)).unwrap(), numbers(at));
    }
    let said = |files: &[&[u8]]| {
        let source = BytesSource::new("m.gguf", files.concat());
        block_on(Gguf::read(&source)).unwrap_err().to_string()
    };
    let [a, b, c] = &all;
    for files in [&[a][..], &[a, b], &[b, c], &[a, b, &vec![0; 4096]]] {
        let files: Vec<&[u8]> = files.iter().map(|file| file.as_slice()).collect();
        let said = said(&files);
        let whole = said.starts_with("m.gguf is one of the 3 files of a split model: give");
        assert!(whole || said.starts_with("m.gguf, file "), "{said}");
    }
    assert!(said(&[a, c, b]).starts_with("m.gguf, file 2 of 3: by its split.no it is file 3"));
    assert!(said(&[a, b, &c[..c.len() - 16]]).contains("m.gguf, file 3 of 3: tensor t6 takes"));
}

#[test]
fn a_file_alone_is_refused_unless_it_is_the_only_one() {
    let [first, second, _] = model();
    for file in [&first, &second] {
        let alone = BytesSource::new("m.gguf", file.bytes());
        assert_eq!(
            block_on(Gguf::read(&alone)).unwrap_err().to_string(),
            "m.gguf is one of the 3 files of a split model: give the first of them by its own name \
             (…-00001-of-00003.gguf), with the others beside it"
        );
    }
    let only = File { count: 1, total: 3, ..File { tensors: vec![0, 1, 2], ..first } };
    let only = BytesSource::new("m-00001-of-00001.gguf", only.bytes());
    assert_eq!(block_on(Gguf::read(&only)).unwrap().tensors.len(), 3);
}

#[test]
fn files_that_are_not_of_one_model_are_told_apart() {
    let [a, b, c] = model();
    let third = "m-00003-of-00003.gguf: ";
    for (files, sentence) in [
        (
            [a.clone(), b.clone(), b.clone()],
            "by its split.no it is file 2 of 3, but by its name file 3: it was renamed, or copied \
             over another; download it again",
        ),
        (
            [a.clone(), b.clone(), File { count: 4, ..c.clone() }],
            "split.count is 4, but by its name the model is in 3 files: give the file its own \
             name, or download the model again",
        ),
        (
            [a.clone(), b.clone(), File { count: 0, ..c.clone() }],
            "there is no split.count, but by its name the model is in 3 files: give the file its \
             own name, or download the model again",
        ),
        (
            [a.clone(), b.clone(), File { total: 9, ..c.clone() }],
            "it is of another model than m-00001-of-00003.gguf: download the files of one model",
        ),
        (
            [a.clone(), b.clone(), File { architecture: Some("qwen2"), ..c.clone() }],
            "it is of another model than m-00001-of-00003.gguf: download the files of one model",
        ),
        (
            [a.clone(), b.clone(), File { tensors: vec![3, 4, 5, 1], ..c.clone() }],
            "tensor t1 is in m-00002-of-00003.gguf, too: the files are not of one model; download \
             it again",
        ),
    ] {
        assert_eq!(refused(&files), format!("{third}{sentence}"));
    }
    assert_eq!(
        refused(&[a, b, File { tensors: vec![3, 4], ..c }]),
        "m-00001-of-00003.gguf: the 3 files of the model have 5 tensors, but split.tensors.count is \
         7: one of them is of another model; download them again"
    );
}

/// Whatever is wrong with one of them, nothing panics, and the file is named.
#[test]
fn damaged_files_are_named() {
    for at in 0..3 {
        let whole = model().map(|file| file.bytes());
        for length in (0..whole[at].len()).step_by(7) {
            let name = |number: usize| format!("m-{:05}-of-00003.gguf", number + 1);
            let files = whole.iter().enumerate().map(|(number, bytes)| {
                let bytes = if number == at { bytes[..length].to_vec() } else { bytes.clone() };
                (name(number), Box::new(BytesSource::new("x", bytes)) as Box<dyn Source>)
            });
            let source = FolderSource::new(name(0), files.collect()).unwrap();
            // What is cut off may be no more than padding.
            if let Err(error) = block_on(Gguf::read(&source)) {
                assert!(error.to_string().starts_with(&name(at)), "{error}");
            }
        }
    }
}

#[test]
fn any_file_finds_the_others_and_a_missing_one_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let at = |number: usize| folder.path().join(format!("m-x-{number:05}-of-00003.gguf"));
    for (number, file) in model().iter().enumerate() {
        std::fs::write(at(number + 1), file.bytes()).unwrap();
    }
    for number in 1..=3 {
        let source = FolderSource::split(at(number)).unwrap().unwrap();
        assert_eq!(source.name(), at(1).display().to_string());
        assert_eq!(block_on(Gguf::read(&source)).unwrap().tensors.len(), 7);
    }
    #[cfg(unix)]
    {
        // As in the hub's cache, and under a name of one's own.
        let (cache, own) = (tempfile::tempdir().unwrap(), folder.path().join("own.gguf"));
        let link = |number: usize| cache.path().join(at(number).file_name().unwrap());
        (1..=3).for_each(|number| std::os::unix::fs::symlink(at(number), link(number)).unwrap());
        std::os::unix::fs::symlink(at(1), &own).unwrap();
        for path in [link(2), own] {
            let source = FolderSource::split(path).unwrap().unwrap();
            assert_eq!(block_on(Gguf::read(&source)).unwrap().tensors.len(), 7);
        }
    }
    std::fs::remove_file(at(2)).unwrap();
    let said = FolderSource::split(at(1)).map(|_| ()).unwrap_err().to_string();
    let missing = at(2).display().to_string();
    assert!(said.starts_with(&format!("there is no file {missing}: the model is in 3")), "{said}");
}

#[test]
fn only_the_names_of_split_models_are_such() {
    let name = SplitName::parse("a-00002-of-00003-00002-of-00012.gguf").unwrap();
    assert_eq!((name.stem.as_str(), name.count), ("a-00002-of-00003", 12));
    assert_eq!(name.file(12), "a-00002-of-00003-00012-of-00012.gguf");
    for other in [
        "a-00001-of-00001.gguf",
        "a-00000-of-00003.gguf",
        "a-00004-of-00003.gguf",
        "a-1-of-3.gguf",
        "a-00001-of-+0003.gguf",
        "a-00001-of-00003.bin",
        "a00001-of-00003.gguf",
        ".gguf",
    ] {
        assert_eq!(SplitName::parse(other), None, "{other}");
        assert!(FolderSource::split(Path::new("nowhere").join(other)).unwrap().is_none());
    }
}

#[test]
fn weights_that_are_not_finite_are_named() {
    let mut weights = vec![0.5; 64];
    weights[37] = f32::NAN;
    let bytes: Vec<u8> = weights.iter().flat_map(|w| w.to_le_bytes()).collect();
    let mut blocks = encode(Format::Q8_0, &[0.5; 64], None).unwrap();
    // The second block's scale.
    blocks[34..36].copy_from_slice(&0x7c00u16.to_le_bytes());
    let file = GgufWriter::new()
        .tensor("a", [16, 4], Format::F32, bytes)
        .tensor("b", [32, 2], Format::Q8_0, blocks)
        .finish()
        .unwrap();
    let source = BytesSource::new("m.gguf", file);
    let checkpoint = Checkpoint::from(block_on(Gguf::read(&source)).unwrap());
    let rows = |name: &str, start, count| {
        let tensor = checkpoint.tensor(name).unwrap();
        block_on(checkpoint.rows(&source, tensor, start, count)).map_err(|why| why.to_string())
    };
    let said = |weight: &str| format!("m.gguf: tensor {weight}: the weights are damaged");
    for (start, count) in [(0, 4), (1, 2), (2, 1)] {
        assert_eq!(rows("a", start, count).unwrap_err(), said("a: weight 37 is NaN"));
    }
    assert!(rows("a", 0, 2).is_ok() && rows("b", 0, 1).is_ok());
    assert_eq!(rows("b", 1, 1).unwrap_err(), said("b: weight 32 is inf"));
}
