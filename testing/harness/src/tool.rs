//! Programs that tests call beside our own: those of the machine, else those that `cargo xtask ci --install` keeps in
//! the cache. Installs nothing.

use std::env::{split_paths, var_os};
use std::path::{Path, PathBuf};

/// Where the program is. Panics, naming the next step, when it is nowhere: a test that needs it is not skipped.
pub fn tool(name: &str) -> PathBuf {
    let on_path = var_os("PATH").into_iter().flat_map(|path| split_paths(&path).collect::<Vec<_>>());
    let kept = cache().map(|cache| installed(&cache.join("tools"))).unwrap_or_default();
    let found = on_path.chain(kept).map(|folder| folder.join(name)).find(|program| program.is_file());
    found.unwrap_or_else(|| {
        panic!("{name} is not on this machine: `cargo xtask ci --install --only tools` brings it")
    })
}

/// Where the gate keeps what it has fetched or built: `$SHOP_CACHE`, else `~/.cache/shop-testbed`.
pub fn cache() -> Option<PathBuf> {
    let default = || var_os("HOME").map(|home| Path::new(&home).join(".cache/shop-testbed"));
    var_os("SHOP_CACHE").map(PathBuf::from).or_else(default)
}

/// The program folders of all tools there; the newest version of one comes first.
fn installed(tools: &Path) -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir(tools) else { return Vec::new() };
    let mut folders: Vec<PathBuf> = entries.flatten().map(|entry| entry.path().join("bin")).collect();
    folders.sort();
    folders.reverse();
    folders
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_is_found_and_a_missing_one_names_the_command() {
        assert!(tool("sh").is_file());
        let missing = std::panic::catch_unwind(|| tool("no-such-program")).unwrap_err();
        assert!(missing.downcast_ref::<String>().unwrap().contains("--only tools"));
    }

    #[test]
    fn the_newest_kept_version_comes_first() {
        let tools = tempfile::tempdir().unwrap();
        for version in ["linter-1.0.0", "linter-1.2.0"] {
            std::fs::create_dir(tools.path().join(version)).unwrap();
        }
        assert_eq!(installed(tools.path())[0], tools.path().join("linter-1.2.0/bin"));
    }
}
