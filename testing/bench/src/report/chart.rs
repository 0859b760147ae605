//! The run as one small SVG: a bar a contender, answers a second. Readable on a light and on a dark page.

use std::fmt::Write as _;

use crate::result::{Role, Run};

const LEFT: f64 = 190.0;
const BAR: f64 = 400.0;
const LINE: f64 = 20.0;
const WIDTH: f64 = 720.0;

/// Draws every case that has contenders under load, each on its own scale.
pub(crate) fn draw(run: &Run) -> String {
    let mut body = String::new();
    let mut y = 8.0;
    for case in run.cases.iter().filter(|case| !case.rows.is_empty() && case.invalid.is_none()) {
        y += LINE;
        let _ = writeln!(
            body,
            r#"<text x="8" y="{y}" class="h">{}: answers a second</text>"#,
            escaped(case.title)
        );
        let most = case.rows.iter().map(crate::result::Row::per_second).fold(1.0, f64::max);
        for row in &case.rows {
            y += LINE;
            let class = match row.role {
                Role::Ours => "ours",
                Role::Limit => "limit",
                Role::Peer => "peer",
            };
            let width = BAR * row.per_second() / most;
            let (name, end) = (escaped(&row.name), LEFT + width + 6.0);
            let p99 = row.p99_ms().map_or_else(String::new, |ms| format!(", p99 {ms:.1} ms"));
            let _ = writeln!(
                body,
                r#"<text x="{}" y="{y}" text-anchor="end">{name}</text><rect class="{class}" x="{LEFT}" y="{}" width="{width:.1}" height="14"/><text x="{end:.1}" y="{y}">{:.0}{p99}</text>"#,
                LEFT - 8.0,
                y - 11.0,
                row.per_second(),
            );
        }
        y += LINE / 2.0;
    }
    let height = y + LINE;
    format!(
        r#"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" height="{height}" role="img" aria-label="Answers a second of each contender">
<style>text{{font:12px system-ui,sans-serif;fill:#555}}.h{{font-weight:600}}.ours{{fill:#d9682b}}.limit{{fill:#9aa0a6}}.peer{{fill:#5b8dbf}}@media(prefers-color-scheme:dark){{text{{fill:#ccc}}}}</style>
{body}</svg>
"#
    )
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}
