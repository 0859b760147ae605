//! The peers: built outside the checkout, started on a free port. Knows how each is built and started, not what is
//! measured.

use std::path::{Path, PathBuf};
use std::process::Stdio;

use anyhow::{Context, Result, bail};
use clap::ValueEnum;
use tokio::process::Command;

use crate::install::{Consent, GO, MAVEN, PYTHON};
use crate::machine;
use crate::server::{Recipe, Server, free_address};
use crate::ui::Ui;
use crate::world::{PEERS, World, cache};

/// A framework that people compare us with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
pub(crate) enum Peer {
    Gin,
    Fastapi,
    Spring,
}

impl Peer {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Gin => "Gin",
            Self::Fastapi => "FastAPI",
            Self::Spring => "Spring Boot",
        }
    }

    fn folder(self) -> &'static str {
        match self {
            Self::Gin => "gin",
            Self::Fastapi => "fastapi",
            Self::Spring => "spring",
        }
    }

    fn source(self) -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../peers").join(self.folder())
    }

    fn out(self) -> Result<PathBuf> {
        Ok(cache()?.join(self.folder()))
    }

    /// Builds it where that was not done since its sources changed.
    pub(crate) async fn build(self, consent: Consent, ui: &Ui) -> Result<()> {
        let stamp = self.out()?.join("built-from");
        let sources = fingerprint(&self.source())?;
        if std::fs::read_to_string(&stamp).is_ok_and(|built| built == sources) {
            return Ok(());
        }
        if !consent.allows(&format!("the peer {} needs its libraries", self.name()), ui)? {
            let name = self.name();
            bail!(
                "the peer {name} is not built: pass --install to fetch its libraries, or leave it out with --peers"
            );
        }
        ui.says(&format!("building the peer {}", self.name()));
        std::fs::create_dir_all(self.out()?)?;
        match self {
            Self::Gin => {
                let go = GO.require(consent, ui).await?;
                let mut build = Command::new(go);
                build
                    .current_dir(self.source())
                    .args(["build", "-trimpath", "-o"])
                    .arg(self.out()?.join("gin"))
                    .arg(".");
                finish(build).await?;
            }
            Self::Fastapi => {
                let python = PYTHON.require(consent, ui).await?;
                let mut venv = Command::new(python);
                venv.args(["-m", "venv", "--clear"]).arg(self.out()?.join("venv"));
                finish(venv).await?;
                let mut pip = Command::new(self.out()?.join("venv/bin/pip"));
                pip.args(["install", "--quiet", "--requirement"]).arg(self.source().join("requirements.txt"));
                finish(pip).await?;
            }
            Self::Spring => {
                let maven = MAVEN.require(consent, ui).await?;
                let mut build = Command::new(maven);
                build.current_dir(self.source()).args(["--quiet", "--batch-mode", "package"]);
                build.arg(format!("-Dpeer.out={}", self.out()?.join("target").display()));
                finish(build).await?;
            }
        }
        std::fs::write(stamp, sources)?;
        Ok(())
    }

    /// Starts it on the peers' database.
    pub(crate) async fn start(self, world: &World) -> Result<Server> {
        let address = free_address()?;
        let port = address.port().to_string();
        let pin = world.layout.servers();
        let mut command = match self {
            Self::Gin => pin.command(self.out()?.join("gin")),
            Self::Fastapi => {
                let mut command = pin.command(self.out()?.join("venv/bin/uvicorn"));
                command.args(["app:app", "--host", "127.0.0.1", "--port", &port, "--loop", "uvloop"]);
                command.args(["--http", "httptools", "--no-access-log", "--log-level", "warning"]);
                command
                    .arg("--workers")
                    .arg(machine::cores().to_string())
                    .arg("--app-dir")
                    .arg(self.source());
                command.env("PYTHONDONTWRITEBYTECODE", "1").env("HASH_THREADS", "1");
                command
            }
            Self::Spring => {
                let mut command = pin.command(newest_java());
                command.arg("-jar").arg(self.out()?.join("target/spring-peer-1.jar"));
                // JDBC has no Unix sockets: Spring always goes over TCP.
                command.env(
                    "JDBC_URL",
                    format!("jdbc:postgresql://127.0.0.1:{}/{PEERS}", world.postgres.port()),
                );
                command.env("DB_USER", "postgres").env("DB_PASSWORD", world.password());
                command
            }
        };
        command.env("DATABASE_URL", world.url_with_password(PEERS)).env("PORT", &port);
        let log = world.path().join(format!("{}.log", self.folder()));
        let recipe = Recipe {
            name: self.name(),
            command,
            address,
            ready_address: address,
            ready_path: "/healthz",
            log,
        };
        Server::start(recipe).await
    }
}

async fn finish(mut command: Command) -> Result<()> {
    let output = command.stdin(Stdio::null()).output().await.with_context(|| format!("{command:?}"))?;
    if !output.status.success() {
        let text = [output.stdout, output.stderr].concat();
        bail!("{command:?} failed:\n{}", String::from_utf8_lossy(&text).trim());
    }
    Ok(())
}

/// Names and contents of all files below, so that a changed source is built again.
fn fingerprint(dir: &Path) -> Result<String> {
    use std::hash::{DefaultHasher, Hash, Hasher};
    let mut hasher = DefaultHasher::new();
    let mut waiting = vec![dir.to_owned()];
    while let Some(dir) = waiting.pop() {
        let entries = std::fs::read_dir(&dir).with_context(|| format!("cannot read {}", dir.display()))?;
        let mut paths = entries.map(|entry| Ok(entry?.path())).collect::<Result<Vec<_>>>()?;
        paths.sort();
        for path in paths {
            if path.is_dir() {
                waiting.push(path);
            } else {
                (path.file_name(), std::fs::read(&path)?).hash(&mut hasher);
            }
        }
    }
    Ok(format!("{:016x}", hasher.finish()))
}

/// The newest Java of this machine: virtual threads need 21, and the default may be older.
fn newest_java() -> PathBuf {
    let version = |home: &Path| -> Option<u32> {
        let text = std::fs::read_to_string(home.join("release")).ok()?;
        let line = text.lines().find_map(|line| line.strip_prefix("JAVA_VERSION="))?;
        line.trim_matches('"').split('.').next()?.parse().ok()
    };
    let homes = std::fs::read_dir("/usr/lib/jvm").into_iter().flatten().flatten().map(|entry| entry.path());
    let newest = homes.filter_map(|home| Some((version(&home)?, home))).max();
    newest.map_or_else(|| PathBuf::from("java"), |(_, home)| home.join("bin/java"))
}
