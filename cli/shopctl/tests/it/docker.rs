//! `shopctl dev up` through a real Docker Engine of its own. The images are stand-ins under the official ones' names and
//! contracts, since the engine has no way to a registry: this machine's PostgreSQL, and for Grafana a page that answers.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

use rustix::process::Signal;
use shop_devstack::process::Proc;
use shop_testbed::{PrivateDocker, tier};

use crate::dev::Checkout;
use crate::world::{Ran, ran};

const IMAGE: &str = "postgres:17";

struct Docked {
    // Dropped first: it ends what runs.
    checkout: Checkout,
    docker: PrivateDocker,
}

impl Docked {
    fn run(&self, arguments: &[&str]) -> Ran {
        ran(self.checkout.command(arguments).env("DOCKER_HOST", self.docker.host()))
    }

    fn up(&self) -> Ran {
        self.run(&["up", "--detach", "--postgres", "docker"])
    }

    /// It fails with 9 and these words, and leaves no container.
    fn fails(&self, words: &[&str]) {
        let up = self.up();
        assert_eq!(up.code, 9, "{}", up.stderr);
        for word in words {
            assert!(up.stderr.contains(word), "{word} is missing: {}", up.stderr);
        }
        assert!(self.docker.containers().unwrap().is_empty(), "a container stays behind");
        assert_eq!(self.checkout.living(), []);
    }

    fn kill_the_supervisor(&self) {
        let status = self.run(&["status", "--output", "json"]).json();
        let supervisor: Proc = serde_json::from_value(status["supervisor"].clone()).unwrap();
        supervisor.signal(Signal::KILL).unwrap();
        while supervisor.is_alive() {
            std::thread::yield_now();
        }
    }
}

#[test]
fn postgresql_in_a_container_is_fetched_started_adopted_ended_and_forgotten() {
    if !tier::full_only("PostgreSQL through a Docker Engine") {
        return;
    }
    if let Some(obstacle) = PrivateDocker::obstacle() {
        return tier::left_out(&format!("PostgreSQL through a Docker Engine: {obstacle}"));
    }
    let docked = Docked { checkout: Checkout::new(), docker: PrivateDocker::start().unwrap() };
    docked.fails(&["the image postgres:17 is not here, and Docker cannot fetch it: ", "docker load"]);
    assert!(docked.docker.volumes().unwrap().is_empty());

    docked.docker.build_postgres(IMAGE).unwrap();
    let up = docked.up();
    assert_eq!(up.code, 0, "{}", up.stderr);
    assert!(up.stderr.contains("a container, as asked") && up.stderr.contains("seed"), "{}", up.stderr);
    let containers = docked.docker.containers().unwrap();
    assert!(containers.len() == 1 && containers[0].ends_with("-postgres"), "{containers:?}");
    let id = docked.docker.told(&["ps", "--quiet"]).unwrap();

    docked.kill_the_supervisor();
    let again = docked.up();
    assert_eq!(again.code, 0, "{}", again.stderr);
    assert!(!again.stderr.contains("✓ seed"), "its data is there: {}", again.stderr);
    assert_eq!(docked.docker.told(&["ps", "--quiet"]).unwrap(), id, "the container is adopted");
    docked.kill_the_supervisor();
    let down = docked.run(&["down"]);
    assert!(down.code == 0 && down.stdout.contains("killed supervisor"), "{down:?}");
    assert!(docked.docker.containers().unwrap().is_empty());

    // What ends at once says why; the data of before stays.
    let folder = tempfile::tempdir().unwrap();
    let unlucky = format!("FROM {IMAGE}\nENTRYPOINT [\"sh\", \"-c\", \"echo no luck today; exit 1\"]\n");
    std::fs::write(folder.path().join("Dockerfile"), unlucky).unwrap();
    docked.docker.told(&["tag", IMAGE, "kept:1"]).unwrap();
    docked.docker.build(IMAGE, folder.path()).unwrap();
    docked.fails(&["ended; its last lines:", "no luck today"]);
    docked.docker.told(&["tag", "kept:1", IMAGE]).unwrap();
    assert_eq!(docked.docker.volumes().unwrap().len(), 1);

    let reset = docked.run(&["reset", "--yes", "--output", "json"]);
    assert_eq!(reset.json()["databases"], serde_json::json!(["tiny"]), "{reset:?}");
    assert!(docked.docker.containers().unwrap().is_empty());
    assert!(docked.docker.volumes().unwrap().is_empty(), "the data goes with the rest");
}

const GRAFANA: &str = "grafana/grafana:12.1.1";
const PAGE: &str = "\
FROM scratch
COPY busybox entrypoint /
ENTRYPOINT [\"/busybox\", \"sh\", \"/entrypoint\"]
";
/// It is told where to listen and where Prometheus is, as Grafana is, and ends when it is asked to.
const ENTRYPOINT: &str = r#"
set -eu
/busybox grep -q '"type":"prometheus","url":"http://127.0.0.1:' /etc/grafana/provisioning/datasources/source.yaml
/busybox mkdir -p /www/api
echo fine > /www/api/health
trap 'exit 0' TERM
/busybox httpd -f -p "$GF_SERVER_HTTP_ADDR:$GF_SERVER_HTTP_PORT" -h /www &
wait
"#;

fn build_grafana(docker: &PrivateDocker, entrypoint: &str) {
    let folder = tempfile::tempdir().unwrap();
    std::fs::copy("/bin/busybox", folder.path().join("busybox")).unwrap();
    std::fs::write(folder.path().join("entrypoint"), entrypoint).unwrap();
    std::fs::write(folder.path().join("Dockerfile"), PAGE).unwrap();
    docker.build(GRAFANA, folder.path()).unwrap();
}

#[test]
fn grafana_is_a_container_that_goes_with_the_stack_and_keeps_nothing_from_starting() {
    if !tier::full_only("Grafana through a Docker Engine") {
        return;
    }
    if let Some(obstacle) = PrivateDocker::obstacle() {
        return tier::left_out(&format!("Grafana through a Docker Engine: {obstacle}"));
    }
    crate::extras::has_prometheus();
    let docked = Docked { checkout: Checkout::new(), docker: PrivateDocker::start().unwrap() };
    let up = || docked.run(&["up", "--detach", "--postgres", "local", "--with", "monitoring"]);
    let ends = || {
        assert_eq!(docked.run(&["down"]).code, 0);
        assert!(docked.docker.containers().unwrap().is_empty(), "a container stays behind");
        assert_eq!(docked.checkout.living(), []);
    };
    build_grafana(&docked.docker, ENTRYPOINT);
    let with = up();
    assert_eq!(with.code, 0, "{}", with.stderr);
    let status = docked.run(&["status", "--output", "json"]).json();
    assert_eq!(
        (&status["health"]["grafana"], &status["health"]["prometheus"]),
        (&"ready".into(), &"ready".into())
    );
    let parts = status["parts"].as_array().unwrap();
    let address = parts.iter().find(|part| part["name"] == "grafana").unwrap()["address"].as_str().unwrap();
    assert!(with.stderr.contains(address), "{address} is not printed: {}", with.stderr);
    assert_eq!(docked.docker.containers().unwrap().len(), 1);
    ends();

    build_grafana(&docked.docker, "echo no luck today; exit 1");
    let without = up();
    assert_eq!(without.code, 0, "{}", without.stderr);
    for word in ["no luck today", "no Grafana; Prometheus has a page of its own"] {
        assert!(without.stderr.contains(word), "{word} is missing: {}", without.stderr);
    }
    assert!(docked.docker.containers().unwrap().is_empty());
    ends();
}
