//! The components on this machine's real programs.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod addresses;
mod bench;
mod data;
mod extras;
mod failures;
mod listening;
mod mailbox;
mod orphans;
mod parts;
mod postgres;
mod process;
mod redis;
mod reset;
mod stack;
mod state;
mod watching;

use std::os::unix::fs::PermissionsExt;

/// A folder that a server under another account can enter.
fn folder() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    std::fs::set_permissions(dir.path(), std::fs::Permissions::from_mode(0o711)).unwrap();
    dir
}
