//! A PostgreSQL for one test that does what would disturb the others: kills it, stops it, starts it again.

use std::os::unix::fs::PermissionsExt;

use rustix::process::Signal;
use shop_devstack::component::Report;
use shop_devstack::postgres::{Postgres, PostgresSpec};
use tempfile::TempDir;

use crate::{Result, Server, parts};

/// A server of one test, ended when dropped. It keeps its port, its password and its data over restarts.
#[derive(Debug)]
pub struct PrivatePostgres {
    spec: PostgresSpec,
    running: Postgres,
    _dir: TempDir,
}

impl PrivatePostgres {
    /// Makes and starts one; some 2 s, most of it `initdb`.
    pub async fn start() -> Result<Self> {
        let dir = tempfile::Builder::new().prefix("shop-pg-").tempdir()?;
        // The server's account has to get in.
        std::fs::set_permissions(dir.path(), std::fs::Permissions::from_mode(0o711))?;
        let spec = PostgresSpec { durable: false, ..PostgresSpec::new(dir.path().join("postgres")) };
        let running = Postgres::start(&spec, &Report::silent()).await?;
        Ok(Self { spec, running, _dir: dir })
    }

    /// The server, also while it is down.
    pub fn server(&self) -> Server {
        parts::server_of(&self.running)
    }

    /// Kills it without warning; returns when it is gone.
    pub async fn kill(&self) -> Result<()> {
        self.running.proc().signal(Signal::KILL)?;
        self.running.proc().ended().await;
        Ok(())
    }

    /// Stops it in good order.
    pub async fn stop(&self) -> Result<()> {
        self.running.stop().await?;
        Ok(())
    }

    /// Starts it again after [`Self::kill`] or [`Self::stop`]; returns when it answers.
    pub async fn restart(&mut self) -> Result<()> {
        let spec = PostgresSpec { port: Some(self.running.port()), ..self.spec.clone() };
        self.running = Postgres::start(&spec, &Report::silent()).await?;
        Ok(())
    }
}

impl Drop for PrivatePostgres {
    fn drop(&mut self) {
        // Immediate shutdown: its data goes with the folder. Its children end with it.
        if self.running.proc().signal(Signal::QUIT).is_ok_and(|sent| sent) {
            let deadline = std::time::Instant::now() + std::time::Duration::from_secs(5);
            while self.running.proc().is_alive() && std::time::Instant::now() < deadline {
                std::thread::sleep(std::time::Duration::from_millis(5));
            }
        }
    }
}
