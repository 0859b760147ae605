//! The redaction layer: secrets that a command has touched are masked in whatever is printed afterwards.
//! Must not decide what is a secret: whoever reads one registers it.
use std::borrow::Cow;
use std::sync::{Arc, PoisonError, RwLock};

const MASK: &str = "[redacted]";

/// Masking shorter text would blank out ordinary words; nothing that short is a secret worth the name.
const SHORTEST: usize = 4;

/// The secrets known so far. Clones share them.
#[derive(Clone, Default)]
pub(crate) struct Redactor {
    secrets: Arc<RwLock<Vec<String>>>,
}

impl Redactor {
    /// Masks `secret` from now on: as it is, as JSON writes it, and as a URL writes it.
    pub(crate) fn register(&self, secret: &str) {
        let json = serde_json::Value::from(secret).to_string();
        let url: String = url::form_urlencoded::byte_serialize(secret.as_bytes()).collect();
        let forms = [secret, json.trim_matches('"'), &url, &url.replace('+', "%20")];
        let mut secrets = self.secrets.write().unwrap_or_else(PoisonError::into_inner);
        for form in forms {
            if form.len() >= SHORTEST && !secrets.iter().any(|known| known == form) {
                secrets.push(form.to_owned());
            }
        }
        // The longest first: a secret that contains another must not leave its tail behind.
        secrets.sort_by_key(|known| std::cmp::Reverse(known.len()));
    }

    pub(crate) fn redact<'a>(&self, text: &'a str) -> Cow<'a, str> {
        let secrets = self.secrets.read().unwrap_or_else(PoisonError::into_inner);
        secrets.iter().fold(Cow::Borrowed(text), |text, secret| {
            if text.contains(secret.as_str()) { text.replace(secret, MASK).into() } else { text }
        })
    }
}

/// Shows how many, never which.
impl std::fmt::Debug for Redactor {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let secrets = self.secrets.read().unwrap_or_else(PoisonError::into_inner);
        write!(formatter, "Redactor({} forms)", secrets.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_registered_secret_is_masked_in_every_form_it_is_written() {
        let redactor = Redactor::default();
        redactor.register("s3cr\"et/ü x");
        for text in ["s3cr\"et/ü x", "s3cr\\\"et/ü x", "s3cr%22et%2F%C3%BC+x", "s3cr%22et%2F%C3%BC%20x"] {
            assert_eq!(redactor.redact(text), MASK, "{text}");
        }
    }

    #[test]
    fn a_secret_inside_another_leaves_no_tail() {
        let redactor = Redactor::default();
        redactor.register("hunter22");
        redactor.register("hunter22-and-more");
        assert_eq!(redactor.redact("x hunter22-and-more y hunter22"), "x [redacted] y [redacted]");
    }

    #[test]
    fn debug_output_holds_no_secret() {
        let redactor = Redactor::default();
        redactor.register("hunter22");
        assert!(!format!("{redactor:?}").contains("hunter22"));
    }
}
