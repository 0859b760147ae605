//! How an error looks: as text with its causes, places and hints, or as data. Must not print.
use std::fmt::Write as _;

use miette::{GraphicalReportHandler, GraphicalTheme};
use serde::Serialize;
use shop_platform::Problems;

use super::{Paint, REPORT_AT, as_typed};
use crate::error::CommandError;
use crate::exit::Exit;

/// `error:` with the message, then what caused it or each place in the file, then the hints.
pub(super) fn text(error: &CommandError, paint: Paint) -> String {
    let mut text = match error.problems() {
        Some(problems) => places(problems, paint),
        None => String::new(),
    };
    line(&mut text, &paint.bad("error:"), &error.message);
    if error.problems().is_none() {
        for cause in error.causes() {
            line(&mut text, &paint.faint("  because:"), &cause);
        }
    }
    for hint in &error.hints {
        line(&mut text, &paint.hint("hint:"), &as_typed(hint));
    }
    if error.kind == Exit::Unexpected {
        line(&mut text, &paint.hint("hint:"), &format!("if this looks like a bug, report it at {REPORT_AT}"));
    }
    text
}

fn line(text: &mut String, label: &str, words: &str) {
    writeln!(text, "{label} {words}").expect("a string takes everything");
}

/// Each mistake with its line, a caret and its hint.
fn places(problems: &Problems, paint: Paint) -> String {
    let theme = if paint.is_on() { GraphicalTheme::unicode() } else { GraphicalTheme::unicode_nocolor() };
    let handler = GraphicalReportHandler::new_themed(theme).with_links(false).with_width(100);
    let mut text = String::new();
    for problem in problems.diagnostics() {
        handler.render_report(&mut text, &problem).expect("a string takes everything");
        text.push('\n');
    }
    text
}

/// The same facts for a program.
pub(super) fn document(error: &CommandError) -> impl Serialize {
    let problems = error.problems();
    let places = problems.map(|all| {
        let place = |problem: &shop_platform::Problem| {
            let (line, column) = all.position(problem);
            Place {
                code: problem.code,
                message: problem.message.clone(),
                label: problem.label.clone(),
                hint: problem.hint.clone(),
                file: all.file().to_owned(),
                line,
                column,
            }
        };
        all.iter().map(place).collect()
    });
    ErrorDocument {
        error: ErrorBody {
            kind: error.kind,
            code: error.kind.code(),
            message: error.message.clone(),
            causes: if problems.is_some() { Vec::new() } else { error.causes() },
            hints: error.hints.iter().map(|hint| as_typed(hint)).collect(),
            problems: places,
        },
    }
}

#[derive(Serialize)]
struct ErrorDocument {
    error: ErrorBody,
}

#[derive(Serialize)]
struct ErrorBody {
    kind: Exit,
    code: u8,
    message: String,
    causes: Vec<String>,
    hints: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    problems: Option<Vec<Place>>,
}

#[derive(Serialize)]
struct Place {
    code: &'static str,
    message: String,
    label: String,
    hint: Option<String>,
    file: String,
    line: usize,
    column: usize,
}
