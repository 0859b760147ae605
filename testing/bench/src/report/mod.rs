//! What a run found, written down: JSON for machines, Markdown with a chart for people. Measures nothing.

mod chart;
mod markdown;

use std::path::Path;

use anyhow::{Context, Result};

use crate::result::Run;

pub(crate) use markdown::{case as case_text, verdicts as verdicts_text};

/// Writes `bench.json`, `bench.md` and `bench.svg`.
pub(crate) fn write(run: &Run, dir: &Path) -> Result<()> {
    std::fs::create_dir_all(dir)?;
    let put = |name: &str, text: &str| {
        let path = dir.join(name);
        std::fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))
    };
    put("bench.json", &format!("{}\n", serde_json::to_string_pretty(run)?))?;
    put("bench.svg", &chart::draw(run))?;
    put("bench.md", &markdown::page(run))
}
