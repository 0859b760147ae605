//! `shopctl dev up` through a real Docker Engine of its own. The image is a stand-in with this machine's PostgreSQL
//! under the official image's name and contract, since the engine has no way to a registry.
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
