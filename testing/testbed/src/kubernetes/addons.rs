//! What makes a cluster of a node: names (CoreDNS) and measurements (metrics-server). Both run as processes of this machine
//! and not as pods, since no image of them can be had; to pods it makes no difference.

use std::process::Command;
use std::time::Duration;

use serde_json::json;
use shop_devstack::daemon::Known;

use super::{Cluster, DOMAIN};
use crate::Result;
use crate::background::is_ok;

const PATIENCE: Duration = Duration::from_secs(60);

/// The addons' processes, in the order in which they start.
pub(super) const NAMES: &[&str] = &["coredns", "metrics-server"];

/// CoreDNS on the node's address, which pods ask.
pub(super) async fn start_dns(cluster: &Cluster, program: &std::path::Path) -> Result<()> {
    let daemon = cluster.daemon("coredns", PATIENCE);
    let command = |known: &Known| {
        let file = daemon.dir().join("Corefile");
        let text = format!(
            ".:53 {{\n  bind {host}\n  errors\n  ready 127.0.0.1:{ready}\n  kubernetes {DOMAIN} {{\n    kubeconfig {config}\n  }}\n}}\n",
            host = cluster.network.host(),
            ready = known.port("ready"),
            config = cluster.pki.kubeconfig("admin").display(),
        );
        std::fs::write(&file, text)?;
        let mut command = Command::new(program);
        command.arg("-conf").arg(file);
        Ok(command)
    };
    let ready = |known: Known| Box::pin(is_ok(known.port("ready"), "/ready")) as _;
    daemon.start(&["ready"], command, ready).await?;
    Ok(())
}

/// metrics-server, and where the API server finds it.
pub(super) async fn start_metrics(cluster: &Cluster, program: &std::path::Path) -> Result<()> {
    let host = cluster.network.host();
    let command = |known: &Known| {
        let config = cluster.pki.kubeconfig("admin").display().to_string();
        let mut command = Command::new(program);
        command.args(
            ["kubeconfig", "authentication-kubeconfig", "authorization-kubeconfig"]
                .map(|option| format!("--{option}={config}")),
        );
        command.args([
            format!("--bind-address={host}"),
            format!("--secure-port={}", known.port("https")),
            format!("--cert-dir={}", cluster.folder("metrics-server").join("certificates").display()),
            // The kubelet's certificate is one that it made itself.
            "--kubelet-insecure-tls".to_owned(),
            "--kubelet-preferred-address-types=InternalIP".to_owned(),
            "--kubelet-use-node-status-port".to_owned(),
            "--metric-resolution=10s".to_owned(),
            "--kubelet-request-timeout=5s".to_owned(),
        ]);
        Ok(command)
    };
    let listens = |known: Known| {
        Box::pin(async move { tokio::net::TcpStream::connect((host, known.port("https"))).await.is_ok() })
            as _
    };
    let (known, _) = cluster.daemon("metrics-server", PATIENCE).start(&["https"], command, listens).await?;
    cluster.apply(&metrics_service(cluster, known.port("https"))).await
}

fn metrics_service(cluster: &Cluster, port: u16) -> serde_json::Value {
    let place = json!({ "name": "metrics-server", "namespace": "kube-system" });
    json!({ "apiVersion": "v1", "kind": "List", "items": [
        {
            "apiVersion": "v1", "kind": "Service", "metadata": place,
            "spec": { "ports": [{ "port": 443, "targetPort": port }] },
        },
        {
            "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice",
            "metadata": {
                "name": "metrics-server", "namespace": "kube-system",
                "labels": { "kubernetes.io/service-name": "metrics-server" },
            },
            "addressType": "IPv4", "ports": [{ "port": port }],
            "endpoints": [{ "addresses": [cluster.network.host()] }],
        },
        {
            "apiVersion": "apiregistration.k8s.io/v1", "kind": "APIService",
            "metadata": { "name": "v1beta1.metrics.k8s.io" },
            "spec": {
                "group": "metrics.k8s.io", "version": "v1beta1", "groupPriorityMinimum": 100,
                "versionPriority": 100, "insecureSkipTLSVerify": true, "service": place,
            },
        },
    ] })
}
