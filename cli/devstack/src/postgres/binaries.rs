//! Where the PostgreSQL server's programs are. Runs nothing but `pg_config`.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::component::{Error, Result};

/// A folder with `postgres` and `initdb`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Binaries {
    dir: PathBuf,
}

impl Binaries {
    /// The first of: the folder named, that of `pg_config --bindir`, Debian's newest, a folder of PATH.
    pub fn find(named: Option<&Path>) -> Result<Self> {
        Self::all(named).into_iter().next().ok_or_else(|| Error::NotInstalled {
            program: "PostgreSQL server",
            looked: named.map_or_else(
                || "`pg_config --bindir`, /usr/lib/postgresql/*/bin, PATH".to_owned(),
                |dir| dir.display().to_string(),
            ),
            install: "apt-get install postgresql",
        })
    }

    /// The first of the same that can run the data folder `data`, which one major version made.
    pub(super) fn find_for(named: Option<&Path>, data: &Path) -> Result<Self> {
        let made_by = std::fs::read_to_string(data.join("PG_VERSION"))?.trim().to_owned();
        let fits = |binaries: &Self| binaries.major().is_some_and(|major| major == made_by);
        let first = Self::find(named)?;
        let found = first.major().unwrap_or_default();
        let fitting = Self::all(named).into_iter().find(fits);
        fitting.ok_or_else(|| Error::OtherVersion { folder: data.to_owned(), made_by, found })
    }

    fn all(named: Option<&Path>) -> Vec<Self> {
        let candidates: Vec<PathBuf> = match named {
            Some(dir) => vec![dir.to_owned()],
            None => pg_config()
                .into_iter()
                .chain(debian(Path::new("/usr/lib/postgresql")))
                .chain(path())
                .collect(),
        };
        let whole = |dir: &PathBuf| dir.join("postgres").is_file() && dir.join("initdb").is_file();
        candidates.into_iter().filter(whole).map(|dir| Self { dir }).collect()
    }

    /// The 15 of `postgres (PostgreSQL) 15.13 (Debian …)`.
    fn major(&self) -> Option<String> {
        let output = Command::new(self.program("postgres")).arg("--version").output().ok()?;
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let (_, version) = text.split_once(") ")?;
        version.split(['.', ' ', '\n']).next().map(str::to_owned)
    }

    /// One of the programs.
    pub fn program(&self, name: &str) -> PathBuf {
        self.dir.join(name)
    }
}

fn pg_config() -> Option<PathBuf> {
    let output = Command::new("pg_config").arg("--bindir").output().ok()?;
    output.status.success().then(|| PathBuf::from(String::from_utf8_lossy(&output.stdout).trim()))
}

/// Debian keeps every major version in a folder of its number; the newest comes first.
fn debian(root: &Path) -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir(root) else { return Vec::new() };
    let mut versions: Vec<(u32, PathBuf)> = entries
        .flatten()
        .filter_map(|entry| Some((entry.file_name().to_str()?.parse().ok()?, entry.path().join("bin"))))
        .collect();
    versions.sort_by_key(|(version, _)| std::cmp::Reverse(*version));
    versions.into_iter().map(|(_, dir)| dir).collect()
}

fn path() -> Vec<PathBuf> {
    std::env::var_os("PATH").map(|path| std::env::split_paths(&path).collect()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_of_debian_comes_first() {
        let root = tempfile::tempdir().unwrap();
        for version in ["9", "15", "18", "old"] {
            std::fs::create_dir_all(root.path().join(version).join("bin")).unwrap();
        }
        let found = debian(root.path());
        let expected: Vec<PathBuf> =
            ["18", "15", "9"].iter().map(|v| root.path().join(v).join("bin")).collect();
        assert_eq!(found, expected);
    }

    #[test]
    fn an_empty_folder_is_refused_with_the_next_step() {
        let root = tempfile::tempdir().unwrap();
        let error = Binaries::find(Some(root.path())).unwrap_err().to_string();
        assert!(error.contains("apt-get install postgresql"), "{error}");
        assert!(error.contains(&root.path().display().to_string()), "{error}");
    }
}
