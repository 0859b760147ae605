//! Random bearer secrets: refresh tokens, mailed tokens, client secrets, recovery codes. Only their SHA-256 is
//! stored: they carry 256 (recovery codes: 80) random bits, so nothing slower is needed. Must not be logged.

use std::fmt;

use aws_lc_rs::{digest, rand};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use zeroize::Zeroizing;

/// SHA-256 of a secret: what the database keeps of it.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct SecretHash([u8; 32]);

impl SecretHash {
    /// The hash of some bytes.
    #[must_use]
    pub fn of(bytes: &[u8]) -> Self {
        let mut hash = [0; 32];
        hash.copy_from_slice(digest::digest(&digest::SHA256, bytes).as_ref());
        Self(hash)
    }

    /// For a `bytea` column.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

/// 256 random bits as 43 characters of base64url.
#[derive(Clone, PartialEq, Eq)]
pub struct Token(Zeroizing<String>);

impl Token {
    /// A new one from the system's random source.
    ///
    /// # Panics
    /// When the system has no random source: nothing can go on safely then.
    #[must_use]
    pub fn generate() -> Self {
        let mut bytes = Zeroizing::new([0; 32]);
        rand::fill(&mut *bytes).expect("the system has a random source");
        Self(Zeroizing::new(URL_SAFE_NO_PAD.encode(*bytes)))
    }

    /// A token as a client presents it; `None` when it cannot be one of ours.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let bytes = Zeroizing::new(URL_SAFE_NO_PAD.decode(text).ok()?);
        (bytes.len() == 32).then(|| Self(Zeroizing::new(text.to_owned())))
    }

    /// What is stored and looked up.
    #[must_use]
    pub fn hash(&self) -> SecretHash {
        SecretHash::of(self.0.as_bytes())
    }

    /// The token itself: for its owner, once.
    #[must_use]
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(hidden)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_comes_back_and_hides() {
        let token = Token::generate();
        assert_eq!(token.reveal().len(), 43);
        assert_eq!(Token::parse(token.reveal()), Some(token.clone()));
        assert_eq!(Token::parse(token.reveal()).unwrap().hash(), token.hash());
        assert!(!format!("{token:?}").contains(token.reveal()));
        assert_ne!(token, Token::generate());
    }

    #[test]
    fn what_is_none_of_ours_is_refused() {
        for text in ["", "x", &"A".repeat(42), &"A".repeat(44), &"?".repeat(43), "\0"] {
            assert_eq!(Token::parse(text), None, "{text:?}");
        }
    }
}
