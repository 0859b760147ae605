//! A real Kubernetes on this machine: a control plane and one node, each component a process of its own. The tests' own:
//! where `SHOP_TEST_KUBECONFIG` names a cluster, that one is used and nothing here is started.

mod addons;
mod control;
mod given;
mod image;
mod network;
mod node;
mod pki;
mod program;

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use shop_devstack::daemon::Daemon;
use shop_devstack::port;
use shop_devstack::state::StateDir;
use tokio::process::Command;

use self::network::Network;
use self::pki::Pki;
use crate::part::{Origin, Part, Running};
use crate::tool::{Source, Tool};
use crate::{Bed, Error, Result, pins};

const NAME: &str = "kubernetes";
const VARIABLE: &str = "SHOP_TEST_KUBECONFIG";
const STATE: &str = "cluster.json";
const NODE: &str = "shop-testbed";
const DOMAIN: &str = "cluster.local";
/// Another test may be building it: five minutes on two cores, and the addons as long again.
const LOCK_PATIENCE: Duration = Duration::from_secs(1800);
const READY_PATIENCE: Duration = Duration::from_secs(120);

static KUBE: Tool = Tool { name: "kube-apiserver", source: Source::GoProgram(program::PROGRAM) };
static ETCD: Tool =
    Tool { name: "etcd", source: Source::Debian { packages: &["etcd-server"], folders: &[] } };
static CONTAINERD: Tool =
    Tool { name: "containerd", source: Source::Debian { packages: &["containerd"], folders: &[] } };
static PLUGINS: Tool = Tool {
    name: "bridge",
    source: Source::Debian { packages: &["containernetworking-plugins"], folders: &["/usr/lib/cni"] },
};
static IPTABLES: Tool = Tool {
    name: "iptables",
    source: Source::Debian { packages: &["iptables"], folders: &["/usr/sbin", "/sbin"] },
};
static IP: Tool =
    Tool { name: "ip", source: Source::Debian { packages: &["iproute2"], folders: &["/usr/sbin", "/sbin"] } };
static COREDNS: Tool = Tool { name: "coredns", source: pins::COREDNS };
static METRICS: Tool = Tool { name: "metrics-server", source: pins::METRICS_SERVER };

/// Kubernetes.
#[derive(Debug, Clone, Copy)]
pub struct Kubernetes;

/// What is kept of a cluster besides its certificates.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
struct Kept {
    /// The API server's port.
    port: u16,
}

/// A cluster that is being started, looked at or ended.
struct Cluster {
    folder: PathBuf,
    /// Where the programs are.
    bin: PathBuf,
    pki: Pki,
    network: Network,
    port: u16,
}

impl Cluster {
    /// The one of the bed; sets up its network and its certificates if it has none.
    fn make(bed: &Bed, bin: PathBuf) -> Result<Self> {
        let dir = StateDir::open(bed.folder(NAME))?;
        if Network::known(&dir)?.is_none() && network::has_rules()? {
            let text = "a kubelet or kube-proxy that is not the testbed's has rules on this machine: \
                        name its cluster in SHOP_TEST_KUBECONFIG instead";
            return Err(std::io::Error::other(text).into());
        }
        let network = Network::up(&dir)?;
        let kept = match dir.read_json::<Kept>(STATE)? {
            Some(kept) => kept,
            None => {
                let kept = Kept { port: port::free()? };
                dir.write_json(STATE, &kept)?;
                kept
            }
        };
        Self::with(&dir, bin, network, kept)
    }

    /// The one of the bed, if there is one.
    fn known(bed: &Bed) -> Result<Option<Self>> {
        if !bed.folder(NAME).exists() {
            return Ok(None);
        }
        let dir = StateDir::open(bed.folder(NAME))?;
        let Some((network, kept)) = Network::known(&dir)?.zip(dir.read_json(STATE)?) else { return Ok(None) };
        let Some(program) = KUBE.find(bed) else { return Ok(None) };
        Self::with(&dir, parent(&program), network, kept).map(Some)
    }

