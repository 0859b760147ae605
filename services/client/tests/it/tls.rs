//! The authorities that were configured, and no others.

use std::sync::Arc;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::pki_types::PrivateKeyDer;
use shop_client::{Anonymous, Client, ClientError, Settings};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio_rustls::TlsAcceptor;

fn authority() -> CertifiedIssuer<'static, KeyPair> {
    let mut params = CertificateParams::new([]).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap()
}

/// Answers `{}` to everybody whom its certificate convinces.
async fn serve(authority: &CertifiedIssuer<'static, KeyPair>, name: &str) -> u16 {
    let key = KeyPair::generate().unwrap();
    let certificate = CertificateParams::new([name.to_owned()]).unwrap().signed_by(&key, authority).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(
            vec![certificate.der().clone()],
            PrivateKeyDer::try_from(key.serialize_der()).unwrap(),
        )
        .unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        loop {
            let (socket, _) = listener.accept().await.unwrap();
            let Ok(mut stream) = acceptor.accept(socket).await else { continue };
            let mut request = [0; 4096];
            if stream.read(&mut request).await.is_ok_and(|n| n > 0) {
                let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: close\r\n\r\n{}";
                stream.write_all(answer).await.unwrap();
                stream.shutdown().await.unwrap();
            }
        }
    });
    port
}

fn client(port: u16, authority: &CertifiedIssuer<'static, KeyPair>) -> Client {
    let settings =
        Settings { authorities: Some(authority.pem().into_bytes()), retries: 0, ..Settings::default() };
    Client::with(&format!("https://localhost:{port}"), Anonymous, settings).unwrap()
}

#[tokio::test]
async fn the_right_authority_and_name_are_trusted() {
    let authority = authority();
    let port = serve(&authority, "localhost").await;
    client(port, &authority).get("/").send::<serde_json::Value>().await.unwrap();
}

#[tokio::test]
async fn another_authority_is_refused() {
    let port = serve(&authority(), "localhost").await;
    let error = client(port, &authority()).get("/").done().await.unwrap_err();
    assert!(
        matches!(&error, ClientError::Unreachable { cause, .. } if cause.contains("certificate")),
        "{error}"
    );
}

#[tokio::test]
async fn another_name_is_refused() {
    let authority = authority();
    let port = serve(&authority, "elsewhere.example").await;
    let error = client(port, &authority).get("/").done().await.unwrap_err();
    assert!(
        matches!(&error, ClientError::Unreachable { cause, .. } if cause.contains("certificate")),
        "{error}"
    );
}
