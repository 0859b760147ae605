//! Which servers outside the stack's own folders hold data of it: noted before data is made there, until it is dropped.
//! Holds no password and connects to nothing.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::record::{PostgresRecord, Source};
use crate::stack::Stack;
use crate::trouble::Result;

/// The file in the stack's folder.
pub(crate) const FILE: &str = "server.json";

/// A server that was given by its URL, or a container.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct KnownServer {
    pub(crate) source: Source,
    pub(crate) address: String,
    /// Without the password.
    pub(crate) url: String,
    pub(crate) password_file: Option<PathBuf>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Written {
    All(Vec<KnownServer>),
    /// As earlier versions wrote it: the last one alone, wherever it was.
    Last(KnownServer),
}

impl KnownServer {
    /// A stack has one container at most, on a port that may change.
    fn is_same(&self, other: &Self) -> bool {
        self.source == other.source && (self.source == Source::Docker || self.address == other.address)
    }
}

/// Every server that may hold data of the stack, in the order in which they were first used.
pub(crate) fn all(stack: &Stack) -> Result<Vec<KnownServer>> {
    let next = format!(
        "mend or delete {}; without it, data at a server elsewhere is found by `shopctl dev reset --database-url` alone",
        stack.path(FILE).display()
    );
    let mut servers = match stack.read(FILE, next)? {
        None => Vec::new(),
        Some(Written::All(servers)) => servers,
        Some(Written::Last(server)) => vec![server],
    };
    // Our own folders are found without a note.
    servers.retain(|server| matches!(server.source, Source::Url | Source::Docker));
    Ok(servers)
}

/// Notes the server that is about to get data; one in our own folders needs no note.
pub(crate) fn note(stack: &Stack, record: &PostgresRecord) -> Result<()> {
    if !matches!(record.source, Source::Url | Source::Docker) {
        return Ok(());
    }
    let used = KnownServer {
        source: record.source,
        address: record.address.clone(),
        url: record.url.clone(),
        password_file: record.password_file.clone(),
    };
    let mut servers = all(stack)?;
    match servers.iter_mut().find(|server| server.is_same(&used)) {
        Some(known) => *known = used,
        None => servers.push(used),
    }
    Ok(stack.folder().write_json(FILE, &servers)?)
}

/// Forgets a server that holds no data of the stack any more.
pub(crate) fn forget(stack: &Stack, server: &KnownServer) -> Result<()> {
    let mut servers = all(stack)?;
    servers.retain(|known| !known.is_same(server));
    Ok(stack.folder().write_json(FILE, &servers)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_earlier_versions_wrote_is_read() {
        let folder = tempfile::tempdir().unwrap();
        let stack = Stack::open(folder.path(), Some(folder.path().join("state"))).unwrap();
        let old = |source: &str| {
            format!(
                r#"{{"source": "{source}", "why": "its address was given", "version": "PostgreSQL 15.13",
                "address": "db:5432", "url": "postgres://shop@db/shop", "password_file": null, "proc": null}}"#
            )
        };
        std::fs::write(stack.path(FILE), old("url")).unwrap();
        let known = all(&stack).unwrap();
        assert_eq!((known.len(), known[0].url.as_str()), (1, "postgres://shop@db/shop"));
        forget(&stack, &known[0]).unwrap();
        assert_eq!(all(&stack).unwrap(), []);
        std::fs::write(stack.path(FILE), old("local")).unwrap();
        assert_eq!(all(&stack).unwrap(), [], "it is found by its folder");
    }
}