    fn with(dir: &StateDir, bin: PathBuf, network: Network, Kept { port }: Kept) -> Result<Self> {
        let host = network.host();
        let services = ["kubernetes", "kubernetes.default", "kubernetes.default.svc", "localhost"];
        let addresses = ["127.0.0.1".to_owned(), control::API_SERVICE.to_owned(), host.to_string()];
        let names: Vec<String> = services.iter().map(|name| (*name).to_owned()).chain(addresses).collect();
        let folder = dir.folder("pki")?;
        let pki = Pki::open(folder.path(), &format!("https://{host}:{port}"), &names, NODE)?;
        Ok(Self { folder: dir.path().to_owned(), bin, pki, network, port })
    }

    fn folder(&self, component: &str) -> PathBuf {
        self.folder.join(component)
    }

    fn daemon(&self, component: &'static str, patience: Duration) -> Daemon {
        Daemon::new(component, self.folder(component), patience)
    }

    fn program(&self, name: &str) -> PathBuf {
        self.bin.join(name)
    }

    fn kubectl(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(self.program("kubectl"));
        command.arg("--kubeconfig").arg(self.pki.kubeconfig("admin")).arg("--request-timeout=10s");
        // It keeps what it finds out in the home folder, if it is not told otherwise.
        command.arg("--cache-dir").arg(self.folder("kubectl-cache")).args(arguments).kill_on_drop(true);
        command
    }

    /// Whether the API server answers `path` with 200.
    async fn answers(&self, path: &str) -> bool {
        let output = self.kubectl(&["get", "--raw", path]).output().await;
        output.is_ok_and(|output| output.status.success())
    }

    /// What kubectl prints; anything but success is an error with its words.
    async fn told(&self, arguments: &[&str]) -> Result<String> {
        let output = self.kubectl(arguments).output().await?;
        if output.status.success() {
            return Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned());
        }
        let words = String::from_utf8_lossy(&output.stderr).trim().to_owned();
        Err(std::io::Error::other(format!("kubectl {}: {words}", arguments.join(" "))).into())
    }

    async fn apply(&self, objects: &serde_json::Value) -> Result<()> {
        let file = self.folder.join("objects.json");
        std::fs::write(&file, objects.to_string())?;
        let arguments = ["apply", "--server-side", "--force-conflicts", "--filename"];
        self.told(&[&arguments[..], &[&file.display().to_string()]].concat()).await.map(drop)
    }

    /// Returns once the command succeeds and prints `wanted`.
    async fn until(&self, arguments: &[&str], wanted: &str) -> Result<()> {
        let began = Instant::now();
        loop {
            let told = self.told(arguments).await;
            match told {
                Ok(text) if text == wanted => return Ok(()),
                _ if began.elapsed() < READY_PATIENCE => {
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
                Ok(text) => {
                    let what = format!("kubectl {}: {text} and not {wanted}", arguments.join(" "));
                    return Err(std::io::Error::new(std::io::ErrorKind::TimedOut, what).into());
                }
                Err(error) => return Err(error),
            }
        }
    }

    fn running(&self, origin: Origin) -> Running {
        Running {
            part: NAME,
            origin,
            url: format!("https://{}:{}", self.network.host(), self.port),
            secret_file: Some(self.pki.kubeconfig("admin")),
            pid: None,
        }
    }

    async fn end(&self) -> Result<bool> {
        let mut ended = false;
        for name in addons::NAMES.iter().chain(node::NAMES).rev().filter(|name| **name != "containerd") {
            ended |= self.daemon(name, READY_PATIENCE).stop().await?;
        }
        node::end_pods(self).await?;
        for name in ["containerd"].iter().chain(control::NAMES.iter().rev()) {
            ended |= self.daemon(name, READY_PATIENCE).stop().await?;
        }
        node::clean(&self.folder)?;
        Ok(ended)
    }
}

impl Kubernetes {
    /// Puts an image with one static program, which it runs, where our own node finds it.
    ///
    /// # Errors
    /// When our own cluster is not up: into a given one nothing is put this way.
    pub fn load(bed: &Bed, image: &str, program: &Path) -> Result<()> {
        let absent = || Error::Absent {
            part: NAME,
            how: "an image is loaded into the testbed's own node only".to_owned(),
        };
        image::import(&Cluster::known(bed)?.ok_or_else(absent)?, image, program)
    }

