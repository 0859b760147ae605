//! RabbitMQ as the service is told of it, and a connection to it. Knows no event.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use lapin::options::{ConfirmSelectOptions, ExchangeDeclareOptions};
use lapin::tcp::{AsyncTcpStream, RustlsConnector};
use lapin::types::FieldTable;
use lapin::uri::{AMQPScheme, AMQPUri};
use lapin::{Channel, Connection, ConnectionProperties, ExchangeKind};

use crate::tls;

/// The exchange that all services give their events to.
pub(super) const EXCHANGE: &str = "shop.events";

/// A broker that does not answer within this is away.
const CONNECT: Duration = Duration::from_secs(5);

/// Seconds between signs of life; two that fail to come end a connection that nobody closed.
const HEARTBEAT: u16 = 10;

/// RabbitMQ as the service is told of it.
#[derive(Debug, Clone, Default, clap::Args)]
pub struct AmqpConfig {
    /// RabbitMQ that gets every event: amqp://user@host:5672/%2f, amqps:// with TLS; no password inside
    #[arg(long, env = "AMQP_URL", hide_env_values = true, value_name = "URL")]
    pub amqp_url: Option<String>,
    /// File with its password; read again at every connect
    #[arg(long, env = "AMQP_PASSWORD_FILE", value_name = "FILE")]
    pub amqp_password_file: Option<PathBuf>,
    /// PEM file with the authorities that may sign its certificate; amqps:// needs it
    #[arg(long, env = "AMQP_CA_FILE", value_name = "FILE")]
    pub amqp_ca_file: Option<PathBuf>,
}

/// What is wrong with the configuration of RabbitMQ.
#[derive(Debug, thiserror::Error)]
pub enum AmqpConfigError {
    /// Not a URL of RabbitMQ.
    #[error("AMQP_URL is not amqp://user@host:5672/%2f or amqps://user@host:5671/%2f: {0}")]
    Malformed(String),
    /// A password in the URL would show in process lists and logs.
    #[error("AMQP_URL holds a password: put it in a file and name that file in AMQP_PASSWORD_FILE")]
    PasswordInside,
    /// A protected environment without TLS.
    #[error("AMQP_URL must be amqps:// in a protected environment")]
    Unprotected,
    /// TLS without authorities to verify by.
    #[error("AMQP_URL is amqps://: name the authorities that may sign the certificate in AMQP_CA_FILE")]
    NoAuthorities,
    /// The authorities are not usable.
    #[error("AMQP_CA_FILE {0} holds no usable PEM certificate")]
    Authorities(PathBuf),
    /// A file that the configuration names.
    #[error("cannot read {path}: {source}")]
    File {
        /// Where it should be.
        path: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
}

/// Where the broker is and how it is spoken to.
#[derive(Clone)]
pub(super) struct Broker {
    uri: AMQPUri,
    password_file: Option<PathBuf>,
    ca_file: Option<PathBuf>,
}

/// A channel on which each message is confirmed. It ends with the connection that it keeps.
pub(super) struct Link {
    pub(super) channel: Channel,
    _connection: Connection,
}

impl Broker {
    /// `None` when no broker is configured. Files are read now, so that a wrong path never gets as far as a retry.
    pub(super) fn new(config: &AmqpConfig, protected: bool) -> Result<Option<Self>, AmqpConfigError> {
        let Some(text) = &config.amqp_url else { return Ok(None) };
        let url = url::Url::parse(text).map_err(|error| AmqpConfigError::Malformed(error.to_string()))?;
        if url.password().is_some() {
            return Err(AmqpConfigError::PasswordInside);
        }
        if !url.has_host() || url.query().is_some() {
            return Err(AmqpConfigError::Malformed(
                "a user, a host and a virtual host are all it holds".into(),
            ));
        }
        let mut uri: AMQPUri = text.parse().map_err(AmqpConfigError::Malformed)?;
        uri.query.heartbeat = Some(HEARTBEAT);
        let encrypted = matches!(uri.scheme, AMQPScheme::AMQPS);
        if protected && !encrypted {
            return Err(AmqpConfigError::Unprotected);
        }
        if encrypted && config.amqp_ca_file.is_none() {
            return Err(AmqpConfigError::NoAuthorities);
        }
        let (password_file, ca_file) = (config.amqp_password_file.clone(), config.amqp_ca_file.clone());
        let broker = Self { uri, password_file, ca_file };
        broker.password()?;
        broker.connector()?;
        Ok(Some(broker))
    }

