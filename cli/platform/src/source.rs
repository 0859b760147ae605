//! The text of a platform file and where in it a byte is. Must not interpret the text.
use std::ops::Range;
use std::sync::Arc;

/// More than this under a caret helps nobody, in bytes.
const LONGEST: usize = 120;

/// A file's text with its name as the reader knows it.
#[derive(Debug, Clone)]
pub(crate) struct Source {
    pub(crate) name: Arc<str>,
    pub(crate) text: Arc<str>,
}

impl Source {
    pub(crate) fn new(name: &str, text: &str) -> Self {
        Self { name: name.into(), text: text.into() }
    }

    /// Line and column of a byte, both from 1; the column counts characters.
    pub(crate) fn position(&self, offset: usize) -> (usize, usize) {
        let before = &self.text[..self.floor(offset)];
        let line_start = before.rfind('\n').map_or(0, |at| at + 1);
        (before.matches('\n').count() + 1, before[line_start..].chars().count() + 1)
    }

    /// `span` cut to a readable part of its first line. Where it is empty (the end of a line, where something is
    /// missing) it becomes the character before.
    pub(crate) fn first_line(&self, span: Range<usize>) -> Range<usize> {
        let (start, end) = (self.floor(span.start), self.floor(span.end.min(span.start + LONGEST)));
        let line = self.text[start..end.max(start)].lines().next().unwrap_or_default().trim_end();
        let before = self.text[..start].chars().next_back().filter(|c| *c != '\n');
        match before {
            Some(before) if line.is_empty() => start - before.len_utf8()..start,
            _ => start..start + line.len(),
        }
    }

    fn floor(&self, offset: usize) -> usize {
        self.text.floor_char_boundary(offset)
    }
}
