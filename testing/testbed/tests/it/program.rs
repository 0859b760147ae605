//! `up`, `status`, `down`: what is said, what runs, and that nothing stays.

use std::collections::BTreeSet;

use serde_json::Value;
use shop_testbed::process::Proc;

use super::Cache;

fn json(cache: &Cache, arguments: &[&str]) -> Vec<Value> {
    let output = cache.program(arguments).args(["--output", "json"]).assert().success();
    serde_json::from_slice(&output.get_output().stdout).unwrap()
}

fn procs(rows: &[Value]) -> Vec<Proc> {
    rows.iter().map(|row| Proc::of(row["pid"].as_u64().unwrap().try_into().unwrap()).unwrap()).collect()
}

/// Every process whose command line or environment names the cache: servers, their children, strays.
fn of_cache(cache: &Cache) -> BTreeSet<u32> {
    let needle = cache.0.path().to_str().unwrap().as_bytes().to_owned();
    let names = |path: std::path::PathBuf| {
        let text = std::fs::read(path).unwrap_or_default();
        text.windows(needle.len()).any(|window| window == needle)
    };
    let entries = std::fs::read_dir("/proc").unwrap().flatten();
    let numbers = entries.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    numbers
        .filter(|pid| ["cmdline", "environ"].iter().any(|file| names(format!("/proc/{pid}/{file}").into())))
        .filter(|pid| Proc::of(*pid).is_some())
        .collect()
}

#[test]
fn parts_come_up_are_adopted_and_go_without_a_trace() {
    let cache = Cache::new();
    assert_eq!(of_cache(&cache), BTreeSet::new());
    let down = json(&cache, &["status"]);
    assert!(down.iter().all(|row| row["state"] != "running"), "{down:?}");

    let first = json(&cache, &["up", "postgres", "redis", "smtp"]);
    assert_eq!(
        first.iter().map(|row| row["part"].as_str().unwrap()).collect::<Vec<_>>(),
        ["postgres", "redis", "smtp"]
    );
    assert!(first.iter().all(|row| row["state"] == "started"), "{first:?}");
    let second = json(&cache, &["up", "postgres", "smtp"]);
    assert!(second.iter().all(|row| row["state"] == "running"), "{second:?}");
    assert_eq!(procs(&second), [procs(&first)[0], procs(&first)[2]]);
    assert!(of_cache(&cache).len() >= 3);

    let table = cache.program(&["status"]).assert().success();
    let table = String::from_utf8_lossy(&table.get_output().stdout).into_owned();
    for row in &first {
        assert!(table.contains(row["url"].as_str().unwrap()), "{table}");
    }
    cache.program(&["down"]).assert().success();
    assert_eq!(of_cache(&cache), BTreeSet::new());
    cache.program(&["down"]).assert().success();
}

#[test]
fn two_programs_at_once_share_one_server() {
    let cache = Cache::new();
    let rows: Vec<Vec<Value>> = std::thread::scope(|scope| {
        let started: Vec<_> =
            (0..3).map(|_| scope.spawn(|| json(&cache, &["up", "postgres", "redis"]))).collect();
        started.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    assert_eq!(procs(&rows[0]), procs(&rows[1]));
    assert_eq!(procs(&rows[0]), procs(&rows[2]));
    let fresh = rows.iter().filter(|rows| rows[0]["state"] == "started").count();
    assert_eq!(fresh, 1);
}

#[test]
fn a_given_server_is_used_and_left_alone() {
    let (own, other) = (Cache::new(), Cache::new());
    let up = json(&own, &["up", "postgres"]);
    let password = std::fs::read_to_string(up[0]["secret_file"].as_str().unwrap()).unwrap();
    let url = up[0]["url"].as_str().unwrap().replace("postgres@", &format!("postgres:{password}@"));

    let output = other.program(&["up", "postgres"]).env("DATABASE_URL", &url).assert().success();
    let text = String::from_utf8_lossy(&output.get_output().stdout).into_owned();
    assert!(text.contains("given") && !text.contains(&password), "{text}");
    other.program(&["down"]).env("DATABASE_URL", &url).assert().success();
    assert_eq!(json(&own, &["status", "postgres"])[0]["state"], "running");
    assert!(!other.servers().join("postgres").exists());
}

#[test]
fn what_is_absent_is_named_with_the_command() {
    let cache = Cache::new();
    let output = cache.program(&["up", "redis"]).env("PATH", "/nonexistent").assert().failure();
    let text = String::from_utf8_lossy(&output.get_output().stderr).into_owned();
    assert!(
        text.contains("cargo xtask testbed up redis --install") && text.contains("redis-server"),
        "{text}"
    );
    let output = cache.program(&["up", "radis"]).assert().failure();
    let text = String::from_utf8_lossy(&output.get_output().stderr).into_owned();
    assert!(text.contains("no part radis") && text.contains("postgres, redis, smtp, "), "{text}");
}
