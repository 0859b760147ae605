//! E-mail addresses as accounts are keyed by them. Must not let an address reach a log: `Debug` hides it.

use std::fmt;

use shop_api::users::{EmailError, check_email};

/// A checked address in the form accounts are keyed by: ASCII, lower case, at most 254 characters.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Email(String);

impl Email {
    /// Reads an address as people type it: space around it is dropped and case is folded.
    pub fn parse(text: &str) -> Result<Self, EmailError> {
        check_email(text)?;
        Ok(Self(text.trim().to_ascii_lowercase()))
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
