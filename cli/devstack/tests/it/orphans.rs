//! A supervisor that was killed: the next `up` adopts its database and ends the rest, `down` ends all.
use rustix::process::Signal;
use shop_devstack::process::Proc;
use shop_devstack::{Down, Trouble};

use crate::bench::{Bench, eventually, get, service};

/// As after `kill -9`: the engine's task and its handles vanish, the processes stay, the lock is free.
async fn up_and_killed(bench: &Bench) -> (Vec<Proc>, Proc) {
    let (running, record) = bench.ready(bench.options(vec![service("tiny", &[], true)])).await;
    let before = bench.living();
    let database = record.postgres.and_then(|postgres| postgres.proc).unwrap();
    running.vanish().await;
    eventually("the lock is free", async || !bench.stack.is_held().unwrap()).await;
    assert!(bench.stack.record().unwrap().is_some(), "nobody tidied up");
    assert!(before.iter().all(|proc| proc.is_alive()), "what it started still runs");
    (before, database)
}

#[tokio::test(flavor = "multi_thread")]
async fn the_next_up_adopts_the_database_and_ends_the_services() {
    let bench = Bench::new(&["tiny"]);
    let (before, database) = up_and_killed(&bench).await;
    let (running, record) = bench.ready(bench.options(vec![service("tiny", &[], true)])).await;
    assert_eq!(record.postgres.unwrap().proc, Some(database), "the very same server");
    let replica = &record.services[0].replicas[0];
    assert!(get(&replica.url, "/").await.is_some());
    assert!(!before.contains(&replica.proc.unwrap()), "a process of its own");
    let services = shop_devstack::process::marked(&bench.stack.services());
    assert_eq!(services, [replica.proc.unwrap()], "no other service is left");
    assert!(matches!(running.interrupt().await, Err(Trouble::Interrupted)));
    assert_eq!(bench.living(), []);
}

#[tokio::test(flavor = "multi_thread")]
async fn down_ends_what_a_killed_supervisor_left() {
    let bench = Bench::new(&["tiny"]);
    up_and_killed(&bench).await;
    // The record is gone as well: the processes are known by their mark.
    std::fs::remove_file(bench.stack.path("running.json")).unwrap();
    let down = shop_devstack::down(&bench.stack).await.unwrap();
    assert!(matches!(down, Down::Orphans(left) if left >= 2), "{down:?}");
    assert_eq!(bench.living(), []);
    assert_eq!(shop_devstack::down(&bench.stack).await.unwrap(), Down::Nothing);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_number_that_now_belongs_to_somebody_else_is_left_alone() {
    let bench = Bench::new(&["tiny"]);
    let (_, database) = up_and_killed(&bench).await;
    let mut stranger = std::process::Command::new("sleep").arg("1000").spawn().unwrap();
    let text = std::fs::read_to_string(bench.stack.path("running.json")).unwrap();
    let mut record: serde_json::Value = serde_json::from_str(&text).unwrap();
    let replica = &mut record["services"][0]["replicas"][0]["proc"];
    let service: Proc = serde_json::from_value(replica.clone()).unwrap();
    replica["pid"] = stranger.id().into();
    std::fs::write(bench.stack.path("running.json"), record.to_string()).unwrap();
    shop_devstack::down(&bench.stack).await.unwrap();
    assert!(!service.is_alive() && !database.is_alive());
    let known = Proc::of(stranger.id()).expect("it was not touched: its start time is another");
    known.signal(Signal::KILL).unwrap();
    stranger.wait().unwrap();
}
