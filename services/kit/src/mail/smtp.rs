//! How letters leave: the SMTP server of the configuration, with TLS unless it is on this machine.

use std::error::Error as _;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use lettre::message::{Mailbox, MultiPart};
use lettre::transport::smtp::authentication::Credentials;
use lettre::transport::smtp::client::{Certificate, CertificateStore, Tls, TlsParameters};
use lettre::transport::smtp::response::Code;
use lettre::{AsyncSmtpTransport, AsyncTransport, Message, Tokio1Executor};
use url::Url;
use uuid::Uuid;

use super::Letter;
use crate::config::read_file;
use crate::db::decoded;
use crate::error::Chain;

type Transport = AsyncSmtpTransport<Tokio1Executor>;

/// Connecting may take this long.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(15);

/// All that is said about one letter may take this long, unless the configuration says otherwise: SMTP's library
/// waits for ever for a server that says nothing.
const LETTER_TIMEOUT: Duration = Duration::from_secs(60);

/// The SMTP server as the service is told of it.
#[derive(Debug, Clone, Default, clap::Args)]
pub struct MailConfig {
    /// SMTP server: smtps://user@host:465 (TLS), smtp://user@host:587 (STARTTLS, demanded), smtp://127.0.0.1:1025 (plain, this machine only)
    #[arg(long, env = "SMTP_URL", hide_env_values = true, value_name = "URL")]
    pub smtp_url: Option<String>,
    /// File with the password of that user; read again when it changes
    #[arg(long, env = "SMTP_PASSWORD_FILE", value_name = "FILE")]
    pub smtp_password_file: Option<PathBuf>,
    /// PEM file with the authorities that may sign the SMTP server's certificate, instead of the system's
    #[arg(long, env = "SMTP_CA_FILE", value_name = "FILE")]
    pub smtp_ca_file: Option<PathBuf>,
    /// Milliseconds that the server may take for one letter, at most 110000; 60000 where nothing is said
    #[arg(long, env = "SMTP_TIMEOUT_MS", value_name = "MS", value_parser = clap::value_parser!(u64).range(1..=110_000))]
    pub smtp_timeout_ms: Option<u64>,
    /// Sender of every letter, such as `Shop <no-reply@shop.example>`
    #[arg(long, env = "MAIL_FROM", value_name = "ADDRESS")]
    pub mail_from: Option<String>,
}

