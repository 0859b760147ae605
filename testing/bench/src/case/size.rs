//! Size of the built program.

use anyhow::{Context, Result};

use super::Bench;
use crate::result::{Case, Figure, Role, Verdict};

const TARGET_MB: f64 = 25.0;

pub(super) fn run(bench: &Bench<'_>) -> Result<Case> {
    let program = bench.service.program();
    let bytes =
        std::fs::metadata(program).with_context(|| format!("cannot read {}", program.display()))?.len();
    let name = bench.ours.name.to_owned();
    let figures = vec![Figure { name, role: Role::Ours, unit: "MB", values: vec![bytes as f64 / 1e6] }];
    let verdicts = vec![Verdict::of_figure("size of the program", &figures[0], TARGET_MB)];
    Ok(Case { id: "size", title: "Size of the program", rows: vec![], figures, verdicts, invalid: None })
}
