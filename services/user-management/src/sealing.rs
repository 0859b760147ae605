//! AES-256-GCM for the few secrets that must be read back: second-factor seeds (under mounted keys) and, for ten
//! seconds, the successor of a refresh token (under a key made from the token itself). Keys never leave here.

use std::path::PathBuf;
use std::sync::{Arc, PoisonError, RwLock};

use aws_lc_rs::aead::{AES_256_GCM, Aad, NONCE_LEN, Nonce, RandomizedNonceKey};
use aws_lc_rs::hkdf;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use shop_kit::config::read_text;
use zeroize::Zeroizing;

use crate::domain::token::Token;

/// Why a key file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    #[error("cannot be read: {0}")]
    Unreadable(#[from] std::io::Error),
    #[error(
        "holds no key: one line of base64 that decodes to 32 bytes is expected, as `openssl rand -base64 32` prints it"
    )]
    Empty,
    #[error("has a line {0} that is not base64 of 32 bytes: make one with `openssl rand -base64 32`")]
    Line(usize),
}

/// The sealer of a mounted key file. It follows the file: a key that is put above the old one counts without a restart.
pub struct KeyFile {
    path: PathBuf,
    /// With the text that it was made from.
    held: RwLock<(Zeroizing<String>, Arc<Sealer>)>,
}

impl KeyFile {
    /// Reads it.
    ///
    /// # Errors
    /// Says what is wrong with it.
    pub fn open(path: PathBuf) -> Result<Self, KeyError> {
        let text = Zeroizing::new(read_text(&path)?);
        let sealer = Arc::new(Sealer::from_key_file(&text)?);
        Ok(Self { path, held: RwLock::new((text, sealer)) })
    }

    /// The keys that the file holds now. Where it cannot be used any more, those that it held before.
    pub fn sealer(&self) -> Arc<Sealer> {
        // Seeds are sealed and opened seldom, each time beside a hash of a password: reading a line costs nothing there.
        match self.read_again() {
            Ok(sealer) => sealer,
            Err(error) => {
                tracing::error!(%error, file = %self.path.display(), "the keys of second factors are not read anew");
                Arc::clone(&self.held.read().unwrap_or_else(PoisonError::into_inner).1)
            }
        }
    }

    fn read_again(&self) -> Result<Arc<Sealer>, KeyError> {
        let text = Zeroizing::new(read_text(&self.path)?);
        if let (held, sealer) = &*self.held.read().unwrap_or_else(PoisonError::into_inner)
            && held.as_str() == text.as_str()
        {
            return Ok(Arc::clone(sealer));
        }
        let sealer = Arc::new(Sealer::from_key_file(&text)?);
        *self.held.write().unwrap_or_else(PoisonError::into_inner) = (text, Arc::clone(&sealer));
        tracing::info!(file = %self.path.display(), "the keys of second factors have changed");
        Ok(sealer)
    }
}

/// Seals under its first key and opens under any: a new key is put above the old one until all is sealed anew.
pub struct Sealer(Vec<RandomizedNonceKey>);

