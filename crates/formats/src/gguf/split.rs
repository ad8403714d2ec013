//! A model in several files, as llama.cpp's gguf-split and gguf-py write them: each has a
//! header of its own tensors, the first one all other metadata, too.

use super::{Gguf, MAGIC, index, read, show};
use crate::{FileEntry, LocalFuture, Source, in_bounds};
use std::collections::HashMap;
use wisp_base::{Error, Result};

/// How many files the model is in.
const COUNT: &str = "split.count";

/// Which of them this one is, from 0.
const NUMBER: &str = "split.no";

/// Tensors of all files together.
const TENSORS: &str = "split.tensors.count";

/// The name of one file of a split model: `STEM-00002-of-00005.gguf`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SplitName {
    /// What all names begin with.
    pub stem: String,
    /// How many files there are: at least 2.
    pub count: u32,
}

impl SplitName {
    /// `None` for any other name; a model in one file is not split.
    pub fn parse(name: &str) -> Option<Self> {
        let (rest, count) = name.strip_suffix(".gguf")?.rsplit_once("-of-")?;
        let (stem, number) = rest.rsplit_once('-')?;
        let digits = |text: &str| {
            let all = text.len() == 5 && text.bytes().all(|byte| byte.is_ascii_digit());
            all.then(|| text.parse::<u32>().ok()).flatten()
        };
        let (number, count) = (digits(number)?, digits(count)?);
        let is_one = count > 1 && (1..=count).contains(&number);
        is_one.then(|| Self { stem: stem.into(), count })
    }

    /// The name of file `number`, from 1.
    pub fn file(&self, number: u32) -> String {
        format!("{}-{number:05}-of-{:05}.gguf", self.stem, self.count)
    }

    /// The names of all files in their order.
    pub fn files(&self) -> impl Iterator<Item = String> + '_ {
        (1..=self.count).map(|number| self.file(number))
    }
}

/// The header of a model of which `gguf` is that of a file alone, which must be all of it, or
/// the first of files that lie in `source` one behind the other.
pub(super) async fn whole(source: &dyn Source, gguf: Gguf) -> Result<Gguf> {
    let count = match gguf.metadata.opt_u32(COUNT)? {
        None | Some(0..=1) => return Ok(gguf),
        Some(count) => count,
    };
    let alone = || {
        Error::input(format!(
            "{} is one of the {count} files of a split model: give the first of them by its own \
             name (…-00001-of-{count:05}.gguf), with the others beside it",
            source.name()
        ))
    };
    if count > u32::from(u16::MAX) {
        // More than GGUF can count.
        return Err(alone());
    }
    let mut files: Vec<FileEntry> = Vec::new();
    let mut start = 0;
    for number in 1..=count {
        let name = format!("{}, file {number} of {count}", source.name());
        let mut file = FileEntry { name, start, len: source.len().saturating_sub(start) };
        if number < count {
            let part = read::header(&Part { source, file: &file }).await?;
            let ends = part.tensors.iter().map(|tensor| tensor.offset + tensor.bytes);
            let end = ends.max().unwrap_or(0).max(part.data_offset);
            // The bytes of the last tensor are padded, too, mostly.
            let next = [end.checked_next_multiple_of(part.alignment), Some(end)];
            for next in next.into_iter().flatten().filter(|next| next + 4 <= file.len) {
                let mut magic = [0; 4];
                source.read(start + next, &mut magic).await?;
                if magic == MAGIC {
                    file.len = next;
                    break;
                }
            }
            if start + file.len >= source.len() {
                return Err(alone());
            }
            start += file.len;
        }
        files.push(file);
    }
    header(source, &files).await
}

/// The header of a model whose files lie in `source`.
pub(super) async fn header(source: &dyn Source, files: &[FileEntry]) -> Result<Gguf> {
    let mut whole: Option<Gguf> = None;
    let mut wanted = None;
    let mut found_in: HashMap<String, usize> = HashMap::new();
    for (at, file) in files.iter().enumerate() {
        let part = read::header(&Part { source, file }).await?;
        let wrong = |what: String| Error::input(format!("{}: {what}", file.name));
        let count = part.metadata.opt_u32(COUNT)?;
        if count.unwrap_or(0) as usize != files.len() {
            let has = count.map_or("there is no split.count".into(), |n| format!("{COUNT} is {n}"));
            return Err(wrong(format!(
                "{has}, but by its name the model is in {} files: give the file its own name, or \
                 download the model again",
                files.len()
            )));
        }
        let number = part.metadata.u32(NUMBER)?;
        if number as usize != at {
            return Err(wrong(format!(
                "by its {NUMBER} it is file {} of {}, but by its name file {}: it was renamed, or \
                 copied over another; download it again",
                u64::from(number) + 1,
                files.len(),
                at + 1
            )));
        }
        let tensors = part.metadata.opt_u32(TENSORS)?;
        let architecture = "general.architecture";
        let (own, first) = (
            part.metadata.get(architecture),
            whole.as_ref().and_then(|whole| whole.metadata.get(architecture)),
        );
        let others = at > 0 && own.is_some() && own != first;
        if others || tensors.is_some_and(|own| *wanted.get_or_insert(own) != own) {
            return Err(wrong(format!(
                "it is of another model than {}: download the files of one model",
                files.first().map_or("", |file| &file.name)
            )));
        }
        for tensor in &part.tensors {
            if let Some(before) = found_in.insert(tensor.name.clone(), at) {
                return Err(wrong(format!(
                    "tensor {} is in {}, too: the files are not of one model; download it again",
                    show(&tensor.name),
                    files.get(before).map_or("", |file| &file.name)
                )));
            }
        }
        let placed = part.tensors.into_iter().map(|mut tensor| {
            // It lies within its file, and the file within the source.
            tensor.offset = tensor.offset.saturating_add(file.start);
            tensor
        });
        match &mut whole {
            Some(whole) => whole.tensors.extend(placed),
            None => whole = Some(Gguf { tensors: placed.collect(), ..part }),
        }
    }
    let mut whole =
        whole.ok_or_else(|| Error::input(format!("{}: there is no file", source.name())))?;
    if let Some(wanted) = wanted.filter(|wanted| *wanted as usize != whole.tensors.len()) {
        return Err(Error::input(format!(
            "{}: the {} files of the model have {} tensors, but {TENSORS} is {wanted}: one of them \
             is of another model; download them again",
            source.name(),
            files.len(),
            whole.tensors.len()
        )));
    }
    whole.index = index(&whole.tensors);
    Ok(whole)
}

/// One file of a source of several.
struct Part<'a> {
    source: &'a dyn Source,
    file: &'a FileEntry,
}

impl Source for Part<'_> {
    fn name(&self) -> &str {
        &self.file.name
    }

    fn len(&self) -> u64 {
        self.file.len
    }

    fn read<'a>(&'a self, offset: u64, into: &'a mut [u8]) -> LocalFuture<'a, Result<()>> {
        Box::pin(async move {
            in_bounds(self, offset, into.len())?;
            self.source.read(self.file.start.saturating_add(offset), into).await
        })
    }
}
