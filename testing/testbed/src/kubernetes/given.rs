//! The cluster that `SHOP_TEST_KUBECONFIG` names: used as it is, and refused when it is one of an environment of shop.toml:
//! tests have no business there.

use std::path::{Path, PathBuf};

use aws_lc_rs::digest::{SHA256, digest};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use shop_platform::{ClusterPin, Platform};
use tokio::process::Command;

use super::{NAME, VARIABLE};
use crate::part::{Origin, Running};
use crate::{Error, Result};

/// A cluster as its kubeconfig knows it.
struct Identity {
    server: String,
    /// Of EKS the ARN.
    name: String,
    /// As shop.toml pins it; empty where the kubeconfig trusts the machine's own authorities.
    ca_sha256: String,
}

/// The cluster of a kubeconfig, once it answers.
pub(super) async fn cluster(file: &str) -> Result<Running> {
    if !Path::new(file).is_file() {
        return Err(unusable(format!("there is no file {file}")));
    }
    let identity = identity(file).await?;
    if let Some(environment) = environment_of(&platform()?, &identity) {
        return Err(unusable(format!(
            "it is the cluster of the environment {environment} in shop.toml; name one that tests may use (kind and k3d \
             write one)"
        )));
    }
    let answer = kubectl(file).args(["get", "--raw", "/readyz"]).output().await?;
    if !answer.status.success() {
        let words = String::from_utf8_lossy(&answer.stderr).trim().to_owned();
        return Err(unusable(format!("{} does not answer: {words}", identity.server)));
    }
    let secret_file = Some(PathBuf::from(file));
    Ok(Running { part: NAME, origin: Origin::Given, url: identity.server, secret_file, pid: None })
}

fn unusable(reason: String) -> Error {
    Error::Given { variable: VARIABLE, reason }
}

fn kubectl(file: &str) -> Command {
    let mut command = Command::new("kubectl");
    command.arg("--kubeconfig").arg(file).arg("--request-timeout=10s").kill_on_drop(true);
    command
}

async fn identity(file: &str) -> Result<Identity> {
    let output = kubectl(file).args(["config", "view", "--minify", "--raw", "--output=json"]).output().await;
    let output = output.map_err(|error| unusable(format!("kubectl cannot be started: {error}")))?;
    if !output.status.success() {
        let words = String::from_utf8_lossy(&output.stderr).trim().to_owned();
        return Err(unusable(format!("{file} is no kubeconfig: {words}")));
    }
    let view: serde_json::Value = serde_json::from_slice(&output.stdout).map_err(std::io::Error::other)?;
    let cluster = &view["clusters"][0];
    let text = |value: &serde_json::Value| value.as_str().unwrap_or_default().to_owned();
    let pem = match (
        &cluster["cluster"]["certificate-authority-data"],
        &cluster["cluster"]["certificate-authority"],
    ) {
        (serde_json::Value::String(data), _) => BASE64.decode(data).map_err(std::io::Error::other)?,
        // A relative path is one beside the kubeconfig.
        (_, serde_json::Value::String(path)) => {
            std::fs::read(Path::new(file).parent().unwrap_or(Path::new("")).join(path))?
        }
        _ => Vec::new(),
    };
    Ok(Identity {
        server: text(&cluster["cluster"]["server"]),
        name: text(&cluster["name"]),
        ca_sha256: fingerprint(&String::from_utf8_lossy(&pem)),
    })
}

/// `sha256:…` of the first certificate (DER); empty without one.
fn fingerprint(pem: &str) -> String {
    let body =
        pem.split_once("-----BEGIN CERTIFICATE-----").and_then(|(_, rest)| rest.split_once("-----END"));
    let Some((body, _)) = body else { return String::new() };
    let joined: String = body.split_whitespace().collect();
    let Ok(der) = BASE64.decode(joined) else { return String::new() };
    let hex = digest(&SHA256, &der).as_ref().iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    format!("sha256:{hex}")
}

/// shop.toml of the checkout that this was built from.
fn platform() -> Result<Platform> {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shop.toml");
    // A file that cannot be read names no cluster, so none could be refused.
    Platform::load(&file)
        .map_err(|error| unusable(format!("shop.toml says which clusters are not for tests: {error}")))
}

/// The environment whose cluster this is.
fn environment_of(platform: &Platform, identity: &Identity) -> Option<String> {
    let is_it = |pin: &ClusterPin| match pin {
        ClusterPin::Context { ca_sha256, .. } => ca_sha256.to_string() == identity.ca_sha256,
        ClusterPin::Eks { eks, account } => identity.name.ends_with(&format!(":{account}:cluster/{eks}")),
    };
    let mut environments = platform.environments();
    let found =
        environments.find(|one| one.cluster.as_ref().is_some_and(|cluster| is_it(&cluster.pin.value)));
    found.map(|one| one.environment.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    const THREE: &str = include_str!("../../../../cli/platform/tests/fixtures/three-services.toml");

    #[test]
    fn the_cluster_of_an_environment_is_known_by_its_authority_or_its_arn() {
        let authority = rcgen::generate_simple_self_signed(Vec::new()).unwrap();
        let ca_sha256 = fingerprint(&authority.cert.pem());
        let zeros = format!("sha256:{}", "0".repeat(64));
        let platform = Platform::parse("shop.toml", &THREE.replace(&zeros, &ca_sha256)).unwrap();
        let of = |name: &str, ca_sha256: &str| {
            let (name, ca_sha256) = (name.to_owned(), ca_sha256.to_owned());
            environment_of(&platform, &Identity { server: String::new(), name, ca_sha256 })
        };
        assert_eq!(of("whatever", &ca_sha256).as_deref(), Some("staging"));
        let arn = "arn:aws:eks:eu-central-1:123456789012:cluster/shop";
        assert_eq!(of(arn, &zeros).as_deref(), Some("prod"));
        assert_eq!(of("kind-kind", &zeros), None);
        assert_eq!(of("arn:aws:eks:eu-central-1:123456789012:cluster/shop-test", ""), None);
        assert!(fingerprint("no certificate").is_empty());
    }
}
