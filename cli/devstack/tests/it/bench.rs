//! A workspace of tiny services in a folder of its own (with a space in its path), and a stack that runs it.
use std::collections::BTreeMap;
use std::future::Future;
use std::path::{Path, PathBuf};
use std::time::Duration;

use shop_devstack::events::{Event, Events};
use shop_devstack::process::{Proc, marked};
use shop_devstack::record::Record;
use shop_devstack::{Patience, Ports, ServiceSpec, Stack, Stop, Trouble, UpOptions};
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use tokio::task::JoinHandle;

/// Far longer than anything here takes; only a hang meets it.
pub(crate) const DEADLINE: Duration = Duration::from_secs(120);

const MAIN: &str = include_str!("../fixtures/tiny/src/main.rs");

/// A checkout with a stack.
pub(crate) struct Bench {
    pub(crate) stack: Stack,
    // Dropped last: the folders.
    folder: tempfile::TempDir,
}

/// A supervisor at work.
pub(crate) struct Running {
    pub(crate) stop: Stop,
    events: UnboundedReceiver<Event>,
    engine: JoinHandle<Result<(), Trouble>>,
}

impl Bench {
    pub(crate) fn new(services: &[&str]) -> Self {
        let folder = tempfile::Builder::new().prefix("shop dev ").tempdir().unwrap();
        // As root the database server runs under another account, which has to pass through.
        let mode = std::os::unix::fs::PermissionsExt::from_mode(0o711);
        std::fs::set_permissions(folder.path(), mode).unwrap();
        let root = folder.path().join("checkout");
        let members = services.iter().map(|name| format!("\"{name}\"")).collect::<Vec<_>>().join(", ");
        for name in services {
            std::fs::create_dir_all(root.join(name).join("src")).unwrap();
            std::fs::write(root.join(name).join("src/main.rs"), MAIN).unwrap();
            let manifest = format!("[package]\nname = \"{name}\"\nversion = \"0.1.0\"\nedition = \"2024\"\n");
            std::fs::write(root.join(name).join("Cargo.toml"), manifest).unwrap();
        }
        let workspace = format!("[workspace]\nresolver = \"3\"\nmembers = [{members}]\n");
        std::fs::write(root.join("Cargo.toml"), workspace).unwrap();
        let stack = Stack::open(&root, Some(folder.path().join("state"))).unwrap();
        Self { stack, folder }
    }

    /// A place for other things than the checkout.
    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// A file in the folder that the services work in: it tells them what to do.
    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.stack.root().join(name)
    }

    pub(crate) fn options(&self, services: Vec<ServiceSpec>) -> UpOptions {
        let patience = Patience {
            first_delay: Duration::from_millis(20),
            longest_delay: Duration::from_millis(80),
            crashes: 5,
            ..Patience::default()
        };
        UpOptions {
            services,
            ports: Ports::Auto,
            // Not the one that the surroundings name: every workspace here has a package of the same name.
            target_dir: Some(self.folder.path().join("target")),
            seed: true,
            patience,
            command: "a test".into(),
            replicas: BTreeMap::new(),
            ..UpOptions::default()
        }
    }

    pub(crate) fn up(&self, options: UpOptions) -> Running {
        let (sender, events) = unbounded_channel();
        let stop = Stop::default();
        let (stack, stopped) = (self.stack.clone(), stop.clone());
        let up = async move { shop_devstack::up(&stack, &options, &Events::to(sender), &stopped).await };
        Running { stop, events, engine: tokio::spawn(up) }
    }

    pub(crate) async fn ready(&self, options: UpOptions) -> (Running, Record) {
        let mut running = self.up(options);
        let ready = running.until(|event| match event {
            Event::Ready { record, .. } => Some((**record).clone()),
            _ => None,
        });
        let record = ready.await;
        (running, record)
    }

    pub(crate) fn record(&self) -> Record {
        self.stack.record().unwrap().expect("a stack is up")
    }

    /// Every process that was started for this stack and lives: services, commands, builds, servers.
    pub(crate) fn living(&self) -> Vec<Proc> {
        let folders = ["services", "postgres", "redis"].map(|name| self.stack.path(name));
        folders.iter().flat_map(|folder| marked(folder)).collect()
    }
}

/// A test that failed half-way leaves nothing behind either.
impl Drop for Bench {
    fn drop(&mut self) {
        // Its supervisor may be starting one again just now, until it is dropped itself.
        let began = std::time::Instant::now();
        while !self.living().is_empty() && began.elapsed() < Duration::from_secs(10) {
            for proc in self.living() {
                let _gone = proc.signal(rustix::process::Signal::KILL);
            }
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.engine.abort();
    }
}

impl Running {
    /// The first thing that `wanted` finds among the events to come.
    pub(crate) async fn until<T>(&mut self, wanted: impl Fn(&Event) -> Option<T>) -> T {
        let deadline = tokio::time::Instant::now() + DEADLINE;
        let mut seen = Vec::new();
        loop {
            let event = match tokio::time::timeout_at(deadline, self.events.recv()).await {
                Ok(Some(event)) => event,
                Ok(None) => panic!("the engine ended with {:?} after {seen:#?}", (&mut self.engine).await),
                Err(_) => panic!("not within the deadline; so far {seen:#?}"),
            };
            if let Some(found) = wanted(&event) {
                return found;
            }
            seen.push(event);
        }
    }

    /// Ctrl-C, and what `up` answers.
    pub(crate) async fn interrupt(self) -> Result<(), Trouble> {
        self.stop.gently.cancel();
        self.ended().await
    }

    /// As after `kill -9` of the supervisor.
    pub(crate) async fn vanish(mut self) {
        self.engine.abort();
        assert!((&mut self.engine).await.is_err_and(|error| error.is_cancelled()));
    }

    pub(crate) async fn ended(mut self) -> Result<(), Trouble> {
        tokio::time::timeout(DEADLINE, &mut self.engine).await.expect("up ended within the deadline").unwrap()
    }
}

/// A service of shop.toml; with a database where `has_database`.
pub(crate) fn service(name: &str, depends_on: &[&str], has_database: bool) -> ServiceSpec {
    ServiceSpec {
        name: name.into(),
        package: name.into(),
        database: has_database.then(|| name.replace('-', "_")),
        depends_on: depends_on.iter().map(ToString::to_string).collect(),
        environment: Vec::new(),
        public_port: 1,
        admin_port: 1,
        secrets: vec![("TOTP_KEY_FILE".into(), "totp-key".into())],
    }
}

/// What the service at `url` answers to `GET <path>`; `None` when it hangs up.
pub(crate) async fn get(url: &str, path: &str) -> Option<String> {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    let address = url.strip_prefix("http://").unwrap();
    let mut stream = tokio::net::TcpStream::connect(address).await.ok()?;
    stream.write_all(format!("GET {path} HTTP/1.1\r\nhost: 127.0.0.1\r\n\r\n").as_bytes()).await.ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.ok()?;
    answer.split_once("\r\n\r\n").map(|(_, body)| body.to_owned())
}

/// Returns once `holds`; panics with `what` at the deadline.
pub(crate) async fn eventually<F: Future<Output = bool>>(what: &str, holds: impl Fn() -> F) {
    let wait = async {
        while !holds().await {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    assert!(tokio::time::timeout(DEADLINE, wait).await.is_ok(), "not within the deadline: {what}");
}