    /// kubectl as the administrator of the cluster, ours or the given one.
    ///
    /// # Errors
    /// When there is none.
    pub fn kubectl(bed: &Bed) -> Result<std::process::Command> {
        if let Some(given) = bed.given(VARIABLE) {
            let mut command = std::process::Command::new("kubectl");
            command.arg("--kubeconfig").arg(given);
            return Ok(command);
        }
        let absent =
            || Error::Absent { part: NAME, how: "SHOP_TEST_KUBECONFIG names one of yours".to_owned() };
        let cluster = Cluster::known(bed)?.ok_or_else(absent)?;
        let mut command = std::process::Command::new(cluster.program("kubectl"));
        command.arg("--kubeconfig").arg(cluster.pki.kubeconfig("admin"));
        command.arg("--cache-dir").arg(cluster.folder("kubectl-cache"));
        Ok(command)
    }
}

#[async_trait]
impl Part for Kubernetes {
    fn name(&self) -> &'static str {
        NAME
    }

    async fn bring(&self, bed: &Bed) -> Result<()> {
        for tool in [&PLUGINS, &IPTABLES, &IP, &ETCD, &CONTAINERD, &KUBE, &COREDNS, &METRICS] {
            tool.require(NAME, bed).await?;
        }
        Ok(())
    }

    async fn find(&self, bed: &Bed) -> Result<Option<Running>> {
        if let Some(given) = bed.given(VARIABLE) {
            return given::cluster(given).await.map(Some);
        }
        let Some(cluster) = Cluster::known(bed)? else { return Ok(None) };
        for name in control::NAMES.iter().chain(node::NAMES).chain(addons::NAMES) {
            if cluster.daemon(name, READY_PATIENCE).find()?.is_none() {
                return Ok(None);
            }
        }
        Ok(cluster.answers("/readyz").await.then(|| cluster.running(Origin::Found)))
    }

    async fn start(&self, bed: &Bed) -> Result<Running> {
        if !rustix::process::geteuid().is_root() {
            let text = "a node of one's own needs root; name a cluster in SHOP_TEST_KUBECONFIG (kind and k3d write one)";
            return Err(std::io::Error::new(std::io::ErrorKind::PermissionDenied, text).into());
        }
        let dir = StateDir::open(bed.folder(NAME))?;
        let _lock = dir.lock("lock", LOCK_PATIENCE).await?;
        if let Some(running) = self.find(bed).await? {
            return Ok(running);
        }
        for tool in [&PLUGINS, &IPTABLES, &IP] {
            tool.require(NAME, bed).await?;
        }
        let (etcd, containerd) = (ETCD.require(NAME, bed).await?, CONTAINERD.require(NAME, bed).await?);
        let cluster = Cluster::make(bed, parent(&KUBE.require(NAME, bed).await?))?;
        (bed.tell)("kubernetes: starting the control plane");
        control::start(&cluster, &etcd).await?;
        (bed.tell)("kubernetes: starting the node");
        node::start(&cluster, &containerd).await?;
        let is_ready = "jsonpath={.status.conditions[?(@.type=='Ready')].status}";
        cluster.until(&["get", "node", NODE, "--output", is_ready], "True").await?;
        // Built only now: the node can be used, and who waits for it has seen that it works.
        addons::start_dns(&cluster, &COREDNS.require(NAME, bed).await?).await?;
        addons::start_metrics(&cluster, &METRICS.require(NAME, bed).await?).await?;
        let is_available = "jsonpath={.status.conditions[?(@.type=='Available')].status}";
        cluster
            .until(&["get", "apiservice", "v1beta1.metrics.k8s.io", "--output", is_available], "True")
            .await?;
        Ok(cluster.running(Origin::Started))
    }

    async fn stop(&self, bed: &Bed) -> Result<bool> {
        let Some(cluster) = Cluster::known(bed)? else { return Ok(false) };
        let dir = StateDir::open(bed.folder(NAME))?;
        let _lock = dir.lock("lock", LOCK_PATIENCE).await?;
        let ended = cluster.end().await?;
        cluster.network.down(&dir)?;
        Ok(ended)
    }
}

fn parent(program: &Path) -> PathBuf {
    program.parent().unwrap_or(Path::new("")).to_owned()
}
