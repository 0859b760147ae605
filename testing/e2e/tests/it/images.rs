//! The images of this repository, built by the command that docs/howto/build-images.md shows.

use std::path::PathBuf;
use std::process::Command;

use serde_json::Value;
use shop_test::tier;

use crate::shell::Shell;

/// The bound of the release design, for a program as it lies in its image.
const LARGEST: u64 = 25_000_000;

fn images(shell: &Shell, services: &str) -> Vec<Value> {
    let output = shell.run(&format!("cargo shopctl build {services} --output json"));
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let document: Value = serde_json::from_slice(&output.stdout).unwrap();
    document["images"].as_array().unwrap().clone()
}

/// Where a blob of an image lies.
fn blob(service: &str, digest: &str) -> PathBuf {
    let image = Shell::root().join(".shop/images").join(service).join("image");
    image.join("blobs/sha256").join(digest.trim_start_matches("sha256:"))
}

fn document(service: &str, digest: &Value) -> Value {
    serde_json::from_slice(&std::fs::read(blob(service, digest.as_str().unwrap())).unwrap()).unwrap()
}

#[test]
fn every_image_is_small_and_its_program_needs_nothing_else() {
    if !tier::full_only("the images of this repository: minutes of optimised builds") {
        return;
    }
    let shell = Shell::new();
    let built = images(&shell, "");
    let names: Vec<&str> = built.iter().map(|image| image["service"].as_str().unwrap()).collect();
    assert_eq!(names, ["user-management", "shopctl"]);
    for (image, service) in built.iter().zip(names) {
        let manifest = document(service, &image["digest"]);
        let config = document(service, &manifest["config"]["digest"]);
        assert_eq!(config["config"]["User"], "65532:65532");
        let root = tempfile::tempdir().unwrap();
        let layer = blob(service, manifest["layers"][0]["digest"].as_str().unwrap());
        let unpacked =
            Command::new("tar").arg("-xzf").arg(layer).arg("-C").arg(root.path()).status().unwrap();
        assert!(unpacked.success());
        let program = root.path().join(service);
        let bytes = std::fs::metadata(&program).unwrap().len();
        assert!(bytes <= LARGEST, "{service} has {bytes} bytes");
        // Nothing of this system is to be found from where it starts.
        let mut started = Command::new("unshare");
        started.args(["--user", "--map-root-user", "--root"]).arg(root.path()).arg(format!("/{service}"));
        let answer = started.arg("--version").env_clear().output().unwrap();
        let said = String::from_utf8_lossy(&answer.stdout).into_owned();
        assert!(answer.status.success() && said.starts_with(service), "{answer:?}");
    }
    let again = images(&shell, "");
    let digests = |images: &[Value]| images.iter().map(|image| image["digest"].clone()).collect::<Vec<_>>();
    assert_eq!(digests(&again), digests(&built));
    assert!(again.iter().all(|image| image["built"] == false), "{again:?}");
    assert_eq!(images(&shell, "user-management").len(), 1);
}
