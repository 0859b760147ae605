//! Text of others on a terminal: a control character in it is shown and not obeyed. Must not be asked for text of our own,
//! which has colours.

/// Text that is one line: a subject, an address.
pub(crate) fn line(text: &str) -> String {
    text.chars().fold(String::with_capacity(text.len()), |mut shown, c| {
        match c.is_control() {
            true => shown.extend(c.escape_default()),
            false => shown.push(c),
        }
        shown
    })
}

/// Text of several lines, whichever way they end; tabs stay.
pub(crate) fn lines(text: &str) -> String {
    let tabs = |text: &str| text.split('\t').map(line).collect::<Vec<_>>().join("\t");
    text.lines().map(tabs).collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_terminal_would_obey_is_shown() {
        let hostile = "\u{1b}]0;title\u{7}\u{1b}[2J\u{9b}1mGr\rüße";
        let shown = "\\u{1b}]0;title\\u{7}\\u{1b}[2J\\u{9b}1mGr\\rüße";
        assert_eq!(line(hostile), shown);
        assert_eq!(line("a\nb\tc"), "a\\nb\\tc");
        assert_eq!(
            lines(&format!("one\r\n\ttwo {hostile}\n\nthree")),
            format!("one\n\ttwo {shown}\n\nthree")
        );
    }
}
