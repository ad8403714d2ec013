//! The models on this machine: `.gguf` files, and folders of those that are no single
//! file, filled by downloads that can be resumed, are checked, and appear all at once or
//! not at all.
//!
//! The only place of the project that knows hosts by name.

mod catalog;
mod download;
mod folder;
mod http;
mod joined;
mod list;
mod lock;
mod name;
mod proxy;
mod source;
mod space;
mod split;
#[cfg(test)]
mod tests;
mod token;
mod wheels;

pub use catalog::{KNOWN, Known, Purpose};

use catalog::Content;
use name::Spec;
use std::path::{Path, PathBuf};
use wisp_base::{Error, Result};

/// The store's folder, which need not exist yet.
pub struct Store {
    home: PathBuf,
}

/// One line of `wisp models`.
pub struct Entry {
    /// What to type for it.
    pub name: String,
    /// Its length: of all files of a folder.
    pub bytes: u64,
    /// Where it is, if it is here.
    pub path: Option<PathBuf>,
    /// What the catalog says of it.
    pub known: Option<&'static Known>,
}

impl Store {
    /// The folder that `WISP_HOME` names, else the platform's folder for a program's data.
    pub fn open() -> Result<Self> {
        let named = std::env::var_os("WISP_HOME").filter(|home| !home.is_empty());
        let platform = || {
            let folders = directories::ProjectDirs::from("", "", "wisp")?;
            Some(folders.data_local_dir().to_path_buf())
        };
        let home = named
            .map(PathBuf::from)
            .or_else(platform)
            .ok_or_else(|| Error::input("there is no folder for models: set WISP_HOME to one"))?;
        // Relative to where we are now, not to where we may go.
        let home = std::path::absolute(&home).unwrap_or(home);
        Ok(Self { home })
    }

    /// The file or folder for what was typed as MODEL; downloads it where it has to.
    pub fn find(model: &str) -> Result<PathBuf> {
        let path = Path::new(model);
        if path.is_file() {
            return Ok(path.to_path_buf());
        }
        // A model here goes before a known one of its name.
        if !path.join("config.json").is_file()
            && let Some(spec) = Spec::parse(model)?
        {
            return Self::open()?.get(&spec);
        }
        if path.is_dir() {
            // A checkpoint of the hub; what is missing in it, its reader says.
            return Ok(path.to_path_buf());
        }
        if name::is_path(model) {
            return Err(Error::input(format!(
                "there is no file {model}: give the path of a .gguf file, or one of the names \
                 that `wisp models` lists"
            )));
        }
        // The name of something that was pulled by its address.
        let store = Self::open()?;
        let path = store.file(model);
        if name::is_key(model) && path.is_file() { Ok(path) } else { Err(store.unknown(model)) }
    }

    /// Would a person who types this mean a model, not a prompt?
    pub fn is_model(word: &str) -> bool {
        let path = Path::new(word);
        word.ends_with(".gguf")
            || name::is_address(word)
            || path.is_file()
            || path.join("config.json").is_file()
            || catalog::known(word).is_some()
            // Mistyped: better to say so than to chat about it.
            || (name::is_plain(word) && !catalog::similar(word, catalog::names()).is_empty())
            || Self::open().is_ok_and(|store| name::is_key(word) && store.file(word).is_file())
    }

    /// `wisp pull`: downloads what is not here yet, and gives its path.
    pub fn pull(&self, text: &str) -> Result<PathBuf> {
        match Spec::parse(text)? {
            Some(spec) => self.get(&spec),
            None if name::is_key(text) && self.file(text).is_file() => Ok(self.file(text)),
            None => Err(self.unknown(text)),
        }
    }

    /// What is here, and what could be.
    pub fn list(&self) -> Result<Vec<Entry>> {
        let mut entries: Vec<Entry> = catalog::KNOWN
            .iter()
            .map(|known| {
                let path = Some(self.place(known)).filter(|path| is_whole(known, path));
                Entry { name: known.name.into(), bytes: known.bytes(), path, known: Some(known) }
            })
            .collect();
        for (name, path) in self.files()? {
            if catalog::known(&name).is_none() {
                let bytes = |path: PathBuf| path.metadata().map_or(0, |metadata| metadata.len());
                let bytes = split::files(&path).into_iter().map(bytes).sum();
                entries.push(Entry { name, bytes, path: Some(path), known: None });
            }
        }
        Ok(entries)
    }

    /// Deletes a model and what is left of its download; gives path and length.
    pub fn remove(&self, text: &str) -> Result<(PathBuf, u64)> {
        let spec = Spec::parse(text)?;
        let key = spec.as_ref().map_or(text.into(), |spec| self.key(spec));
        let absent = || {
            let names = self.files().unwrap_or_default().into_iter().map(|(name, _)| name);
            let names: Vec<String> = names.collect();
            let here = if names.is_empty() { "nothing".into() } else { names.join(", ") };
            Error::input(format!("there is no model {key} in the store: it holds {here}"))
        };
        if !name::is_key(&key) {
            return Err(absent());
        }
        let path = spec.as_ref().map_or_else(|| self.file(&key), |spec| self.path(spec));
        let is_folder = matches!(&spec, Some(Spec::Known(known)) if known.is_folder());
        let lock = spec.as_ref().map_or(key.clone(), Spec::key).to_ascii_lowercase();
        let _lock = lock::take(&self.home, &lock)?;
        let mut freed = None;
        let all = split::files(&path);
        let left = |path: &PathBuf| download::leftovers(path).into_iter().chain([path.clone()]);
        for path in all.iter().flat_map(left) {
            let Ok(metadata) = path.symlink_metadata() else { continue };
            let failed = |cause| Error::io(format!("cannot delete {}", path.display()), cause);
            let bytes = if is_folder && metadata.is_dir() {
                folder::remove(&path).map_err(failed)?
            } else {
                std::fs::remove_file(&path).map_err(failed)?;
                metadata.len()
            };
            freed = Some(freed.unwrap_or(0) + bytes);
        }
        freed.map(|bytes| (path, bytes)).ok_or_else(absent)
    }

