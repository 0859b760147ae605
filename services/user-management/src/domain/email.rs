//! E-mail addresses as accounts are keyed by them. Must not let an address reach a log: `Debug` hides it.

use std::fmt;

/// A checked address in the form accounts are keyed by: ASCII, lower case, at most 254 characters.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Email(String);

/// Why a text is no address that mail can be sent to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum EmailError {
    #[error("is not an e-mail address: name@domain.example is expected")]
    Shape,
    #[error("is longer than 254 characters")]
    TooLong,
    #[error("may hold only ASCII: write an international domain in its xn-- form")]
    NotAscii,
}

impl Email {
    /// Reads an address as people type it: space around it is dropped and case is folded.
    ///
    /// Quoted local parts and address literals (RFC 5321 §4.1.2) are refused: no mailbox provider hands them
    /// out, and they are a classic way to slip through checks further on.
    pub fn parse(text: &str) -> Result<Self, EmailError> {
        let text = text.trim();
        if !text.is_ascii() {
            return Err(EmailError::NotAscii);
        }
        if text.len() > 254 {
            return Err(EmailError::TooLong);
        }
        let (local, domain) = text.rsplit_once('@').ok_or(EmailError::Shape)?;
        if is_local_part(local) && is_domain(domain) {
            Ok(Self(text.to_ascii_lowercase()))
        } else {
            Err(EmailError::Shape)
        }
    }

    /// The address, for the database and the mailer.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// What stands before the `@`.
    #[must_use]
    pub fn local_part(&self) -> &str {
        self.0.split_once('@').map_or("", |(local, _)| local)
    }
}

impl fmt::Debug for Email {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Email(hidden)")
    }
}

/// Dot-separated atoms (RFC 5322 §3.2.3), at most 64 characters (RFC 5321 §4.5.3.1.1).
fn is_local_part(local: &str) -> bool {
    let atom = |c: u8| c.is_ascii_alphanumeric() || b"!#$%&'*+-/=?^_`{|}~".contains(&c);
    local.len() <= 64 && local.split('.').all(|part| !part.is_empty() && part.bytes().all(atom))
}

/// At least two labels, none of them odd, and a last one that is not a number (that would be an IP address).
fn is_domain(domain: &str) -> bool {
    let label = |label: &str| {
        (1..=63).contains(&label.len())
            && label.bytes().all(|c| c.is_ascii_alphanumeric() || c == b'-')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    let last_is_name = |last: &str| !last.bytes().all(|c| c.is_ascii_digit());
    domain.split('.').all(label) && domain.rsplit_once('.').is_some_and(|(_, last)| last_is_name(last))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_folded_and_trimmed() {
        assert_eq!(
            Email::parse("  Ada.Lovelace+Shop@Example.ORG ").unwrap().as_str(),
            "ada.lovelace+shop@example.org"
        );
        assert_eq!(Email::parse("a@b.co").unwrap().local_part(), "a");
    }

    #[test]
    fn what_is_no_address_is_refused() {
        for text in [
            "",
            "@",
            "ada",
            "ada@",
            "@example.org",
            "ada@example",
            "ada@@example.org",
            "a b@example.org",
            ".ada@example.org",
            "ada.@example.org",
            "a..b@example.org",
            "ada@-x.org",
            "ada@x-.org",
            "ada@10.0.0.1",
            "\"ada\"@example.org",
            "ada@[10.0.0.1]",
            "ada@example..org",
            "ada@example.org\r\nBcc: x@y.zz",
        ] {
            assert_eq!(Email::parse(text), Err(EmailError::Shape), "{text:?}");
        }
        assert_eq!(Email::parse("ada@exämple.org"), Err(EmailError::NotAscii));
        assert_eq!(Email::parse(&format!("a@{}.org", "x.".repeat(200))), Err(EmailError::TooLong));
        assert_eq!(Email::parse(&format!("{}@example.org", "x".repeat(65))), Err(EmailError::Shape));
    }

    #[test]
    fn debug_hides_the_address() {
        assert!(!format!("{:?}", Email::parse("ada@example.org").unwrap()).contains("ada"));
    }

    proptest::proptest! {
        #[test]
        fn any_text_is_read_or_refused_and_reading_twice_changes_nothing(text in ".{0,80}") {
            if let Ok(email) = Email::parse(&text) {
                proptest::prop_assert_eq!(Email::parse(email.as_str()), Ok(email.clone()));
                proptest::prop_assert!(!email.as_str().contains(char::is_whitespace));
            }
        }
    }
}