    fn password(&self) -> Result<Option<String>, AmqpConfigError> {
        let Some(path) = &self.password_file else { return Ok(None) };
        Ok(Some(String::from_utf8_lossy(&read(path)?).trim_end().to_owned()))
    }

    fn connector(&self) -> Result<Option<RustlsConnector>, AmqpConfigError> {
        let Some(path) = self.ca_file.as_ref().filter(|_| matches!(self.uri.scheme, AMQPScheme::AMQPS))
        else {
            return Ok(None);
        };
        let roots = tls::authorities(&read(path)?).map_err(|_| AmqpConfigError::Authorities(path.clone()))?;
        Ok(Some(tls::trusting(roots).into()))
    }

    /// A connection under the service's name, with the exchange declared.
    pub(super) async fn connect(
        &self,
        service: &str,
    ) -> Result<Link, Box<dyn std::error::Error + Send + Sync>> {
        let mut uri = self.uri.clone();
        if let Some(password) = self.password()? {
            uri.authority.userinfo.password = password;
        }
        let connector = Arc::new(self.connector()?);
        let properties = ConnectionProperties::default().with_connection_name(service.into());
        let connecting = Connection::connector(
            uri,
            lapin::runtime::default_runtime()?,
            async move |uri: AMQPUri, runtime| {
                let address = runtime.to_socket_addrs((uri.authority.host.clone(), uri.authority.port));
                let stream = AsyncTcpStream::connect(&runtime, address).await?;
                match connector.as_ref() {
                    Some(connector) => Ok(stream.into_rustls(connector, &uri.authority.host).await?),
                    None => Ok(stream),
                }
            },
            properties,
        );
        let connection = tokio::time::timeout(CONNECT, connecting).await??;
        let channel = connection.create_channel().await?;
        channel.confirm_select(ConfirmSelectOptions::default()).await?;
        let durable = ExchangeDeclareOptions { durable: true, ..ExchangeDeclareOptions::default() };
        channel
            .exchange_declare(EXCHANGE.into(), ExchangeKind::Topic, durable, FieldTable::default())
            .await?;
        Ok(Link { channel, _connection: connection })
    }
}

impl std::fmt::Debug for Broker {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Broker").field("host", &self.uri.authority.host).finish_non_exhaustive()
    }
}

fn read(path: &Path) -> Result<Vec<u8>, AmqpConfigError> {
    crate::config::read_file(path).map_err(|source| AmqpConfigError::File { path: path.to_owned(), source })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(url: &str, protected: bool) -> String {
        let config = AmqpConfig { amqp_url: Some(url.to_owned()), ..AmqpConfig::default() };
        Broker::new(&config, protected).unwrap_err().to_string()
    }

    #[test]
    fn a_url_that_is_none_or_tells_too_much_is_refused() {
        assert!(refused("localhost:5672", false).starts_with("AMQP_URL is not"));
        assert!(refused("http://localhost", false).starts_with("AMQP_URL is not"));
        assert!(refused("amqp://shop@localhost?heartbeat=0", false).starts_with("AMQP_URL is not"));
        let error = refused("amqp://shop:secret@localhost/%2f", false);
        assert!(error.contains("AMQP_PASSWORD_FILE") && !error.contains("secret"), "{error}");
        assert!(refused("amqp://shop@localhost/%2f", true).contains("amqps://"));
        assert!(refused("amqps://shop@localhost/%2f", true).contains("AMQP_CA_FILE"));
        assert!(Broker::new(&AmqpConfig::default(), true).unwrap().is_none());
    }
}
