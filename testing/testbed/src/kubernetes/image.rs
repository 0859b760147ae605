//! Images of one static program, put straight into containerd: nothing can be pulled where tests run. The one that holds
//! a pod's namespaces is made here, of a few lines of C.

use std::path::Path;
use std::process::Command;

use serde_json::json;

use super::{Cluster, node};
use crate::Result;

/// What holds a pod's namespaces.
pub(super) const PAUSE: &str = "localhost/pause:1";
const SOURCE: &str = include_str!("pause.c");

/// Makes sure that containerd has [`PAUSE`].
pub(super) fn import_pause(cluster: &Cluster) -> Result<()> {
    let scratch = tempfile::tempdir()?;
    let (source, program) = (scratch.path().join("pause.c"), scratch.path().join("pause"));
    std::fs::write(&source, SOURCE)?;
    if !is_there(cluster, PAUSE)? {
        told(Command::new("cc").args(["-static", "-O2", "-o"]).arg(&program).arg(&source))?;
        import(cluster, PAUSE, &program)?;
    }
    Ok(())
}

/// Makes sure that containerd has an image of this name with the static program, which it runs.
pub(super) fn import(cluster: &Cluster, name: &str, program: &Path) -> Result<()> {
    if is_there(cluster, name)? {
        return Ok(());
    }
    let scratch = tempfile::tempdir()?;
    let archive = scratch.path().join("image.tar");
    let file = program.file_name().unwrap_or_default().to_string_lossy().into_owned();
    std::fs::write(&archive, docker_archive(name, &file, &std::fs::read(program)?)?)?;
    ctr(cluster, &["images", "import", &archive.display().to_string()]).map(drop)
}

fn is_there(cluster: &Cluster, name: &str) -> Result<bool> {
    Ok(ctr(cluster, &["images", "list", "--quiet", &format!("name=={name}")])?.contains(name))
}

/// `ctr` with the images and containers that the kubelet sees.
fn ctr(cluster: &Cluster, arguments: &[&str]) -> Result<String> {
    let socket = node::socket(cluster);
    told(Command::new("ctr").arg("--address").arg(socket).args(["--namespace", "k8s.io"]).args(arguments))
}

fn told(command: &mut Command) -> Result<String> {
    let output = command.output()?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    let words = String::from_utf8_lossy(&output.stderr).into_owned();
    Err(std::io::Error::other(format!("{:?}: {words}", command.get_program())).into())
}

/// As `docker save` writes it: a configuration, one layer, and a list of both.
fn docker_archive(name: &str, file: &str, program: &[u8]) -> std::io::Result<Vec<u8>> {
    let layer = tar(&[(file, program, 0o755)])?;
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, &layer);
    let digest: String = digest.as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
    let architecture = if cfg!(target_arch = "aarch64") { "arm64" } else { "amd64" };
    let config = json!({
        "architecture": architecture, "os": "linux", "config": { "Entrypoint": [format!("/{file}")] },
        "rootfs": { "type": "layers", "diff_ids": [format!("sha256:{digest}")] },
    });
    let list = json!([{ "Config": "config.json", "RepoTags": [name], "Layers": ["layer.tar"] }]);
    let (config, list) = (config.to_string(), list.to_string());
    tar(&[
        ("config.json", config.as_bytes(), 0o644),
        ("layer.tar", &layer, 0o644),
        ("manifest.json", list.as_bytes(), 0o644),
    ])
}

fn tar(files: &[(&str, &[u8], u32)]) -> std::io::Result<Vec<u8>> {
    let mut archive = tar::Builder::new(Vec::new());
    for (name, bytes, mode) in files {
        let mut header = tar::Header::new_gnu();
        header.set_size(bytes.len() as u64);
        header.set_mode(*mode);
        archive.append_data(&mut header, name, *bytes)?;
    }
    archive.into_inner()
}
