//! A RabbitMQ for one test, with and without TLS, that may be killed and comes back with what it had.

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use rustix::process::Signal;
use shop_devstack::component;
use shop_devstack::daemon::{Daemon, Known};
use shop_devstack::process::marked;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::{Error, Result};

const PATIENCE: Duration = Duration::from_secs(90);
/// The script itself and not Debian's wrapper, which wants to change the account.
const PROGRAMS: [&str; 2] = ["/usr/lib/rabbitmq/bin/rabbitmq-server", "/usr/local/sbin/rabbitmq-server"];

/// A broker, ended when dropped. It keeps its ports and its data over restarts.
#[derive(Debug)]
pub struct PrivateRabbitMq {
    daemon: Daemon,
    known: Known,
    password: String,
    folder: TempDir,
}

impl PrivateRabbitMq {
    /// Starts one whose TLS port shows this certificate (PEM); five to fifteen seconds.
    pub async fn start(certificate: &str, key: &str) -> Result<Self> {
        let folder = tempfile::tempdir()?;
        std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(0o711))?;
        std::fs::write(folder.path().join("cert.pem"), certificate)?;
        std::fs::write(folder.path().join("key.pem"), key)?;
        let password = uuid::Uuid::new_v4().simple().to_string();
        std::fs::write(folder.path().join("password"), &password)?;
        let daemon = Daemon::new("RabbitMQ", folder.path().join("broker"), PATIENCE);
        let known = launch(&daemon, folder.path(), &password).await?;
        Ok(Self { daemon, known, password, folder })
    }

    /// Kills it without warning; returns when it is gone.
    pub async fn kill(&self) -> Result<()> {
        for proc in marked(self.daemon.dir()) {
            proc.signal(Signal::KILL)?;
            proc.ended().await;
        }
        Ok(())
    }

    /// Starts it again after [`Self::kill`]; returns when it answers.
    pub async fn restart(&mut self) -> Result<()> {
        self.known = launch(&self.daemon, self.folder.path(), &self.password).await?;
        Ok(())
    }

    /// Its address without the password.
    pub fn url(&self) -> String {
        format!("amqp://shop@127.0.0.1:{}/%2f", self.known.port("amqp"))
    }

    /// Its address with TLS, under the name `host`, without the password.
    pub fn tls_url(&self, host: &str) -> String {
        format!("amqps://shop@{host}:{}/%2f", self.known.port("amqps"))
    }

    /// The file with the password of the user `shop`.
    pub fn password_file(&self) -> PathBuf {
        self.folder.path().join("password")
    }

    /// The password of the user `shop`.
    pub fn password(&self) -> &str {
        &self.password
    }
}

impl Drop for PrivateRabbitMq {
    fn drop(&mut self) {
        for proc in marked(self.daemon.dir()) {
            // Its data goes with the folder.
            let _gone = proc.signal(Signal::KILL);
        }
    }
}

async fn launch(daemon: &Daemon, folder: &Path, password: &str) -> Result<Known> {
    let absent = || Error::Absent { part: "rabbitmq", packages: "rabbitmq-server".to_owned() };
    let program = PROGRAMS.into_iter().map(Path::new).find(|path| path.is_file()).ok_or_else(absent)?;
    let command = |known: &Known| command(program, daemon.dir(), folder, password, known);
    let ready = |known: Known| Box::pin(async move { speaks(known.port("amqp")).await }) as _;
    let ports = ["amqp", "amqps", "distribution", "names"];
    Ok(daemon.start(&ports, command, ready).await?.0)
}

fn command(
    program: &Path,
    dir: &Path,
    folder: &Path,
    password: &str,
    known: &Known,
) -> component::Result<Command> {
    let (certificate, key) = (folder.join("cert.pem"), folder.join("key.pem"));
    let config = dir.join("rabbitmq.conf");
    let text = format!(
        "listeners.tcp.1 = 127.0.0.1:{}\nlisteners.ssl.1 = 127.0.0.1:{}\ndefault_user = shop\n\
         default_pass = {password}\nssl_options.cacertfile = {cert}\nssl_options.certfile = {cert}\n\
         ssl_options.keyfile = {key}\nssl_options.verify = verify_none\n",
        known.port("amqp"),
        known.port("amqps"),
        cert = certificate.display(),
        key = key.display(),
    );
    std::fs::write(&config, text)?;
    let mut command = Command::new(program);
    command
        .env("HOME", dir)
        .env("RABBITMQ_NODENAME", format!("shop-test-{}@localhost", known.port("amqp")))
        .env("RABBITMQ_MNESIA_BASE", dir.join("data"))
        .env("RABBITMQ_LOG_BASE", dir.join("logs"))
        .env("RABBITMQ_LOGS", "-")
        .env("RABBITMQ_CONFIG_FILE", config)
        .env("RABBITMQ_ENABLED_PLUGINS_FILE", dir.join("plugins"))
        .env("RABBITMQ_PID_FILE", dir.join("pid"))
        .env("RABBITMQ_DIST_PORT", known.port("distribution").to_string())
        // A name server of its own, so that none stays behind and brokers do not meet.
        .env("ERL_EPMD_PORT", known.port("names").to_string())
        .env("ERL_EPMD_ADDRESS", "127.0.0.1");
    Ok(command)
}

/// Whether the protocol's header gets an answer.
async fn speaks(port: u16) -> bool {
    let ask = async {
        let mut stream = TcpStream::connect(("127.0.0.1", port)).await?;
        stream.write_all(b"AMQP\x00\x00\x09\x01").await?;
        stream.read_u8().await
    };
    matches!(tokio::time::timeout(Duration::from_secs(2), ask).await, Ok(Ok(_)))
}
