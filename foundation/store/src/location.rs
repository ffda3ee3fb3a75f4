//! Where a store lies: the meaning of `store.url`.

use std::path::{Path, PathBuf};

use moongate_core::{Code, Problem};

/// An engine and what it needs to know.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Location {
    /// Nowhere.
    Memory,
    /// One file.
    Sqlite(PathBuf),
}

impl Location {
    /// Reads `memory:` or `sqlite:PATH`; the path is relative to `base`.
    pub(crate) fn parse(url: &str, base: &Path) -> Result<Self, Problem> {
        let wrong = |why: &str| Err(Problem::new(Code::ConfigWrongValue, format!("the store {url:?} {why}")));
        let Some((engine, rest)) = url.split_once(':') else {
            return wrong("names no engine; write \"sqlite:moongate.db\" or \"memory:\"");
        };
        match engine {
            "memory" if rest.is_empty() => Ok(Self::Memory),
            "memory" => wrong("names a place in memory; write \"memory:\" alone"),
            "sqlite" => match rest.strip_prefix("//").unwrap_or(rest) {
                "" => wrong("names no file; write \"sqlite:moongate.db\""),
                ":memory:" => wrong("is not a file; write \"memory:\" for a store that forgets"),
                path => Ok(Self::Sqlite(base.join(path))),
            },
            _ => wrong("names an engine that does not exist; there are \"sqlite:PATH\" and \"memory:\""),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_relative_to_the_base() {
        for (url, path) in [
            ("sqlite:moongate.db", "/data/moongate.db"),
            ("sqlite:sub/m.db", "/data/sub/m.db"),
            ("sqlite:/var/m.db", "/var/m.db"),
            ("sqlite:///var/m.db", "/var/m.db"),
            ("sqlite:m.db?mode=ro", "/data/m.db?mode=ro"),
        ] {
            assert_eq!(Location::parse(url, Path::new("/data")), Ok(Location::Sqlite(path.into())), "{url}");
        }
        assert_eq!(Location::parse("memory:", Path::new("/data")), Ok(Location::Memory));
    }

    #[test]
    fn urls_that_name_no_store_are_refused_with_the_reason() {
        for url in ["", "moongate.db", "sqlite:", "sqlite::memory:", "memory:x", "postgres://host/db"] {
            let problem = Location::parse(url, Path::new("/data")).unwrap_err();
            assert_eq!(problem.code, Code::ConfigWrongValue, "{url}");
            assert!(problem.detail.contains("write \"") || problem.detail.contains("there are \""), "{problem}");
        }
    }
}