/// What is wrong with the configuration of mail.
#[derive(Debug, thiserror::Error)]
pub enum MailConfigError {
    /// Not given.
    #[error("{0} is not set: mail needs it")]
    Missing(&'static str),
    /// Not usable.
    #[error("{0} is not usable: {1}")]
    Malformed(&'static str, String),
    /// A password in the URL would show in process lists and logs.
    #[error("SMTP_URL holds a password: put it in a file and name that file in SMTP_PASSWORD_FILE")]
    PasswordInside,
    /// Plain SMTP in a protected environment.
    #[error(
        "SMTP_URL must use TLS in a protected environment: name a host that is not this machine, or smtps://"
    )]
    Unprotected,
    /// A file that the configuration names.
    #[error("cannot read {what} {path}: {source}")]
    File {
        /// What the file is.
        what: &'static str,
        /// Where it should be.
        path: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
}

/// Sends letters.
pub struct Mailer {
    host: String,
    port: Option<u16>,
    user: Option<String>,
    password_file: Option<PathBuf>,
    security: Security,
    from: Mailbox,
    /// For all that is said about one letter.
    timeout: Duration,
    /// The transport (with its pool of connections) and the password it was made with.
    current: Mutex<Option<(Option<String>, Transport)>>,
}

enum Security {
    Plain,
    StartTls(TlsParameters),
    Tls(TlsParameters),
}

/// Why a letter did not leave. Never holds an address.
#[derive(Debug, thiserror::Error)]
pub(super) enum SendError {
    #[error("the letter is malformed: {0}")]
    Malformed(&'static str),
    #[error("the server refused it for good ({0})")]
    Refused(String),
    #[error("the server did not take it now ({0})")]
    Later(String),
}

impl MailConfig {
    /// Checks the configuration; connects to nothing yet. `protected` demands TLS.
    ///
    /// # Errors
    /// [`MailConfigError`].
    pub fn mailer(&self, protected: bool) -> Result<Mailer, MailConfigError> {
        let from = self.mail_from.as_deref().ok_or(MailConfigError::Missing("MAIL_FROM"))?;
        let from = from
            .parse()
            .map_err(|_| malformed("MAIL_FROM", "it must look like Shop <no-reply@shop.example>"))?;
        let url = self.smtp_url.as_deref().ok_or(MailConfigError::Missing("SMTP_URL"))?;
        let url = Url::parse(url).map_err(|error| malformed("SMTP_URL", &error.to_string()))?;
        if url.password().is_some() {
            return Err(MailConfigError::PasswordInside);
        }
        // The brackets around an address of IPv6 are the URL's: neither a resolver nor a certificate knows them.
        let host = match url.host() {
            Some(url::Host::Ipv6(address)) => address.to_string(),
            other => other.map(|host| host.to_string()).unwrap_or_default(),
        };
        let host = host.as_str();
        if host.is_empty() {
            return Err(malformed("SMTP_URL", "it names no host"));
        }
        let local = host == "localhost" || host.parse::<std::net::IpAddr>().is_ok_and(|ip| ip.is_loopback());
        let security = match url.scheme() {
            "smtps" => Security::Tls(self.tls(host)?),
            "smtp" if local && protected => return Err(MailConfigError::Unprotected),
            "smtp" if local => Security::Plain,
            "smtp" => Security::StartTls(self.tls(host)?),
            _ => return Err(malformed("SMTP_URL", "the scheme must be smtp or smtps")),
        };
        // A user name is often an address: its `@` comes encoded.
        let user = Some(decoded(url.username())).filter(|user| !user.is_empty());
        Ok(Mailer {
            host: host.to_owned(),
            port: url.port(),
            user,
            password_file: self.smtp_password_file.clone(),
            timeout: self.smtp_timeout_ms.map_or(LETTER_TIMEOUT, Duration::from_millis),
            security,
            from,
            current: Mutex::default(),
        })
    }

    fn tls(&self, host: &str) -> Result<TlsParameters, MailConfigError> {
        let mut builder = TlsParameters::builder(host.to_owned());
        if let Some(path) = &self.smtp_ca_file {
            let pem = read("the authorities of the SMTP server", path)?;
            let authorities =
                Certificate::from_pem(&pem).map_err(|e| malformed("SMTP_CA_FILE", &e.to_string()))?;
            builder = builder.certificate_store(CertificateStore::None).add_root_certificate(authorities);
        }
        builder.build_rustls().map_err(|error| malformed("SMTP_CA_FILE", &error.to_string()))
    }
}

fn malformed(what: &'static str, why: &str) -> MailConfigError {
    MailConfigError::Malformed(what, why.to_owned())
}

fn read(what: &'static str, path: &Path) -> Result<Vec<u8>, MailConfigError> {
    read_file(path).map_err(|source| MailConfigError::File { what, path: path.to_owned(), source })
}

/// Whether a permanent refusal is about whom the letter goes to. All others (a wrong password, a relay that does not
/// know us, a sender it does not like) are mended at the server or in our configuration, and no letter may be lost
/// by then. Servers say so with an enhanced status (RFC 3463: 5.1.x addresses, of which 5.1.7 and 5.1.8 the sender's;
/// 5.2.x mailboxes), the others by their code (RFC 5321, 4.2.3).
fn is_of_the_mailbox(code: Code, text: &str) -> bool {
    let enhanced = text.split_whitespace().next().unwrap_or_default();
    match *enhanced.split('.').collect::<Vec<_>>() {
        ["5", "1", detail] => !matches!(detail, "7" | "8"),
        ["5", "2", _] => true,
        ["5", _, _] => false,
        _ => matches!(code.to_string().as_str(), "550" | "551" | "553"),
    }
}

impl Mailer {
    /// Sends one letter. `id` makes the message's id, so that a second delivery of it can be told.
    pub(super) async fn send(&self, id: Uuid, letter: Letter) -> Result<(), SendError> {
        let domain = self.from.email.domain().to_owned();
        let to = letter.to.parse::<Mailbox>().map_err(|_| SendError::Malformed("the address"))?;
        let message = Message::builder()
            .from(self.from.clone())
            .to(to)
            .subject(letter.subject)
            .message_id(Some(format!("<{id}@{domain}>")))
            .multipart(MultiPart::alternative_plain_html(letter.text, letter.html))
            .map_err(|_| SendError::Malformed("the headers"))?;
        let transport = self.transport().map_err(|error| SendError::Later(error.to_string()))?;
        let silent = |_| SendError::Later(format!("no answer within {} ms", self.timeout.as_millis()));
        let sent = tokio::time::timeout(self.timeout, transport.send(message)).await.map_err(silent)?;
        sent.map(drop).map_err(|error| {
            // The text of an answer may repeat the address; its code cannot.
            let kind = match error.status() {
                Some(code) => format!("SMTP {code}"),
                None if error.is_response() => "an answer that is none of SMTP".to_owned(),
                // Of the connection, its certificate, or what the server offers: none of it is from the letter.
                None => Chain(&error).to_string(),
            };
            let Some(code) = error.status().filter(|_| error.is_permanent()) else {
                return SendError::Later(kind);
            };
            let text = error.source().map(ToString::to_string).unwrap_or_default();
            if is_of_the_mailbox(code, &text) { SendError::Refused(kind) } else { SendError::Later(kind) }
        })
    }

