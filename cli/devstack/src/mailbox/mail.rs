//! One mail as it arrived. Knows nothing of how it came.

use mail_parser::MessageParser;
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use uuid::Uuid;

/// A mail: its envelope, what a person reads of it, and the bytes as sent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mail {
    /// Later mails have greater ones.
    pub id: Uuid,
    /// When it was taken.
    #[serde(with = "time::serde::rfc3339")]
    pub received_at: OffsetDateTime,
    /// The envelope's sender, which the text need not name.
    pub from: String,
    /// The envelope's recipients.
    pub to: Vec<String>,
    /// The decoded subject.
    pub subject: String,
    /// The decoded text part; made from the HTML part where there is no other.
    pub text: String,
    /// The decoded HTML part.
    pub html: Option<String>,
    /// The message as it was sent.
    pub raw: String,
}

impl Mail {
    pub(super) fn received(from: String, to: Vec<String>, raw: &[u8]) -> Self {
        let parsed = MessageParser::default().parse(raw);
        let parsed = parsed.as_ref();
        let is_html =
            parsed.is_some_and(|mail| mail.html_part(0).is_some_and(mail_parser::MessagePart::is_text_html));
        Self {
            id: Uuid::now_v7(),
            received_at: OffsetDateTime::now_utc(),
            from,
            to,
            subject: parsed.and_then(|mail| mail.subject()).unwrap_or_default().to_owned(),
            text: parsed.and_then(|mail| mail.body_text(0)).unwrap_or_default().into_owned(),
            html: parsed
                .filter(|_| is_html)
                .and_then(|mail| mail.body_html(0))
                .map(std::borrow::Cow::into_owned),
            raw: String::from_utf8_lossy(raw).into_owned(),
        }
    }

    /// Whether `address` is among the envelope's recipients.
    pub fn is_to(&self, address: &str) -> bool {
        self.to.iter().any(|to| to.eq_ignore_ascii_case(address))
    }

    /// The first link in the text that contains `part`.
    pub fn link(&self, part: &str) -> Option<&str> {
        let words = self.text.split(|c: char| c.is_whitespace() || matches!(c, '<' | '>' | '"'));
        words.into_iter().find(|word| word.starts_with("http") && word.contains(part))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_person_reads_is_decoded() {
        let raw = b"Subject: =?utf-8?q?Gr=C3=BC=C3=9Fe?=\r\nContent-Type: text/plain; charset=utf-8\r\n\
            Content-Transfer-Encoding: quoted-printable\r\n\r\nGeh zu <https://shop.test/verify?token=3Dabc>.=\r\n Gut\r\n";
        let mail = Mail::received("a@b.test".into(), vec!["C@d.test".into()], raw);
        assert_eq!(mail.subject, "Grüße");
        assert_eq!(mail.link("/verify"), Some("https://shop.test/verify?token=abc"));
        assert!(mail.text.contains(">. Gut"), "{}", mail.text);
        assert_eq!(mail.html, None);
        assert!(mail.is_to("c@D.test") && !mail.is_to("a@b.test"));
    }

    #[test]
    fn rubbish_is_kept_as_it_came() {
        let mail = Mail::received(String::new(), Vec::new(), b"\xff\0");
        assert_eq!(mail.raw, "\u{fffd}\0");
    }
}
