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
        let candidates: Vec<PathBuf> = match named {
            Some(dir) => vec![dir.to_owned()],
            None => pg_config()
                .into_iter()
                .chain(debian(Path::new("/usr/lib/postgresql")))
                .chain(path())
                .collect(),
        };
        let found =
            candidates.iter().find(|dir| dir.join("postgres").is_file() && dir.join("initdb").is_file());
        found.map(|dir| Self { dir: dir.clone() }).ok_or_else(|| Error::NotInstalled {
            program: "PostgreSQL server",
            looked: named.map_or_else(
                || "`pg_config --bindir`, /usr/lib/postgresql/*/bin, PATH".to_owned(),
                |dir| dir.display().to_string(),
            ),
            install: "apt-get install postgresql",
        })
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
