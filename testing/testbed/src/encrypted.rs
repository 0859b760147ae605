//! A Redis for one test that speaks TLS and nothing else, with the certificate that the test gives it.

use std::fs::{self, File};
use std::net::{Ipv4Addr, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use shop_devstack::component::{self, tail};
use shop_devstack::port;
use tempfile::TempDir;

use crate::{Error, Result};

const PATIENCE: Duration = Duration::from_secs(30);
const PROGRAM: &str = "redis-server";

/// A server, ended when dropped.
#[derive(Debug)]
pub struct EncryptedRedis {
    server: Child,
    port: u16,
    password: String,
    folder: TempDir,
}

impl EncryptedRedis {
    /// Starts one with this certificate and key (PEM).
    pub fn start(certificate: &str, key: &str) -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let (port, password) = (port::free()?, uuid::Uuid::new_v4().simple().to_string());
        let inside = |name: &str| folder.path().join(name);
        for (file, text) in [("cert.pem", certificate), ("key.pem", key)] {
            fs::write(inside(file), text)?;
        }
        let socket = inside("socket").display().to_string();
        let settings = format!(
            "bind 127.0.0.1\nport 0\ntls-port {port}\ntls-auth-clients no\ntls-cert-file {}\ntls-key-file {}\n\
             unixsocket {socket}\nrequirepass {password}\nsave \"\"\nappendonly no\ndaemonize no\n",
            inside("cert.pem").display(),
            inside("key.pem").display(),
        );
        fs::write(inside("redis.conf"), settings)?;
        let log = File::create(inside("log"))?;
        let absent = |_| Error::Absent { part: "redis", how: format!("`apt-get install {PROGRAM}`") };
        let mut command = Command::new(PROGRAM);
        command.arg(inside("redis.conf")).stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
        let mut started = Self { server: command.spawn().map_err(absent)?, port, password, folder };
        started.await_port()?;
        Ok(started)
    }

    fn await_port(&mut self) -> Result<()> {
        let began = Instant::now();
        while TcpStream::connect((Ipv4Addr::LOCALHOST, self.port)).is_err() {
            if self.server.try_wait()?.is_some() || began.elapsed() > PATIENCE {
                let log = tail(&self.folder.path().join("log"), 12);
                let doing = "its start with TLS".to_owned();
                return Err(component::Error::Failed { component: "Redis", doing, log }.into());
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        Ok(())
    }

    /// Its port on 127.0.0.1.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The password that every connection gives first.
    pub fn password(&self) -> &str {
        &self.password
    }

    /// How many keys it holds, asked past TLS.
    pub fn keys(&self) -> usize {
        use std::io::{BufRead as _, BufReader, Write as _};
        let ask = || -> std::io::Result<Option<usize>> {
            let mut stream = std::os::unix::net::UnixStream::connect(self.folder.path().join("socket"))?;
            write!(stream, "AUTH {}\r\nDBSIZE\r\n", self.password)?;
            let answer = BufReader::new(stream).lines().nth(1).transpose()?;
            Ok(answer.and_then(|line| line.trim_start_matches(':').parse().ok()))
        };
        ask().ok().flatten().unwrap_or_default()
    }
}

impl Drop for EncryptedRedis {
    fn drop(&mut self) {
        let _gone = self.server.kill();
        let _ended = self.server.wait();
    }
}
