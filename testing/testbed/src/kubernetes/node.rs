//! The node: containerd, the kubelet and kube-proxy, as processes of this machine. Pods are containers of it; what they
//! leave in its tables (mounts, shims, control groups) is taken out when the node ends.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use rustix::process::Signal;
use serde_json::json;
use shop_devstack::daemon::Known;
use shop_devstack::process::Proc;
use tokio::net::UnixStream;

use super::network::BRIDGE;
use super::{Cluster, DOMAIN, NODE, image};
use crate::Result;
use crate::background::is_ok;

const PATIENCE: Duration = Duration::from_secs(60);
/// How long a shim or a container may take to go.
const GOING: Duration = Duration::from_secs(10);
/// Where Debian puts the network plugins.
const PLUGINS: &str = "/usr/lib/cni";
/// Where the kubelet hangs the control groups of pods.
const GROUPS: &str = "kubepods";

/// The node's processes, in the order in which they start.
pub(super) const NAMES: &[&str] = &["containerd", "kubelet", "proxy"];

pub(super) async fn start(cluster: &Cluster, containerd: &Path) -> Result<()> {
    start_containerd(cluster, containerd).await?;
    image::import_pause(cluster)?;
    start_kubelet(cluster).await?;
    start_proxy(cluster).await
}

/// The socket of containerd.
pub(super) fn socket(cluster: &Cluster) -> PathBuf {
    cluster.folder("containerd").join("containerd.sock")
}

async fn start_containerd(cluster: &Cluster, program: &Path) -> Result<()> {
    let daemon = cluster.daemon("containerd", PATIENCE);
    let command = |_: &Known| {
        let folder = daemon.dir();
        let plugins = folder.join("net.d");
        std::fs::create_dir_all(&plugins)?;
        std::fs::write(plugins.join("10-bridge.conflist"), network(cluster, folder).to_string())?;
        std::fs::write(folder.join("config.toml"), settings(cluster, folder))?;
        let mut command = Command::new(program);
        command.arg("--config").arg(folder.join("config.toml"));
        Ok(command)
    };
    let answers = |_| {
        let socket = socket(cluster);
        Box::pin(async move { UnixStream::connect(socket).await.is_ok() }) as _
    };
    daemon.start(&[], command, answers).await?;
    Ok(())
}

fn settings(cluster: &Cluster, folder: &Path) -> String {
    // A container's memory is not to be protected from the machine's: the right to do so is dropped on some.
    format!(
        r#"version = 2
root = "{folder}/root"
state = "{folder}/state"
[grpc]
  address = "{socket}"
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "{pause}"
  restrict_oom_score_adj = true
  netns_mounts_under_state_dir = true
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "{PLUGINS}"
    conf_dir = "{folder}/net.d"
"#,
        folder = folder.display(),
        socket = socket(cluster).display(),
        pause = image::PAUSE,
    )
}

fn network(cluster: &Cluster, folder: &Path) -> serde_json::Value {
    json!({ "cniVersion": "1.0.0", "name": BRIDGE, "plugins": [
        {
            "type": "bridge", "bridge": BRIDGE, "isGateway": true, "ipMasq": true, "hairpinMode": true,
            "ipam": {
                "type": "host-local", "dataDir": folder.join("addresses"),
                "ranges": [[{ "subnet": cluster.network.subnet(), "gateway": cluster.network.host() }]],
                "routes": [{ "dst": "0.0.0.0/0" }],
            },
        },
        { "type": "portmap", "capabilities": { "portMappings": true } },
    ] })
}

async fn start_kubelet(cluster: &Cluster) -> Result<()> {
    let daemon = cluster.daemon("kubelet", PATIENCE);
    let command = |known: &Known| {
        let folder = daemon.dir();
        let file = folder.join("config.json");
        std::fs::write(&file, kubelet(cluster, known).to_string())?;
        let mut command = Command::new(cluster.program("kubelet"));
        command.arg(format!("--config={}", file.display()));
        command.arg(format!("--kubeconfig={}", cluster.pki.kubeconfig("node").display()));
        command.arg(format!("--root-dir={}", folder.join("root").display()));
        command.arg(format!("--cert-dir={}", folder.join("certificates").display()));
        command
            .args([format!("--node-ip={}", cluster.network.host()), format!("--hostname-override={NODE}")]);
        Ok(command)
    };
    let healthy = |known: Known| Box::pin(is_ok(known.port("health"), "/healthz")) as _;
    daemon.start(&["https", "health"], command, healthy).await?;
    Ok(())
}

fn kubelet(cluster: &Cluster, known: &Known) -> serde_json::Value {
    json!({
        "apiVersion": "kubelet.config.k8s.io/v1beta1", "kind": "KubeletConfiguration",
        // What a machine for builds has, and a server would not: control groups of the first version, swap.
        "failCgroupV1": false, "failSwapOn": false, "cgroupDriver": "cgroupfs",
        "enforceNodeAllocatable": [], "localStorageCapacityIsolation": false,
        "containerRuntimeEndpoint": format!("unix://{}", socket(cluster).display()),
        "authentication": {
            "anonymous": { "enabled": false }, "webhook": { "enabled": true },
            "x509": { "clientCAFile": cluster.pki.file("ca.crt") },
        },
        "authorization": { "mode": "Webhook" },
        // A disk that is nearly full is no reason to end the pods of a test.
        "evictionHard": { "nodefs.available": "1%", "imagefs.available": "1%", "memory.available": "100Mi" },
        "imageGCHighThresholdPercent": 99, "imageGCLowThresholdPercent": 98,
        "address": cluster.network.host(), "port": known.port("https"), "readOnlyPort": 0,
        "healthzBindAddress": "127.0.0.1", "healthzPort": known.port("health"),
        "resolvConf": "/etc/resolv.conf",
        "clusterDomain": DOMAIN, "clusterDNS": [cluster.network.host()],
    })
}

