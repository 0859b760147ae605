//! The real Kubernetes runs pods.

use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};
use shop_testbed::{Bed, Kubernetes};

const IMAGE: &str = "localhost/shop-test-busybox:1";
const BUSYBOX: &str = "/bin/busybox";

/// A namespace of this test, deleted when it ends.
struct Space {
    bed: Bed,
    name: String,
}

impl Space {
    fn new(bed: Bed) -> Self {
        let name = format!("shop-test-{}", &uuid::Uuid::new_v4().simple().to_string()[..12]);
        let space = Self { bed, name };
        space.told(&["create", "namespace", &space.name]);
        space
    }

    fn kubectl(&self) -> Command {
        let mut command = Kubernetes::kubectl(&self.bed).unwrap();
        command.args(["--namespace", &self.name]);
        command
    }

    fn told(&self, arguments: &[&str]) -> String {
        let output = self.kubectl().args(arguments).output().unwrap();
        let words = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "kubectl {arguments:?}: {words}");
        String::from_utf8_lossy(&output.stdout).trim().to_owned()
    }

    fn apply(&self, object: &Value) {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), object.to_string()).unwrap();
        self.told(&["apply", "--server-side", "--filename", file.path().to_str().unwrap()]);
    }
}

impl Drop for Space {
    fn drop(&mut self) {
        let _gone = self.kubectl().args(["delete", "namespace", &self.name, "--wait=false"]).output();
    }
}

fn pod(command: &[&str]) -> Value {
    json!({
        "terminationGracePeriodSeconds": 1,
        "containers": [{
            "name": "main", "image": IMAGE, "imagePullPolicy": "Never", "command": command,
            "resources": { "requests": { "cpu": "5m", "memory": "16Mi" } },
        }],
    })
}

fn workload(space: &Space) {
    let labels = json!({ "app": "web" });
    space.apply(&json!({
        "apiVersion": "apps/v1", "kind": "Deployment", "metadata": { "name": "web" },
        "spec": {
            "selector": { "matchLabels": labels },
            "template": {
                "metadata": { "labels": labels },
                "spec": pod(&["/busybox", "httpd", "-f", "-p", "8080", "-h", "/etc"]),
            },
        },
    }));
}

#[tokio::test]
async fn a_pod_of_our_own_image_is_run() {
    if !shop_testbed::tier::full_only("Kubernetes: a pod is run") {
        return;
    }
    let bed = Bed::from_env().unwrap();
    shop_testbed::up(&Kubernetes, &bed).await.unwrap();
    Kubernetes::load(&bed, IMAGE, Path::new(BUSYBOX)).unwrap();
    let space = Space::new(bed);
    workload(&space);
    space.told(&["rollout", "status", "deployment/web", "--timeout=60s"]);
}
