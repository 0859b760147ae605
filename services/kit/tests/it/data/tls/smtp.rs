//! TLS to an SMTP server, from the first byte and by STARTTLS. TLS ends in front of the mailbox, in this process.

use std::sync::Arc;

use shop_kit::mail::{Job, Letter, MailConfig, RenderError, Renderer, enqueue};
use shop_testbed::mailbox::Mailbox;
use sqlx::PgConnection;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::{Authority, acceptor, authority};
use crate::data::{Fresh, PATIENCE, until, within};

#[derive(Clone, Copy, PartialEq)]
enum Speaks {
    Tls,
    StartTls,
    Plain,
}

struct Server {
    mailbox: Mailbox,
    port: u16,
    end: CancellationToken,
}

impl Drop for Server {
    fn drop(&mut self) {
        self.end.cancel();
    }
}

impl Server {
    async fn start(authority: &Authority, speaks: Speaks) -> Self {
        let acceptor = acceptor(authority);
        let mailbox = shop_testbed::mailbox().await.unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let (behind, end) = (mailbox.address(), CancellationToken::new());
        let serve = async move {
            while let Ok((stream, _)) = listener.accept().await {
                let acceptor = acceptor.clone();
                // A client that does not trust us hangs up.
                tokio::spawn(async move {
                    let _gone = relay(stream, acceptor, speaks, behind).await;
                });
            }
        };
        tokio::spawn(end.clone().run_until_cancelled_owned(serve));
        Self { mailbox, port, end }
    }
}

async fn relay(
    mut stream: TcpStream,
    acceptor: TlsAcceptor,
    speaks: Speaks,
    behind: std::net::SocketAddr,
) -> std::io::Result<()> {
    let mut inner = TcpStream::connect(behind).await?;
    match speaks {
        Speaks::Plain => {
            tokio::io::copy_bidirectional(&mut stream, &mut inner).await?;
            return Ok(());
        }
        Speaks::StartTls => {
            // The mailbox greets each client once; this one has been greeted here.
            let mut greeting = BufReader::new(&mut inner);
            greeting.read_line(&mut String::new()).await?;
            stream.write_all(b"220 relay\r\n").await?;
            for answer in ["250-relay\r\n250 STARTTLS\r\n", "220 go on\r\n"] {
                let mut line = Vec::new();
                while !line.ends_with(b"\n") {
                    line.push(stream.read_u8().await?);
                }
                stream.write_all(answer.as_bytes()).await?;
            }
        }
        Speaks::Tls => {}
    }
    let mut encrypted = acceptor.accept(stream).await?;
    tokio::io::copy_bidirectional(&mut encrypted, &mut inner).await?;
    Ok(())
}

struct Hello;

#[async_trait::async_trait]
impl Renderer for Hello {
    async fn render(&self, _: &mut PgConnection, _: &Job) -> Result<Option<Letter>, RenderError> {
        Ok(Some(Letter {
            to: "ada@shop.example".into(),
            subject: "hello".into(),
            text: "hello".into(),
            html: "<p>hello</p>".into(),
        }))
    }
}

/// Queues a letter and says how it went: it arrived, or what the queue says of it.
async fn send(server: &Server, scheme: &str, host: &str, trusted: &Authority) -> Option<String> {
    let fresh = Fresh::migrated().await;
    let pool = fresh.database().await.pool;
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), trusted.pem()).unwrap();
    let config = MailConfig {
        smtp_url: Some(format!("{scheme}://{host}:{}", server.port)),
        smtp_ca_file: Some(file.path().into()),
        mail_from: Some("no-reply@shop.example".into()),
        ..MailConfig::default()
    };
    let stop = CancellationToken::new();
    let mailer = Arc::new(config.mailer(scheme == "smtps").unwrap());
    let worker = tokio::spawn(mailer.run(pool.clone(), Arc::new(Hello), stop.clone()));
    enqueue(&pool, "hello", Uuid::now_v7(), &serde_json::json!({})).await.unwrap();
    let state = async || {
        let sql = "SELECT last_error FROM kit.mail_queue";
        sqlx::query_scalar::<_, Option<String>>(sql).fetch_optional(&pool).await.unwrap()
    };
    // Gone from the queue: sent. With an error: not.
    until(PATIENCE, async || !matches!(state().await, Some(None))).await;
    let error = state().await.flatten();
    stop.cancel();
    within(PATIENCE, worker).await.unwrap();
    assert_eq!(server.mailbox.list().len(), usize::from(error.is_none()), "{error:?}");
    server.mailbox.clear().unwrap();
    error
}

#[tokio::test]
async fn the_right_authority_and_name_are_trusted_and_no_others() {
    let authority = authority();
    let server = Server::start(&authority, Speaks::Tls).await;
    assert_eq!(send(&server, "smtps", "localhost", &authority).await, None);
    for (host, trusted, says) in [
        ("localhost", &super::authority(), "invalid peer certificate"),
        ("127.0.0.1", &authority, "not valid for name"),
    ] {
        let error = send(&server, "smtps", host, trusted).await.expect("it is not sent");
        assert!(error.contains(says) && !error.contains("ada"), "{error}");
    }
}

#[tokio::test]
async fn a_server_without_tls_gets_no_letter() {
    let authority = authority();
    let server = Server::start(&authority, Speaks::Plain).await;
    let error = send(&server, "smtps", "localhost", &authority).await.expect("it is not sent");
    assert!(error.contains("TLS") || error.contains("InvalidContentType"), "{error}");
}

#[tokio::test]
async fn starttls_is_demanded_and_verified_too() {
    let authority = authority();
    // `smtp://localhost` would be plain; a name in other letters is another machine's as far as the mailer knows.
    let elsewhere = "LOCALHOST";
    let server = Server::start(&authority, Speaks::StartTls).await;
    assert_eq!(send(&server, "smtp", elsewhere, &authority).await, None);
    let error = send(&server, "smtp", elsewhere, &super::authority()).await.expect("it is not sent");
    assert!(error.contains("invalid peer certificate"), "{error}");
    let plain = Server::start(&authority, Speaks::Plain).await;
    let error = send(&plain, "smtp", elsewhere, &authority).await.expect("it is not sent");
    assert!(error.contains("STARTTLS is not supported"), "{error}");
}