impl Sealer {
    /// Reads a key file: one base64 key of 32 bytes a line, the newest first.
    ///
    /// # Errors
    /// Names the line that is no key.
    pub fn from_key_file(text: &str) -> Result<Self, KeyError> {
        let lines = text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty());
        let keys = lines.map(|(at, line)| {
            let bytes = Zeroizing::new(STANDARD.decode(line.trim()).map_err(|_| KeyError::Line(at + 1))?);
            RandomizedNonceKey::new(&AES_256_GCM, &bytes).map_err(|_| KeyError::Line(at + 1))
        });
        let keys: Vec<_> = keys.collect::<Result<_, _>>()?;
        if keys.is_empty() { Err(KeyError::Empty) } else { Ok(Self(keys)) }
    }

    /// The key that only the holder of `token` can make (HKDF-SHA-256, RFC 5869).
    ///
    /// # Panics
    /// Never: the lengths are constants.
    #[must_use]
    pub fn from_token(token: &Token) -> Self {
        let mut key = Zeroizing::new([0; 32]);
        hkdf::Salt::new(hkdf::HKDF_SHA256, b"shop refresh successor")
            .extract(token.reveal().as_bytes())
            .expand(&[b"aes-256-gcm"], hkdf::HKDF_SHA256)
            .and_then(|okm| okm.fill(&mut *key))
            .expect("32 bytes are one block of HKDF-SHA-256");
        Self(vec![RandomizedNonceKey::new(&AES_256_GCM, &*key).expect("32 bytes are a key")])
    }

    /// Encrypts `plain` so that it opens only with the same `context` (whose it is): nonce, ciphertext, tag.
    ///
    /// # Panics
    /// When the system has no random source.
    #[must_use]
    pub fn seal(&self, context: &[u8], plain: &[u8]) -> Vec<u8> {
        let mut body = plain.to_vec();
        let nonce = self.0[0]
            .seal_in_place_append_tag(Aad::from(context), &mut body)
            .expect("the system has a random source and the text is short");
        [nonce.as_ref().as_slice(), &body].concat()
    }

    /// Decrypts what [`seal`](Self::seal) made; `None` for another key, another context or a changed byte.
    #[must_use]
    pub fn open(&self, context: &[u8], sealed: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
        let (nonce, body) = sealed.split_at_checked(NONCE_LEN)?;
        self.0.iter().find_map(|key| {
            let mut body = Zeroizing::new(body.to_vec());
            let nonce = Nonce::try_assume_unique_for_key(nonce).ok()?;
            let length = key.open_in_place(nonce, Aad::from(context), &mut body).ok()?.len();
            body.truncate(length);
            Some(body)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(byte: u8) -> String {
        STANDARD.encode([byte; 32])
    }

    #[test]
    fn opens_only_under_its_key_and_context() {
        let sealer = Sealer::from_key_file(&key(1)).unwrap();
        let mut sealed = sealer.seal(b"ada", b"seed");
        assert_eq!(sealer.open(b"ada", &sealed).unwrap().as_slice(), b"seed");
        assert!(sealer.open(b"bob", &sealed).is_none());
        assert!(Sealer::from_key_file(&key(2)).unwrap().open(b"ada", &sealed).is_none());
        assert_ne!(sealed, sealer.seal(b"ada", b"seed"), "a nonce is never used twice");
        *sealed.last_mut().unwrap() ^= 1;
        assert!(sealer.open(b"ada", &sealed).is_none());
        assert!(sealer.open(b"ada", b"short").is_none());
    }

    #[test]
    fn a_new_key_above_the_old_one_opens_both() {
        let old = Sealer::from_key_file(&key(1)).unwrap().seal(b"ada", b"seed");
        let both = Sealer::from_key_file(&format!("{}\n{}\n", key(2), key(1))).unwrap();
        assert!(both.open(b"ada", &old).is_some());
        let new = Sealer::from_key_file(&key(2)).unwrap();
        assert!(new.open(b"ada", &both.seal(b"ada", b"seed")).is_some());
    }

    #[test]
    fn a_bad_key_file_names_its_line() {
        assert!(matches!(Sealer::from_key_file("\n \n"), Err(KeyError::Empty)));
        assert!(matches!(Sealer::from_key_file(&format!("{}\nshort", key(1))), Err(KeyError::Line(2))));
    }

    #[test]
    fn a_key_file_is_followed_and_a_broken_one_is_not() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let put = |text: String| std::fs::write(file.path(), text).unwrap();
        put(key(1));
        let keys = KeyFile::open(file.path().to_owned()).unwrap();
        let old = keys.sealer().seal(b"ada", b"seed");
        put(format!("{}\n{}\n", key(2), key(1)));
        let new = keys.sealer().seal(b"ada", b"seed");
        assert!(keys.sealer().open(b"ada", &old).is_some());
        for broken in ["", "short"] {
            put(broken.to_owned());
            assert!(keys.sealer().open(b"ada", &new).is_some(), "the keys of before stay: {broken:?}");
        }
        put(key(2));
        assert!(keys.sealer().open(b"ada", &old).is_none() && keys.sealer().open(b"ada", &new).is_some());
    }

    #[test]
    fn only_the_holder_of_the_token_opens_its_successor() {
        let (token, other) = (Token::generate(), Token::generate());
        let sealed = Sealer::from_token(&token).seal(b"family", b"next");
        assert_eq!(Sealer::from_token(&token).open(b"family", &sealed).unwrap().as_slice(), b"next");
        assert!(Sealer::from_token(&other).open(b"family", &sealed).is_none());
    }
}