    /// Where the self-check's results are kept.
    pub fn self_check_results(&self) -> PathBuf {
        self.home.join("self-check.txt")
    }

    /// Where compiled pipelines are kept, a file for each adapter and driver.
    pub fn pipelines(&self) -> PathBuf {
        self.home.join("pipelines")
    }

    /// Where the chat's history of lines is kept.
    pub fn history(&self) -> PathBuf {
        self.home.join("history.txt")
    }

    fn models(&self) -> PathBuf {
        self.home.join("models")
    }

    fn file(&self, key: &str) -> PathBuf {
        self.models().join(format!("{key}.gguf"))
    }

    /// Where a known model is, or will be.
    fn place(&self, known: &Known) -> PathBuf {
        match known.content {
            Content::Gguf(_) => self.file(known.name),
            Content::Folder(_) => self.models().join(known.name),
        }
    }

    fn path(&self, spec: &Spec) -> PathBuf {
        match spec {
            Spec::Known(known) => self.place(known),
            Spec::Hub(_) | Spec::Url(_) => self.file(&self.key(spec)),
        }
    }

    /// The name of a model's file: that of its address, unless another model has a name that
    /// differs in capitals only. Windows and macOS take the two for one.
    fn key(&self, spec: &Spec) -> String {
        let key = spec.key();
        let Spec::Hub(file) = spec else { return key };
        let here: Vec<String> = self.files().unwrap_or_default().into_iter().map(|f| f.0).collect();
        let is_taken = |name: &String| name.eq_ignore_ascii_case(&key) && *name != key;
        if !here.contains(&key) && here.iter().any(is_taken) || here.contains(&file.hashed_key()) {
            return file.hashed_key();
        }
        key
    }

    fn get(&self, spec: &Spec) -> Result<PathBuf> {
        let path = self.path(spec);
        if is_here(spec, &path) {
            return Ok(path);
        }
        let folder = self.models();
        std::fs::create_dir_all(&folder)
            .map_err(|cause| Error::io(format!("cannot make {}", folder.display()), cause))?;
        // In lower case: names that are one on some systems wait for each other.
        let _lock = lock::take(&self.home, &spec.key().to_ascii_lowercase())?;
        // Another wisp may have brought it while we waited, or one of almost its name.
        let path = self.path(spec);
        if !is_here(spec, &path) {
            source::bring(spec, &path)?;
        }
        Ok(path)
    }

    /// The models that are here, by name.
    fn files(&self) -> Result<Vec<(String, PathBuf)>> {
        let folder = self.models();
        let entries = match std::fs::read_dir(&folder) {
            Ok(entries) => entries,
            Err(cause) if cause.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(cause) => {
                return Err(Error::io(format!("cannot read {}", folder.display()), cause));
            }
        };
        let named = |path: PathBuf| {
            let name = path.file_name()?.to_str()?.strip_suffix(".gguf")?.to_string();
            Some((name, path))
        };
        let paths = entries.filter_map(|entry| Some(entry.ok()?.path()));
        let mut files: Vec<_> =
            paths.filter(|path| split::is_model(path)).filter_map(named).collect();
        let folders = catalog::KNOWN.iter().filter(|known| known.is_folder());
        let folders = folders.map(|known| (known.name.to_string(), self.place(known)));
        files.extend(folders.filter(|(_, path)| path.is_dir()));
        files.sort();
        Ok(files)
    }

    fn unknown(&self, name: &str) -> Error {
        let here = self.files().unwrap_or_default().into_iter().map(|(name, _)| name);
        let mut names: Vec<String> = catalog::names().map(String::from).collect();
        names.extend(here.filter(|name| catalog::known(name).is_none()));
        let near = catalog::similar(name, names.iter().map(String::as_str));
        let hint = if near.is_empty() {
            String::new()
        } else {
            format!(" (did you mean {}?)", near.join(" or "))
        };
        Error::input(format!(
            "there is no model {name}{hint}: give the path of a .gguf file, hf:OWNER/REPO/FILE.gguf, \
             an https URL, or one of the names that `wisp models` lists"
        ))
    }
}

fn is_here(spec: &Spec, path: &Path) -> bool {
    match spec {
        Spec::Known(known) => is_whole(known, path),
        Spec::Hub(_) | Spec::Url(_) => split::is_model(path),
    }
}

fn is_whole(known: &Known, path: &Path) -> bool {
    match known.content {
        Content::Gguf(file) => {
            path.metadata().is_ok_and(|found| found.is_file() && found.len() == file.bytes)
        }
        Content::Folder(files) => folder::is_whole(path, files),
    }
}
