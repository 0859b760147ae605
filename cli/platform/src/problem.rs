//! What is wrong with a platform file: each problem with its place, what is expected, and a hint.
//! Must not print: `shopctl` renders it as text or as data.
use std::fmt::{self, Display};
use std::ops::Range;

use miette::{Diagnostic, LabeledSpan, MietteError, NamedSource, SourceCode, SourceSpan, SpanContents};

use crate::source::Source;

/// One mistake in the file.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Problem {
    /// The id of the broken law (`SHOP-L001`), or the kind of mistake (`unknown-key`, `syntax`, …).
    pub code: &'static str,
    /// What is wrong: a lowercase fragment.
    pub message: String,
    /// The words under the caret.
    pub label: String,
    /// What to do next.
    pub hint: Option<String>,
    /// The bytes of the file that are wrong; its first line only.
    pub span: Range<usize>,
}

/// Every mistake of one file, in the order of the file.
#[derive(Debug, Clone)]
pub struct Problems {
    source: Source,
    list: Vec<Problem>,
}

impl Problems {
    /// The problems in the order of the file; never empty.
    pub fn iter(&self) -> impl Iterator<Item = &Problem> {
        self.list.iter()
    }

    /// The file's name as it was given.
    #[must_use]
    pub fn file(&self) -> &str {
        &self.source.name
    }

    /// Line and column of a problem, both from 1.
    #[must_use]
    pub fn position(&self, problem: &Problem) -> (usize, usize) {
        self.source.position(problem.span.start)
    }

    /// Each problem with the text around it, for miette's handlers.
    pub fn diagnostics(&self) -> impl Iterator<Item = impl Diagnostic> {
        let text = NamedSource::new(self.file(), printable(&self.source.text));
        self.list.iter().map(move |problem| Shown { problem: problem.clone(), text: WholeLine(text.clone()) })
    }
}

impl Display for Problems {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.list.len() {
            1 => write!(formatter, "{} has a mistake", self.file()),
            many => write!(formatter, "{} has {many} mistakes", self.file()),
        }
    }
}

impl std::error::Error for Problems {}

#[derive(Debug)]
struct Shown {
    problem: Problem,
    text: WholeLine,
}

/// How much of a very long line is shown on each side of a problem, in bytes.
const WIDEST: usize = 120;

/// Shows the whole line around a problem and no other, however much context is asked for.
#[derive(Debug, Clone)]
struct WholeLine(NamedSource<String>);

impl SourceCode for WholeLine {
    fn read_span<'a>(
        &'a self,
        span: &SourceSpan,
        before: usize,
        after: usize,
    ) -> Result<Box<dyn SpanContents<'a> + 'a>, MietteError> {
        if before + after == 0 {
            return self.0.read_span(span, 0, 0); // asked for the position, not for the text around it
        }
        let text = self.0.inner();
        let (from, to) = (span.offset(), span.offset() + span.len());
        let line_start = text[..from].rfind('\n').map_or(0, |at| at + 1);
        let line_end = text[to..].find('\n').map_or(text.len(), |at| to + at);
        let start = text.ceil_char_boundary(line_start.max(from.saturating_sub(WIDEST)));
        let end = text.floor_char_boundary(line_end.min(to + WIDEST));
        self.0.read_span(&(start..end).into(), 0, 0)
    }
}

impl Display for Shown {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.problem.message)
    }
}

impl std::error::Error for Shown {}

impl Diagnostic for Shown {
    fn code<'a>(&'a self) -> Option<Box<dyn Display + 'a>> {
        // The kind of a plain mistake says nothing that its message does not.
        self.problem.code.starts_with("SHOP-").then(|| Box::new(self.problem.code) as Box<dyn Display>)
    }

    fn help<'a>(&'a self) -> Option<Box<dyn Display + 'a>> {
        self.problem.hint.as_ref().map(|hint| Box::new(hint) as Box<dyn Display>)
    }

    fn source_code(&self) -> Option<&dyn SourceCode> {
        let is_empty = self.text.0.inner().trim().is_empty();
        (!is_empty).then_some(&self.text)
    }

    fn labels(&self) -> Option<Box<dyn Iterator<Item = LabeledSpan> + '_>> {
        let label = Some(self.problem.label.clone());
        Some(Box::new(std::iter::once(LabeledSpan::new_with_span(label, self.problem.span.clone()))))
    }
}

/// A message that quotes a value of thousands of characters, cut.
fn shortened(mut message: String) -> String {
    if message.len() > 2 * WIDEST {
        message.truncate(message.floor_char_boundary(2 * WIDEST));
        message.push('…');
    }
    message
}

/// `text` with what would steer a terminal replaced by a character of as many bytes, so that places stay.
fn printable(text: &str) -> String {
    let safe = |c: char| match c {
        '\n' | '\t' => c,
        '\r' | '\0'..='\x1f' | '\x7f' => ' ',
        '\u{80}'..='\u{9f}' => '·',
        _ => c,
    };
    text.chars().map(safe).collect()
}

/// Collects problems while the file is read; the same problem found twice (in two environments) counts once.
#[derive(Debug)]
pub(crate) struct Collector {
    pub(crate) source: Source,
    list: Vec<Problem>,
}

impl Collector {
    pub(crate) fn new(source: Source) -> Self {
        Self { source, list: Vec::new() }
    }

    pub(crate) fn add(&mut self, problem: Problem) {
        let span = self.source.first_line(problem.span.clone());
        let problem = Problem { span, message: shortened(problem.message), ..problem };
        if !self.list.contains(&problem) {
            self.list.push(problem);
        }
    }

    /// The value if nothing was wrong, else everything that was.
    pub(crate) fn finish<T>(mut self, value: Option<T>) -> Result<T, Problems> {
        match value {
            Some(value) if self.list.is_empty() => Ok(value),
            _ => {
                self.list.sort_by_key(|problem| problem.span.start);
                Err(Problems { source: self.source, list: self.list })
            }
        }
    }
}

impl Problem {
    pub(crate) fn new(code: &'static str, span: Range<usize>, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), label: "here".to_owned(), hint: None, span }
    }

    pub(crate) fn label(self, label: impl Into<String>) -> Self {
        Self { label: label.into(), ..self }
    }

    pub(crate) fn hint(self, hint: impl Into<String>) -> Self {
        Self { hint: Some(hint.into()), ..self }
    }
}

/// The known word that `written` was probably meant to be: at most a third of its letters off.
pub(crate) fn did_you_mean<'a>(written: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    known
        .into_iter()
        .map(|word| (strsim::damerau_levenshtein(&written.to_lowercase(), word), word))
        .filter(|(distance, word)| *distance <= (word.len() / 3).max(1))
        .min()
        .map(|(_, word)| word)
}
