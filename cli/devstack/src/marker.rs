//! The sign by which dev knows the databases and roles that it made: a comment on them. Whatever lacks it is never
//! touched. Runs no SQL.

use std::fmt;

const PREFIX: &str = "shop-dev:";
const SEEDED: &str = ":seeded";

/// What the comment on a database or role says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Marker {
    /// Made by dev for the stack with this id.
    Ours { seeded: bool },
    /// Made by dev for another stack.
    Others,
    /// Not made by dev.
    None,
}

impl Marker {
    /// Reads a comment as the stack `id` sees it.
    pub fn read(comment: Option<&str>, id: &str) -> Self {
        let Some(marked) = comment.and_then(|comment| comment.strip_prefix(PREFIX)) else {
            return Self::None;
        };
        match marked.strip_prefix(id) {
            Some("") => Self::Ours { seeded: false },
            Some(SEEDED) => Self::Ours { seeded: true },
            _ => Self::Others,
        }
    }

    /// The comment to write. The id is a UUID and needs no quoting.
    pub fn write(id: &str, seeded: bool) -> String {
        format!("{PREFIX}{id}{}", if seeded { SEEDED } else { "" })
    }
}

/// Why it is not ours, as the end of a sentence.
impl fmt::Display for Marker {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Ours { .. } => "was made by this stack",
            Self::Others => "was made by another stack of dev",
            Self::None => "was not made by dev (it lacks dev's marker)",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_whole_id_counts() {
        let read = |comment: Option<&str>| Marker::read(comment, "ab");
        for seeded in [false, true] {
            assert_eq!(read(Some(&Marker::write("ab", seeded))), Marker::Ours { seeded });
        }
        for others in ["shop-dev:abc", "shop-dev:", "shop-dev:ab ", "shop-dev:ab:seeded2"] {
            assert_eq!(read(Some(others)), Marker::Others, "{others}");
        }
        assert_eq!(read(Some("orders of 2019")), Marker::None);
        assert_eq!(read(None), Marker::None);
    }
}