    fn transport(&self) -> Result<Transport, MailConfigError> {
        let password =
            self.password_file.as_deref().map(|path| read("the SMTP password", path)).transpose()?;
        let password =
            password.map(|p| String::from_utf8_lossy(&p).trim_end_matches(['\r', '\n']).to_owned());
        let mut current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((known, transport)) = &*current
            && *known == password
        {
            return Ok(transport.clone());
        }
        let tls = match &self.security {
            Security::Plain => Tls::None,
            Security::StartTls(parameters) => Tls::Required(parameters.clone()),
            Security::Tls(parameters) => Tls::Wrapper(parameters.clone()),
        };
        let default_port = if matches!(self.security, Security::Tls(_)) { 465 } else { 587 };
        let mut builder = Transport::builder_dangerous(&self.host)
            .port(self.port.unwrap_or(default_port))
            .tls(tls)
            .timeout(Some(CONNECT_TIMEOUT));
        if let (Some(user), Some(password)) = (&self.user, &password) {
            builder = builder.credentials(Credentials::new(user.clone(), password.clone()));
        }
        let transport = builder.build();
        *current = Some((password, transport.clone()));
        Ok(transport)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mailer(url: &str, protected: bool) -> Result<Mailer, MailConfigError> {
        let from = Some("Shop <no-reply@shop.example>".to_owned());
        MailConfig { smtp_url: Some(url.to_owned()), mail_from: from, ..MailConfig::default() }
            .mailer(protected)
    }

    #[test]
    fn this_machine_has_an_address_of_ipv6_too() {
        let here = mailer("smtp://[::1]:1025", false).unwrap();
        assert!(matches!(here.security, Security::Plain));
        assert_eq!((here.host.as_str(), here.port), ("::1", Some(1025)));
        assert!(matches!(mailer("smtp://[::1]:1025", true), Err(MailConfigError::Unprotected)));
        let away = mailer("smtp://[2001:db8::1]", false).unwrap();
        assert!(matches!(away.security, Security::StartTls(_)) && away.host == "2001:db8::1");
    }

    #[test]
    fn a_user_is_decoded_in_full() {
        for (written, meant) in [
            ("ada%40shop.example", "ada@shop.example"),
            ("a%2Bb%2fc%25", "a+b/c%"),
            ("a+b&c=d", "a+b&c=d"),
            ("%C3%A9", "é"),
        ] {
            let user = mailer(&format!("smtps://{written}@mail.example"), true).unwrap().user;
            assert_eq!(user.as_deref(), Some(meant));
        }
    }
}
