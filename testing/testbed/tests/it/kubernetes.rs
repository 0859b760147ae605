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

/// Debian's static busybox breaks down when its wget looks a name up, even that of an address; its nc does not.
const ASK: &str = r"printf 'GET /hostname HTTP/1.0\r\n\r\n' | /busybox nc web 80";

async fn space() -> Space {
    let bed = Bed::from_env().unwrap();
    shop_testbed::up(&Kubernetes, &bed).await.unwrap();
    Kubernetes::load(&bed, IMAGE, Path::new(BUSYBOX)).unwrap();
    Space::new(bed)
}

#[tokio::test]
async fn a_pod_is_found_by_the_name_of_its_service_and_scaled_with_its_load() {
    if !shop_testbed::tier::full_only("Kubernetes: a pod behind a ClusterIP, by name, scaled by an HPA") {
        return;
    }
    let space = space().await;
    workload(&space);
    space.told(&["expose", "deployment", "web", "--port=80", "--target-port=8080"]);
    space.told(&["rollout", "status", "deployment/web", "--timeout=60s"]);
    let sleeper = pod(&["/busybox", "sleep", "3600"]);
    space.apply(
        &json!({ "apiVersion": "v1", "kind": "Pod", "metadata": { "name": "client" }, "spec": sleeper }),
    );
    space.told(&["wait", "--for=condition=Ready", "pod/client", "--timeout=60s"]);
    let answer = space.told(&["exec", "client", "--", "/busybox", "sh", "-c", ASK]);
    assert!(answer.contains("200 OK") && answer.contains("web-"), "{answer}");

    space.told(&["autoscale", "deployment", "web", "--cpu=50%", "--min=1", "--max=3"]);
    let restless = format!("while :; do {ASK}; done >/dev/null");
    let load = pod(&["/busybox", "sh", "-c", &restless]);
    space.apply(&json!({ "apiVersion": "v1", "kind": "Pod", "metadata": { "name": "load" }, "spec": load }));
    space.told(&["wait", "--for=jsonpath={.status.readyReplicas}=3", "deployment/web", "--timeout=180s"]);
}
