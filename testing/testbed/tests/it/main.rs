//! The testbed's program and library, each in a cache of its own, with real servers.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod databases;
mod kubernetes;
mod parts;
mod program;

use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt;

/// A cache that a server under another account can enter, and that leaves no process behind.
struct Cache(tempfile::TempDir);

impl Cache {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        std::fs::set_permissions(dir.path(), std::fs::Permissions::from_mode(0o711)).unwrap();
        Self(dir)
    }

    fn path(&self) -> &std::path::Path {
        self.0.path()
    }

    fn servers(&self) -> std::path::PathBuf {
        self.0.path().join("servers")
    }

    fn bed(&self) -> shop_testbed::Bed {
        shop_testbed::Bed {
            servers: self.servers(),
            install: false,
            program: None,
            tools: tools(),
            given: BTreeMap::new(),
            tell: |_| {},
        }
    }

    /// `shop-testbed` in this cache, without what the developer's own environment names.
    fn program(&self, arguments: &[&str]) -> assert_cmd::Command {
        let mut command = assert_cmd::Command::new(env!("CARGO_BIN_EXE_shop-testbed"));
        command
            .env("SHOP_CACHE", self.0.path())
            .env("SHOP_TOOLS", tools())
            .env_remove("DATABASE_URL")
            .env_remove("REDIS_URL")
            .env_remove("CI");
        command.args(arguments);
        command
    }
}

/// Programs are shared with all tests of this machine: some take minutes to build.
fn tools() -> std::path::PathBuf {
    shop_testbed::Bed::from_env().unwrap().tools
}

impl Drop for Cache {
    fn drop(&mut self) {
        self.program(&["down"]).ok().ok();
    }
}
