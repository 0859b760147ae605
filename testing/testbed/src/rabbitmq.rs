//! A RabbitMQ for one test, with and without TLS, that may be killed and comes back with what it had.

use std::net::{Ipv4Addr, SocketAddr};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::process::Signal;
use shop_devstack::daemon::{Daemon, Known};
use shop_devstack::process::marked;
use shop_devstack::rabbitmq::{self, Node};
use tempfile::TempDir;

use crate::{Error, Result};

const PATIENCE: Duration = Duration::from_secs(90);

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
    let absent = || Error::Absent { part: "rabbitmq", how: "`apt-get install rabbitmq-server`".to_owned() };
    let program = rabbitmq::program().ok_or_else(absent)?;
    let command = |known: &Known| {
        let name = format!("shop-test-{}", known.port("amqp"));
        let (distribution, names) = (known.port("distribution"), known.port("names"));
        let node = Node { name: &name, folder: daemon.dir(), distribution, names };
        Ok(rabbitmq::command(&program, node, &settings(folder, password, known))?)
    };
    let ready = |known: Known| {
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, known.port("amqp")));
        Box::pin(rabbitmq::speaks_amqp(address)) as _
    };
    let ports = ["amqp", "amqps", "distribution", "names"];
    Ok(daemon.start(&ports, command, ready).await?.0)
}

fn settings(folder: &Path, password: &str, known: &Known) -> String {
    let (certificate, key) = (folder.join("cert.pem"), folder.join("key.pem"));
    format!(
        "listeners.tcp.1 = 127.0.0.1:{}\nlisteners.ssl.1 = 127.0.0.1:{}\ndefault_user = shop\n\
         default_pass = {password}\nssl_options.cacertfile = {cert}\nssl_options.certfile = {cert}\n\
         ssl_options.keyfile = {key}\nssl_options.verify = verify_none\n",
        known.port("amqp"),
        known.port("amqps"),
        cert = certificate.display(),
        key = key.display(),
    )
}
