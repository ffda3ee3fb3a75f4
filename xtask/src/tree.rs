//! The repository as a map from path to text: read once, and made by hand in tests.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// Folders that hold nothing of ours, by name.
const SKIPPED: &[&str] = &["target", "node_modules", "artifacts", "__pycache__", "corpus"];
/// Larger files are data.
const LARGEST: u64 = 4 << 20;

/// All text files, by their path from the root with `/` between names.
#[derive(Debug, Default)]
pub(crate) struct Tree {
    pub(crate) files: BTreeMap<String, String>,
}

impl Tree {
    /// Reads the repository.
    ///
    /// # Errors
    /// A folder cannot be read.
    pub(crate) fn read(root: &Path) -> Result<Self, String> {
        let mut tree = Self::default();
        tree.descend(root, "").map_err(|error| format!("{} cannot be read: {error}", root.display()))?;
        Ok(tree)
    }

    fn descend(&mut self, folder: &Path, prefix: &str) -> std::io::Result<()> {
        for entry in std::fs::read_dir(folder)? {
            let entry = entry?;
            let name = entry.file_name().to_string_lossy().into_owned();
            let kind = entry.file_type()?;
            if kind.is_dir() {
                let hidden = name.starts_with('.') && name != ".ci" && name != ".cargo" && name != ".github";
                if !hidden && !SKIPPED.contains(&name.as_str()) {
                    self.descend(&entry.path(), &format!("{prefix}{name}/"))?;
                }
            } else if kind.is_file()
                && entry.metadata()?.len() <= LARGEST
                && let Ok(text) = std::fs::read_to_string(entry.path())
            {
                self.files.insert(format!("{prefix}{name}"), text);
            }
        }
        Ok(())
    }

    /// One file's text; empty if there is none.
    pub(crate) fn text(&self, path: &str) -> &str {
        self.files.get(path).map_or("", String::as_str)
    }

    /// Whether there is such a file or folder.
    pub(crate) fn has(&self, path: &str) -> bool {
        let folder = format!("{}/", path.trim_end_matches('/'));
        self.files.contains_key(path)
            || self.files.range(folder.clone()..).next().is_some_and(|(found, _)| found.starts_with(&folder))
    }

    /// The Rust sources, by path.
    pub(crate) fn rust(&self) -> impl Iterator<Item = (&str, &str)> {
        self.files.iter().filter(|(path, _)| path.ends_with(".rs")).map(|(path, text)| (path.as_str(), text.as_str()))
    }

    /// A tree of these files.
    #[cfg(test)]
    pub(crate) fn of(files: &[(&str, &str)]) -> Self {
        Self { files: files.iter().map(|(path, text)| ((*path).to_owned(), (*text).to_owned())).collect() }
    }
}

/// The root of the repository.
pub(crate) fn root() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.parent().unwrap_or(here).to_path_buf()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_is_there_if_anything_is_in_it() {
        let tree = Tree::of(&[("docs/guide/first.md", ""), ("docs.md", "")]);
        assert!(tree.has("docs/guide") && tree.has("docs/") && tree.has("docs.md"));
        assert!(!tree.has("docs/gui") && !tree.has("doc"));
    }
}
