//! The control plane: etcd, the API server, the controllers and the scheduler. Each is a process of its own, so that a
//! test may kill one of them.

use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use shop_devstack::daemon::Known;
use tokio::net::TcpStream;

use super::Cluster;
use crate::Result;
use crate::background::is_ok;

const PATIENCE: Duration = Duration::from_secs(90);
/// Where services get their addresses from: no packet with one leaves this machine.
pub(super) const SERVICES: &str = "10.96.0.0/16";
/// The first of them, that of the API server itself.
pub(super) const API_SERVICE: &str = "10.96.0.1";

/// The control plane's processes, in the order in which they start.
pub(super) const NAMES: &[&str] = &["etcd", "apiserver", "controllers", "scheduler"];

pub(super) async fn start(cluster: &Cluster, etcd: &Path) -> Result<()> {
    let store = start_etcd(cluster, etcd).await?;
    start_apiserver(cluster, store.port("client")).await?;
    for (name, program, arguments) in [
        ("controllers", "kube-controller-manager", controllers(cluster)),
        ("scheduler", "kube-scheduler", scheduler(cluster)),
    ] {
        let command = |known: &Known| {
            let mut command = Command::new(cluster.program(program));
            command.args(&arguments).arg(format!("--secure-port={}", known.port("https")));
            Ok(command)
        };
        let listens = |known: Known| Box::pin(is_listening(known.port("https"))) as _;
        cluster.daemon(name, PATIENCE).start(&["https"], command, listens).await?;
    }
    Ok(())
}

async fn start_etcd(cluster: &Cluster, program: &Path) -> Result<Known> {
    let daemon = cluster.daemon("etcd", PATIENCE);
    let command = |known: &Known| {
        let (client, peer) = (address(known, "client"), address(known, "peer"));
        let mut command = Command::new(program);
        command.arg(format!("--data-dir={}", daemon.dir().join("data").display()));
        command.args([format!("--listen-client-urls={client}"), format!("--advertise-client-urls={client}")]);
        command.args([format!("--listen-peer-urls={peer}"), format!("--initial-advertise-peer-urls={peer}")]);
        // Nothing of a test is worth waiting for the disk.
        command.args([format!("--initial-cluster=default={peer}"), "--unsafe-no-fsync".to_owned()]);
        Ok(command)
    };
    let ready = |known: Known| Box::pin(is_ok(known.port("client"), "/health")) as _;
    Ok(daemon.start(&["client", "peer"], command, ready).await?.0)
}

fn address(known: &Known, port: &str) -> String {
    format!("http://127.0.0.1:{}", known.port(port))
}

async fn start_apiserver(cluster: &Cluster, etcd: u16) -> Result<()> {
    let (pki, host, port) = (&cluster.pki, cluster.network.host(), cluster.port);
    let arguments = [
        format!("--etcd-servers=http://127.0.0.1:{etcd}"),
        format!("--secure-port={port}"),
        format!("--bind-address={host}"),
        format!("--advertise-address={host}"),
        format!("--service-cluster-ip-range={SERVICES}"),
        format!("--client-ca-file={}", pki.file("ca.crt")),
        format!("--tls-cert-file={}", pki.file("apiserver.crt")),
        format!("--tls-private-key-file={}", pki.file("apiserver.key")),
        "--service-account-issuer=https://kubernetes.default.svc".to_owned(),
        format!("--service-account-key-file={}", pki.file("tokens.pub")),
        format!("--service-account-signing-key-file={}", pki.file("tokens.key")),
        "--authorization-mode=Node,RBAC".to_owned(),
        "--allow-privileged=true".to_owned(),
        format!("--kubelet-client-certificate={}", pki.file("front.crt")),
        format!("--kubelet-client-key={}", pki.file("front.key")),
        // The node's name is known to the cluster alone.
        "--kubelet-preferred-address-types=InternalIP".to_owned(),
        // Requests to aggregated API servers, that of the metrics first.
        format!("--requestheader-client-ca-file={}", pki.file("ca.crt")),
        "--requestheader-allowed-names=front-proxy".to_owned(),
        "--requestheader-username-headers=X-Remote-User".to_owned(),
        "--requestheader-group-headers=X-Remote-Group".to_owned(),
        "--requestheader-extra-headers-prefix=X-Remote-Extra-".to_owned(),
        format!("--proxy-client-cert-file={}", pki.file("front.crt")),
        format!("--proxy-client-key-file={}", pki.file("front.key")),
        "--enable-aggregator-routing=true".to_owned(),
    ];
    let command = |_: &Known| {
        let mut command = Command::new(cluster.program("kube-apiserver"));
        command.args(&arguments);
        Ok(command)
    };
    let ready = |_| Box::pin(cluster.answers("/readyz")) as _;
    cluster.daemon("apiserver", PATIENCE).start(&[], command, ready).await?;
    Ok(())
}

fn controllers(cluster: &Cluster) -> Vec<String> {
    let pki = &cluster.pki;
    vec![
        format!("--kubeconfig={}", pki.kubeconfig("controllers").display()),
        format!("--root-ca-file={}", pki.file("ca.crt")),
        format!("--service-account-private-key-file={}", pki.file("tokens.key")),
        format!("--cluster-signing-cert-file={}", pki.file("ca.crt")),
        format!("--cluster-signing-key-file={}", pki.file("ca.key")),
        "--use-service-account-credentials=true".to_owned(),
        "--leader-elect=false".to_owned(),
        "--bind-address=127.0.0.1".to_owned(),
        // Tests of a node that goes away, and of scaling, would wait for minutes.
        "--node-monitor-grace-period=16s".to_owned(),
        "--horizontal-pod-autoscaler-sync-period=5s".to_owned(),
    ]
}

fn scheduler(cluster: &Cluster) -> Vec<String> {
    vec![
        format!("--kubeconfig={}", cluster.pki.kubeconfig("scheduler").display()),
        "--leader-elect=false".to_owned(),
        "--bind-address=127.0.0.1".to_owned(),
    ]
}

async fn is_listening(port: u16) -> bool {
    TcpStream::connect(SocketAddr::from((std::net::Ipv4Addr::LOCALHOST, port))).await.is_ok()
}
