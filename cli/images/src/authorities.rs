//! The certificate authorities that programs in an image trust: those of Mozilla at the version that Cargo.lock names, not
//! those of the machine that builds. Must not add one of our own: a deployment mounts its file.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use webpki_root_certs::TLS_SERVER_ROOT_CERTS;

/// The package by which Cargo.lock names their version: an input of every image.
pub(crate) const PACKAGE: &str = "webpki-root-certs";

/// Where programs look for them on Debian, and so do those of ours.
pub(crate) const PATH: &str = "etc/ssl/certs/ca-certificates.crt";

/// All of them, PEM (RFC 7468).
pub(crate) fn pem() -> Vec<u8> {
    let mut text = String::new();
    for certificate in TLS_SERVER_ROOT_CERTS {
        text.push_str("-----BEGIN CERTIFICATE-----\n");
        let encoded = STANDARD.encode(certificate);
        for line in encoded.as_bytes().chunks(64) {
            text.push_str(&String::from_utf8_lossy(line));
            text.push('\n');
        }
        text.push_str("-----END CERTIFICATE-----\n");
    }
    text.into_bytes()
}
