//! Where a Java that is new enough lies. Installs none: Debian's is older, and a runtime without its modules is not enough.

use std::path::PathBuf;

use crate::{Error, Result};

/// The least that Elasticsearch 9 and SonarQube 26 run on.
const LEAST: u32 = 21;

/// The home of the newest JDK of this machine that `part` can run on: `JAVA_HOME`, else below `/usr/lib/jvm`.
pub(super) fn home(part: &'static str) -> Result<PathBuf> {
    let named = std::env::var_os("JAVA_HOME").map(PathBuf::from);
    let below = std::fs::read_dir("/usr/lib/jvm").into_iter().flatten().flatten().map(|entry| entry.path());
    let fitting = named.into_iter().chain(below).filter_map(|home| Some((version(&home)?, home)));
    let newest = fitting.filter(|(version, _)| *version >= LEAST).max();
    let how = || format!("a JDK of {LEAST} or later, below /usr/lib/jvm or named by JAVA_HOME");
    newest.map(|(_, home)| home).ok_or_else(|| Error::Absent { part, how: how() })
}

/// What `release` says, the file that every JDK has.
fn version(home: &std::path::Path) -> Option<u32> {
    let text = std::fs::read_to_string(home.join("release")).ok()?;
    home.join("bin/java").is_file().then_some(())?;
    let line = text.lines().find_map(|line| line.strip_prefix("JAVA_VERSION="))?;
    line.trim_matches('"').split('.').next()?.parse().ok()
}
