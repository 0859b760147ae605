//! Connects to a database server, over TLS where its URL asks for it. Decides nothing about who may connect.

use std::path::Path;
use std::sync::Arc;

use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject as _;
use tokio_postgres::config::SslMode;
use tokio_postgres::{Client, Config, NoTls};
use tokio_postgres_rustls::MakeRustlsConnect;

use crate::address::{ServerUrl, Tls};
use crate::trouble::{Result, Trouble};

/// A connection as `url` wants it: without TLS unless it asks for that, and then the certificate is verified in full.
pub(crate) async fn connect(config: &Config, url: &ServerUrl) -> Result<Client> {
    let Tls::Verified(authorities) = url.tls() else {
        let (client, connection) = config.connect(NoTls).await?;
        tokio::spawn(connection);
        return Ok(client);
    };
    let mut config = config.clone();
    config.ssl_mode(SslMode::Require);
    let tls = MakeRustlsConnect::new(client_config(authorities)?);
    let (client, connection) = config.connect(tls).await?;
    tokio::spawn(connection);
    Ok(client)
}

fn client_config(authorities: &Path) -> Result<ClientConfig> {
    let mut roots = RootCertStore::empty();
    let wrong = |error: String| Trouble::Usage(format!("sslrootcert {}: {error}", authorities.display()));
    for certificate in CertificateDer::pem_file_iter(authorities).map_err(|error| wrong(error.to_string()))? {
        let certificate = certificate.map_err(|error| wrong(error.to_string()))?;
        roots.add(certificate).map_err(|error| wrong(error.to_string()))?;
    }
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| Trouble::Environment(format!("TLS cannot be set up: {error}")))?;
    Ok(builder.with_root_certificates(roots).with_no_client_auth())
}