async fn start_proxy(cluster: &Cluster) -> Result<()> {
    let daemon = cluster.daemon("proxy", PATIENCE);
    let command = |known: &Known| {
        let settings = json!({
            "apiVersion": "kubeproxy.config.k8s.io/v1alpha1", "kind": "KubeProxyConfiguration",
            "mode": "iptables", "hostnameOverride": NODE,
            "clientConnection": { "kubeconfig": cluster.pki.kubeconfig("proxy") },
            "clusterCIDR": cluster.network.subnet(),
            // The machine's own settings stay as they are.
            "conntrack": { "maxPerCore": 0, "min": 0, "tcpEstablishedTimeout": "0s", "tcpCloseWaitTimeout": "0s" },
            "iptables": { "localhostNodePorts": false },
            "healthzBindAddress": format!("127.0.0.1:{}", known.port("health")),
            "metricsBindAddress": format!("127.0.0.1:{}", known.port("metrics")),
        });
        let file = daemon.dir().join("config.json");
        std::fs::write(&file, settings.to_string())?;
        let mut command = Command::new(cluster.program("kube-proxy"));
        command.arg(format!("--config={}", file.display()));
        Ok(command)
    };
    let healthy = |known: Known| Box::pin(is_ok(known.port("health"), "/livez")) as _;
    daemon.start(&["health", "metrics"], command, healthy).await?;
    Ok(())
}

/// Ends all pods, while containerd still runs, and takes out what they left. The kubelet must have ended: it would start
/// them again.
pub(super) async fn end_pods(cluster: &Cluster) -> Result<()> {
    for shim in shims(&cluster.folder("containerd")) {
        // Its children are the pod's processes.
        for child in children(shim.pid) {
            child.stop(Signal::KILL, GOING).await?;
        }
        shim.stop(Signal::TERM, GOING).await?;
    }
    Ok(())
}

/// Takes out mounts below the folder, control groups and addresses; to be called when containerd has ended.
pub(super) fn clean(folder: &Path) -> Result<()> {
    let mounts = std::fs::read_to_string("/proc/self/mountinfo")?;
    let below: Vec<&str> = mounts
        .lines()
        .filter_map(|line| line.split(' ').nth(4))
        .filter(|point| Path::new(point).starts_with(folder))
        .collect();
    // What was mounted last lies on top.
    for point in below.into_iter().rev() {
        rustix::mount::unmount(point, rustix::mount::UnmountFlags::DETACH).map_err(std::io::Error::from)?;
    }
    for hierarchy in std::fs::read_dir("/sys/fs/cgroup")?.flatten() {
        remove_groups(&hierarchy.path().join(GROUPS));
    }
    remove_groups(&Path::new("/sys/fs/cgroup").join(GROUPS));
    let pods = [
        folder.join("containerd/state"),
        folder.join("containerd/addresses"),
        folder.join("kubelet/root/pods"),
    ];
    for left in pods {
        match std::fs::remove_dir_all(&left) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error.into()),
            _ => {}
        }
    }
    for cached in std::fs::read_dir("/var/lib/cni/results").into_iter().flatten().flatten() {
        if cached.file_name().to_string_lossy().starts_with(BRIDGE) {
            std::fs::remove_file(cached.path())?;
        }
    }
    Ok(())
}

/// A control group goes when all below it are gone; one with a process in it stays, and is none of ours.
fn remove_groups(group: &Path) {
    for entry in std::fs::read_dir(group).into_iter().flatten().flatten() {
        if entry.path().is_dir() {
            remove_groups(&entry.path());
        }
    }
    let _in_use = std::fs::remove_dir(group);
}

/// containerd starts one for each pod and lets it live on without it.
fn shims(folder: &Path) -> Vec<Proc> {
    let folder = folder.display().to_string();
    let is_ours = |proc: &Proc| {
        let words = proc.command_line();
        words.first().is_some_and(|program| program.contains("containerd-shim"))
            && words.iter().any(|word| word.starts_with(&folder))
    };
    processes().filter(is_ours).collect()
}

fn children(parent: u32) -> Vec<Proc> {
    let is_child = |proc: &Proc| {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", proc.pid)).unwrap_or_default();
        let fields = stat.rsplit_once(") ").map(|(_, fields)| fields.to_owned()).unwrap_or_default();
        fields.split(' ').nth(1).and_then(|field| field.parse().ok()) == Some(parent)
    };
    processes().filter(is_child).collect()
}

fn processes() -> impl Iterator<Item = Proc> {
    let entries = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok()).filter_map(Proc::of)
}
