//! TLS to Elasticsearch. TLS ends in this process, and what stands behind it says what it was sent: here the way is
//! tested, not the search.

use http::Method;
use shop_kit::search::{Elasticsearch, SearchConfig};
use tempfile::NamedTempFile;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio_util::sync::{CancellationToken, DropGuard};

use super::{Authority, acceptor, authority, file};

struct Server {
    port: u16,
    _end: DropGuard,
}

impl Server {
    /// Shows a certificate for `localhost`, and answers with the head of the request.
    async fn start(authority: &Authority) -> Self {
        let acceptor = acceptor(authority);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (port, end) = (listener.local_addr().unwrap().port(), CancellationToken::new());
        let serve = async move {
            while let Ok((stream, _)) = listener.accept().await {
                // A client that does not trust us hangs up.
                let Ok(mut stream) = acceptor.accept(stream).await else { continue };
                let mut head = Vec::new();
                while !head.ends_with(b"\r\n\r\n") {
                    head.push(stream.read_u8().await.unwrap());
                }
                let answer = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n", head.len());
                stream.write_all(answer.as_bytes()).await.unwrap();
                stream.write_all(&head).await.unwrap();
                stream.shutdown().await.unwrap();
            }
        };
        tokio::spawn(end.clone().run_until_cancelled_owned(serve));
        Self { port, _end: end.drop_guard() }
    }

    fn client(&self, host: &str, trusted: &Authority, password: Option<&NamedTempFile>) -> Elasticsearch {
        let trusted = file(&trusted.pem());
        let config = SearchConfig {
            elasticsearch_url: Some(format!("https://shop@{host}:{}/below/", self.port)),
            elasticsearch_password_file: password.map(|file| file.path().into()),
            elasticsearch_ca_file: Some(trusted.path().into()),
        };
        config.client(true).unwrap().unwrap()
    }
}

async fn ask(client: &Elasticsearch) -> Result<String, reqwest::Error> {
    client.call(Method::GET, "/_cluster/health").unwrap().send().await?.text().await
}

/// All causes: the first only says that sending failed.
fn chain(error: &reqwest::Error) -> String {
    let mut text = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(error) = cause {
        text.push_str(&format!(": {error}"));
        cause = error.source();
    }
    text
}

#[tokio::test]
async fn the_right_authority_and_name_are_trusted_and_no_others() {
    let trusted = authority();
    let server = Server::start(&trusted).await;
    let password = file("open sesame\n");
    let head = ask(&server.client("localhost", &trusted, Some(&password))).await.unwrap();
    assert!(head.starts_with("GET /below/_cluster/health HTTP/1.1"), "{head}");
    // "shop:open sesame", as `base64` writes it.
    assert!(head.to_ascii_lowercase().contains("authorization: basic"), "{head}");
    assert!(head.contains("c2hvcDpvcGVuIHNlc2FtZQ=="), "{head}");
    std::fs::write(password.path(), "another").unwrap();
    let head = ask(&server.client("localhost", &trusted, Some(&password))).await.unwrap();
    assert!(head.contains("c2hvcDphbm90aGVy"), "{head}");

    for (host, trusted, says) in [
        ("localhost", &authority(), "invalid peer certificate"),
        ("127.0.0.1", &trusted, "not valid for name"),
    ] {
        let refused = chain(&ask(&server.client(host, trusted, Some(&password))).await.unwrap_err());
        assert!(refused.contains(says), "{refused}");
    }
}

#[tokio::test]
async fn what_would_weaken_it_is_refused_at_the_start() {
    for (url, protected, says) in [
        ("http://localhost:9200", true, "must be https://"),
        ("https://shop:hunter2@localhost:9200", true, "ELASTICSEARCH_PASSWORD_FILE"),
        ("localhost:9200", false, "is not http://host:9200"),
    ] {
        let config = SearchConfig { elasticsearch_url: Some(url.into()), ..SearchConfig::default() };
        let text = config.client(protected).unwrap_err().to_string();
        assert!(text.contains(says) && !text.contains("hunter2"), "{url}: {text}");
    }
    let nonsense = file("no certificate");
    let config = SearchConfig {
        elasticsearch_url: Some("https://localhost:1".into()),
        elasticsearch_ca_file: Some(nonsense.path().into()),
        ..SearchConfig::default()
    };
    assert!(config.client(true).unwrap_err().to_string().contains("ELASTICSEARCH_CA_FILE"));
    assert!(SearchConfig::default().client(true).unwrap().is_none(), "PostgreSQL searches then");
}
