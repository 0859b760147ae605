//! Colours by meaning, and the decision whether to use any. Colour never carries meaning alone.
use std::fmt::Display;

use anstyle::{AnsiColor, Style};

use crate::args::Color;

/// Paints text by its meaning, or leaves it plain.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Paint {
    on: bool,
}

impl Paint {
    /// NO_COLOR (no-color.org: present and not empty) and a dumb terminal win over `auto`, a flag wins over both.
    pub(crate) fn choose(color: Color, is_terminal: bool) -> Self {
        let on = match color {
            Color::Always => true,
            Color::Never => false,
            Color::Auto => is_terminal && !variable_is_set("NO_COLOR") && !is_dumb_terminal(),
        };
        Self { on }
    }

    pub(crate) fn is_on(self) -> bool {
        self.on
    }

    pub(crate) fn good(self, text: impl Display) -> String {
        self.apply(AnsiColor::Green.on_default(), text)
    }

    pub(crate) fn bad(self, text: impl Display) -> String {
        self.apply(AnsiColor::Red.on_default().bold(), text)
    }

    pub(crate) fn warning(self, text: impl Display) -> String {
        self.apply(AnsiColor::Yellow.on_default().bold(), text)
    }

    pub(crate) fn hint(self, text: impl Display) -> String {
        self.apply(AnsiColor::Cyan.on_default().bold(), text)
    }

    pub(crate) fn strong(self, text: impl Display) -> String {
        self.apply(Style::new().bold(), text)
    }

    pub(crate) fn faint(self, text: impl Display) -> String {
        self.apply(Style::new().dimmed(), text)
    }

    fn apply(self, style: Style, text: impl Display) -> String {
        if self.on { format!("{style}{text}{style:#}") } else { text.to_string() }
    }
}

pub(crate) fn is_dumb_terminal() -> bool {
    std::env::var_os("TERM").is_some_and(|term| term == "dumb")
}

fn variable_is_set(name: &str) -> bool {
    std::env::var_os(name).is_some_and(|value| !value.is_empty())
}
