//! The tests of shop-platform: one binary, a module a concern.
mod generated;
mod hostile;
mod laws;
mod layers;
mod mistakes;
mod real;
mod types;

use std::fmt::Write as _;

use miette::{GraphicalReportHandler, GraphicalTheme};
use shop_platform::{Platform, Problem, Problems};

/// Three services, three environments, no mistake.
const FIXTURE: &str = include_str!("../fixtures/three-services.toml");

/// The fixture with one piece of text replaced; the piece must be there exactly once.
fn fixture_with(from: &str, to: &str) -> String {
    assert_eq!(FIXTURE.matches(from).count(), 1, "the fixture has {from:?} exactly once");
    FIXTURE.replace(from, to)
}

fn problems_of(text: &str) -> Problems {
    Platform::parse("shop.toml", text).expect_err("the text has a mistake")
}

/// The codes of all problems, each with the text of its line.
fn codes_and_lines<'a>(problems: &'a Problems, text: &'a str) -> Vec<(&'a str, &'a str)> {
    let line =
        |problem: &Problem| text.lines().nth(problems.position(problem).0 - 1).expect("a line of the text");
    problems.iter().map(|problem| (problem.code, line(problem))).collect()
}

/// All problems as shopctl shows them.
fn shown(text: &str) -> String {
    let handler = GraphicalReportHandler::new_themed(GraphicalTheme::unicode_nocolor())
        .with_links(false)
        .with_width(100);
    let mut out = String::new();
    for problem in problems_of(text).diagnostics() {
        handler.render_report(&mut out, &problem).expect("renders");
        writeln!(out).expect("writes");
    }
    out
}
