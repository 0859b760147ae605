//! The client's side of TLS to what the service depends on: certificates are verified in full, against authorities that
//! the configuration names. Opens no connection.

use std::path::Path;
use std::sync::Arc;

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use rustls::{ClientConfig, RootCertStore};

use crate::config::read_file;

/// The authorities of a PEM text, or why it is of no use: there are none, or one of them is unusable.
pub(crate) fn authorities(pem: &[u8]) -> Result<RootCertStore, String> {
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(pem) {
        let certificate = certificate.map_err(|error| error.to_string())?;
        roots.add(certificate).map_err(|error| error.to_string())?;
    }
    if roots.is_empty() { Err("it is empty of them".to_owned()) } else { Ok(roots) }
}

/// The PEM text of a file with usable authorities, for clients that take it as text; or why it is of no use.
pub(crate) fn authorities_file(path: &Path) -> Result<Vec<u8>, String> {
    let pem = read_file(path).map_err(|error| error.to_string())?;
    authorities(&pem)?;
    Ok(pem)
}

/// A client that trusts these and nobody else.
pub(crate) fn trusting(roots: RootCertStore) -> ClientConfig {
    ClientConfig::builder_with_provider(Arc::new(rustls::crypto::aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("aws-lc-rs offers the default protocol versions")
        .with_root_certificates(roots)
        .with_no_client_auth()
}
