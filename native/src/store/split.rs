//! Split models: several files on a server and in the store, side by side, that are one model.

use super::name::{HubFile, Spec};
use std::path::{Path, PathBuf};
use wisp_formats::SplitName;

/// The files of the model that begins with `path`: of a split model all, in their order.
pub fn files(path: &Path) -> Vec<PathBuf> {
    match path.file_name().and_then(|name| name.to_str()).and_then(SplitName::parse) {
        Some(name) => name.files().map(|file| path.with_file_name(file)).collect(),
        None => vec![path.to_path_buf()],
    }
}

/// Is it a model's only file, or the first one of those of a split model that is all there?
pub fn is_model(path: &Path) -> bool {
    let all = files(path);
    all.first().is_some_and(|first| first == path) && all.iter().all(|path| path.is_file())
}

impl Spec {
    /// What the files of a split model are called.
    pub fn split(&self) -> Option<SplitName> {
        SplitName::parse(match self {
            Self::Known(_) => return None,
            Self::Hub(hub) => hub.file.rsplit('/').next()?,
            Self::Url(url) => url_path(url).rsplit('/').next()?,
        })
    }

    /// The addresses of all files: of a split model, or of its only one.
    pub fn files(&self) -> Vec<Self> {
        match self.split() {
            Some(name) => name.files().map(|file| self.beside(&file)).collect(),
            None => vec![self.clone()],
        }
    }

    /// As a person types it.
    pub fn address(&self) -> String {
        match self {
            Self::Known(known) => known.name.into(),
            Self::Hub(HubFile { repo, file }) => format!("hf:{repo}/{file}"),
            Self::Url(url) => url.clone(),
        }
    }

    /// The address of a file in the same folder.
    pub fn beside(&self, file: &str) -> Self {
        let beside = |path: &str| match path.rsplit_once('/') {
            Some((folder, _)) => format!("{folder}/{file}"),
            None => file.into(),
        };
        match self {
            Self::Known(known) => Self::Known(known),
            Self::Hub(hub) => {
                Self::Hub(HubFile { repo: hub.repo.clone(), file: beside(&hub.file) })
            }
            Self::Url(url) => {
                let path = url_path(url);
                Self::Url(beside(path) + url.get(path.len()..).unwrap_or_default())
            }
        }
    }
}

/// A URL without what comes behind its path.
fn url_path(url: &str) -> &str {
    url.split(['?', '#']).next().unwrap_or(url)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn every_file_of_a_split_model_leads_to_all_and_to_one_key() {
        for (text, key, third) in [
            ("hf:a/b/q4/m-00002-of-00003.gguf", "a--b--q4--m", "/q4/m-00003-of-00003.gguf"),
            ("https://e.org/x/m-00003-of-00003.gguf?a=/b", "m", "/x/m-00003-of-00003.gguf?a=/b"),
        ] {
            let spec = Spec::parse(text).unwrap().unwrap();
            let all = spec.files();
            assert_eq!(all.len(), 3);
            for file in &all {
                assert_eq!(file.key(), spec.key());
            }
            let found = spec.key();
            assert!(found.starts_with(key) && found.ends_with("-00001-of-00003"), "{found}");
            match &all[2] {
                Spec::Url(url) => assert!(url.ends_with(third), "{url}"),
                Spec::Hub(hub) => assert_eq!(format!("/{}", hub.file), third),
                Spec::Known(_) => unreachable!(),
            }
        }
        let whole = Spec::parse("hf:a/b/m-00001-of-00001.gguf").unwrap().unwrap();
        assert_eq!(whole.files().len(), 1);
    }
}
