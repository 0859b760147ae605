//! Every part that is one program: it comes up, is adopted, comes back at its address when it was killed, and ends without
//! a trace. What each is good for is tested by whoever uses it.

use serde_json::Value;
use shop_testbed::process::{Proc, marked};

use super::Cache;

/// Those that start within seconds.
const QUICK: &[&str] = &["rabbitmq", "registry", "moto", "prometheus", "alertmanager"];

#[test]
fn each_comes_back_at_its_address_when_it_was_killed() {
    QUICK.iter().for_each(|part| comes_back(part));
}

fn comes_back(part: &str) {
    let cache = Cache::new();
    let first = up(&cache, part);
    assert_eq!(first["state"], "started", "{first}");
    let again = up(&cache, part);
    assert_eq!((&again["state"], &again["pid"]), (&Value::from("running"), &first["pid"]));

    let folder = cache.servers().join(part);
    for proc in marked(&folder) {
        proc.signal(rustix::process::Signal::KILL).unwrap();
        while proc.is_alive() {
            std::thread::sleep(std::time::Duration::from_millis(10));
        }
    }
    assert_eq!(row(&cache, &["status", part])["state"], "down");
    let second = up(&cache, part);
    assert_eq!((&second["state"], &second["url"]), (&Value::from("started"), &first["url"]));
    assert_ne!(second["pid"], first["pid"]);

    let pid = u32::try_from(second["pid"].as_u64().unwrap()).unwrap();
    let proc = Proc::of(pid).unwrap();
    cache.program(&["down", part]).assert().success();
    assert!(!proc.is_alive());
    assert_eq!(marked(&folder), [], "{part} left something behind");
}

fn up(cache: &Cache, part: &str) -> Value {
    row(cache, &["up", part])
}

fn row(cache: &Cache, arguments: &[&str]) -> Value {
    let output = cache.program(arguments).args(["--output", "json"]).assert().success();
    let rows: Vec<Value> = serde_json::from_slice(&output.get_output().stdout).unwrap();
    rows.into_iter().next().unwrap()
}
