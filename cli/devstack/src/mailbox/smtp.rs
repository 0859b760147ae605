//! The server's side of one SMTP conversation (RFC 5321, AUTH PLAIN and LOGIN of RFC 4954), as much as a mailer needs
//! on one machine: no TLS, no relaying, bounded lines and messages.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use secrecy::{ExposeSecret, SecretString};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufStream};
use tokio::net::TcpStream;

use super::{Mail, Store};

/// RFC 5321 asks for 1,000 bytes; a mailer that folds nothing still fits.
const LINE_LIMIT: u64 = 64 * 1024;
const MESSAGE_LIMIT: usize = 10 * 1024 * 1024;
const RECIPIENT_LIMIT: usize = 100;
/// RFC 5321, 4.5.3.2.7: a server waits at least five minutes for the next command.
const IDLE: Duration = Duration::from_secs(300);

pub(super) struct Session {
    stream: BufStream<TcpStream>,
    store: Arc<Store>,
    password: Option<SecretString>,
    known: bool,
    from: Option<String>,
    to: Vec<String>,
}

impl Session {
    pub(super) fn new(stream: TcpStream, store: Arc<Store>, password: Option<SecretString>) -> Self {
        let known = password.is_none();
        Self { stream: BufStream::new(stream), store, password, known, from: None, to: Vec::new() }
    }

    /// Talks until the client leaves, is silent for too long or breaks the rules of the line.
    pub(super) async fn run(mut self) -> io::Result<()> {
        self.say("220 mailbox ready").await?;
        loop {
            let Some(line) = self.line().await? else { return Ok(()) };
            let line = String::from_utf8_lossy(&line).into_owned();
            let (verb, rest) = line.split_once([' ', ':']).unwrap_or((&line, ""));
            match verb.to_ascii_uppercase().as_str() {
                "QUIT" => return self.say("221 bye").await,
                "EHLO" => self.say("250-mailbox\r\n250-8BITMIME\r\n250-SMTPUTF8\r\n250-AUTH PLAIN LOGIN\r\n250 SIZE 10485760").await?,
                "HELO" | "NOOP" => self.say("250 ok").await?,
                "RSET" => {
                    self.reset();
                    self.say("250 ok").await?;
                }
                "AUTH" => self.auth(rest).await?,
                "MAIL" => self.mail(rest).await?,
                "RCPT" => self.rcpt(rest).await?,
                "DATA" => self.data().await?,
                _ => self.say("502 5.5.1 not known here").await?,
            }
        }
    }

    fn reset(&mut self) {
        self.from = None;
        self.to.clear();
    }

    async fn auth(&mut self, rest: &str) -> io::Result<()> {
        let (method, initial) = rest.split_once(' ').unwrap_or((rest, ""));
        let given = match method.to_ascii_uppercase().as_str() {
            "PLAIN" if initial.is_empty() => self.ask("334 ").await?,
            "PLAIN" => decoded(initial.as_bytes()),
            "LOGIN" => {
                self.ask("334 VXNlcm5hbWU6").await?;
                self.ask("334 UGFzc3dvcmQ6").await?
            }
            _ => return self.say("504 5.5.4 only PLAIN and LOGIN").await,
        };
        let password = given.rsplit(|byte| *byte == 0).next().unwrap_or_default();
        self.known = self.password.as_ref().is_none_or(|right| right.expose_secret().as_bytes() == password);
        self.say(if self.known { "235 2.7.0 welcome" } else { "535 5.7.8 wrong credentials" }).await
    }

    async fn ask(&mut self, question: &str) -> io::Result<Vec<u8>> {
        self.say(question).await?;
        Ok(decoded(&self.line().await?.unwrap_or_default()))
    }

    async fn mail(&mut self, rest: &str) -> io::Result<()> {
        if let Some(refusal) = self.store.refusal() {
            return self.say(&refusal).await;
        }
        if !self.known {
            return self.say("530 5.7.0 authentication required").await;
        }
        self.reset();
        self.from = address(rest);
        self.say(if self.from.is_some() { "250 ok" } else { "501 5.1.7 no address" }).await
    }

    async fn rcpt(&mut self, rest: &str) -> io::Result<()> {
        if self.from.is_none() {
            return self.say("503 5.5.1 MAIL first").await;
        }
        match address(rest) {
            Some(to) if self.to.len() < RECIPIENT_LIMIT => {
                self.to.push(to);
                self.say("250 ok").await
            }
            Some(_) => self.say("452 4.5.3 too many recipients").await,
            None => self.say("501 5.1.3 no address").await,
        }
    }

    async fn data(&mut self) -> io::Result<()> {
        if self.to.is_empty() {
            return self.say("503 5.5.1 RCPT first").await;
        }
        self.say("354 end with a dot").await?;
        let Some(message) = self.message().await? else {
            return self.say("552 5.3.4 too large").await;
        };
        let mail =
            Mail::received(self.from.take().unwrap_or_default(), std::mem::take(&mut self.to), &message);
        let stored = self.store.keep(mail);
        self.say(if stored.is_ok() { "250 kept" } else { "451 4.3.0 could not be kept" }).await
    }

    /// The lines up to the lonely dot; `None` when they are more than fit.
    async fn message(&mut self) -> io::Result<Option<Vec<u8>>> {
        let mut message = Vec::new();
        let mut fits = true;
        loop {
            let line = self.line().await?.ok_or(io::ErrorKind::UnexpectedEof)?;
            if line == b"." {
                return Ok(fits.then_some(message));
            }
            // A line that begins with a dot was sent with one more (RFC 5321, 4.5.2).
            let line = line.strip_prefix(b".").unwrap_or(&line);
            fits = fits && message.len() + line.len() + 2 <= MESSAGE_LIMIT;
            if fits {
                message.extend_from_slice(line);
                message.extend_from_slice(b"\r\n");
            }
        }
    }

    /// The next line without its end; `None` when the client has left.
    async fn line(&mut self) -> io::Result<Option<Vec<u8>>> {
        let mut line = Vec::new();
        let mut bounded = (&mut self.stream).take(LINE_LIMIT);
        tokio::time::timeout(IDLE, bounded.read_until(b'\n', &mut line)).await??;
        if line.pop() != Some(b'\n') {
            return Ok(None);
        }
        if line.last() == Some(&b'\r') {
            line.pop();
        }
        Ok(Some(line))
    }

    async fn say(&mut self, text: &str) -> io::Result<()> {
        self.stream.write_all(text.as_bytes()).await?;
        self.stream.write_all(b"\r\n").await?;
        self.stream.flush().await
    }
}

fn decoded(text: &[u8]) -> Vec<u8> {
    BASE64_STANDARD.decode(text).unwrap_or_default()
}

/// What stands between the angle brackets of `FROM:<…>` or `TO:<…>`; may be empty (a bounce has no sender).
fn address(rest: &str) -> Option<String> {
    let (_, rest) = rest.split_once('<')?;
    let (address, _) = rest.split_once('>')?;
    Some(address.to_owned())
}
