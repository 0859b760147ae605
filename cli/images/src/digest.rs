//! Content digests, `sha256:…`, as registries and manifests write them.

use std::fmt;
use std::io::{self, Write};

use aws_lc_rs::digest::{Context, SHA256, digest};
use serde::{Deserialize, Serialize};

/// The SHA-256 of some bytes.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Digest(String);

impl Digest {
    /// Of these bytes.
    #[must_use]
    pub fn of(bytes: &[u8]) -> Self {
        Self::written(digest(&SHA256, bytes).as_ref())
    }

    /// Of what was given to `context`.
    pub(crate) fn of_finished(context: Context) -> Self {
        Self::written(context.finish().as_ref())
    }

    fn written(hash: &[u8]) -> Self {
        Self(hash.iter().fold("sha256:".to_owned(), |text, byte| format!("{text}{byte:02x}")))
    }

    /// The hexadecimal digits, which name the blob's file in a layout.
    #[must_use]
    pub fn hex(&self) -> &str {
        self.0.trim_start_matches("sha256:")
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Passes everything on and digests it.
pub(crate) struct Digesting<W> {
    inner: W,
    context: Context,
    bytes: u64,
}

impl<W> Digesting<W> {
    pub(crate) fn new(inner: W) -> Self {
        Self { inner, context: Context::new(&SHA256), bytes: 0 }
    }

    /// What was written to, the digest of it, and how many bytes it was.
    pub(crate) fn finish(self) -> (W, Digest, u64) {
        (self.inner, Digest::of_finished(self.context), self.bytes)
    }
}

impl<W: Write> Write for Digesting<W> {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        let written = self.inner.write(buffer)?;
        self.context.update(&buffer[..written]);
        self.bytes += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}
