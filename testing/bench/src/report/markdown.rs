//! The run as Markdown: what is committed, and what the terminal shows.

use std::fmt::Write as _;

use crate::result::{Case, Figure, Role, Row, Run, Verdict};
use crate::sample::Sample;
use crate::stats::Bound;

/// The whole page.
pub(crate) fn page(run: &Run) -> String {
    let mut text = format!(
        "# Benchmark\n\nMade by `cargo xtask bench`; what each column means and how to read it: [how-to](../howto/benchmark.md).\n\n\
         {}, {} cores, {} GiB, Linux {}; PostgreSQL {}; {} rounds of {} s, {} accounts; version {}, {}.\n\n\
         ![answers a second and CPU an answer](bench.svg)\n\n## Targets\n\n{}",
        run.machine.cpu,
        run.machine.cores,
        run.machine.memory_gib,
        run.machine.kernel,
        run.postgres,
        run.settings.rounds,
        run.settings.seconds,
        run.settings.users,
        run.version,
        run.at,
        verdicts(run.verdicts()),
    );
    for case in &run.cases {
        let _ = write!(text, "\n{}", self::case(case));
    }
    text
}

/// One case with its tables.
pub(crate) fn case(case: &Case) -> String {
    let mut text = format!("## {}\n\n", case.title);
    if let Some(why) = &case.invalid {
        let _ = writeln!(text, "**Invalid**: {why}.\n");
    }
    if !case.rows.is_empty() {
        text.push_str(
            "| | answers/s | p50 ms | p99 ms | CPU us server | PostgreSQL | generator | cores of others | to ours |\n\
             |---|--:|--:|--:|--:|--:|--:|--:|--:|\n",
        );
        let ours = case.rows[0].per_second();
        for line in &case.rows {
            text.push_str(&row(line, ours));
        }
    }
    if !case.figures.is_empty() {
        text.push_str("| | median | least | most |\n|---|--:|--:|--:|\n");
        case.figures.iter().for_each(|line| text.push_str(&figure(line)));
    }
    text
}

fn row(row: &Row, ours: f64) -> String {
    let p = |value: f64| if value.is_nan() { "–".to_owned() } else { format!("{value:.2}") };
    let us = |figure: fn(&Sample) -> f64| format!("{:.1}", row.middle(figure));
    format!(
        "| {} | {:.0} | {} | {} | {} | {} | {} | {:.2} | {:.2} |\n",
        name(&row.name, row.role),
        row.per_second(),
        p(row.middle(|s| s.p50_ms.unwrap_or(f64::NAN))),
        p(row.p99_ms().unwrap_or(f64::NAN)),
        us(|s| s.server_us),
        us(|s| s.postgres_us),
        us(|s| s.generator_us),
        row.middle(|s| s.foreign_cores),
        row.per_second() / ours,
    )
}

fn figure(figure: &Figure) -> String {
    let least = figure.values.iter().copied().fold(f64::INFINITY, f64::min);
    let most = figure.values.iter().copied().fold(0.0, f64::max);
    let (name, unit) = (name(&figure.name, figure.role), figure.unit);
    format!("| {name} | {:.1} {unit} | {least:.1} | {most:.1} |\n", figure.middle())
}

fn name(name: &str, role: Role) -> String {
    match role {
        Role::Ours => format!("**{name}**"),
        Role::Limit => format!("{name} (limit)"),
        Role::Peer => name.to_owned(),
    }
}

/// All targets.
pub(crate) fn verdicts<'a>(all: impl Iterator<Item = &'a Verdict>) -> String {
    let mut text = "| target | wanted | seen | by CPU | |\n|---|--:|--:|--:|---|\n".to_owned();
    for verdict in all {
        let sign = match verdict.bound {
            Bound::AtLeast => "≥",
            Bound::AtMost => "≤",
        };
        let unit = if verdict.unit == "x" { "×".to_owned() } else { format!(" {}", verdict.unit) };
        let digits = if verdict.unit == "x" { 2 } else { 1 };
        let by_cpu = verdict.by_cpu.map_or_else(|| "–".to_owned(), |ratio| format!("{ratio:.2}×"));
        let _ = writeln!(
            text,
            "| {} | {sign} {:.digits$}{unit} | {:.digits$}{unit} | {by_cpu} | {} |",
            verdict.what,
            verdict.target,
            verdict.seen,
            verdict.answer.words(),
        );
    }
    text
}
