//! A supervisor that was killed: the next `up` adopts its database and ends the rest, `down` ends all.
use rustix::process::Signal;
use shop_devstack::events::Event;
use shop_devstack::process::Proc;
use shop_devstack::{Down, ServerSpec, Stop, Trouble};

use crate::bench::{Bench, eventually, get, service};
use crate::data::nobody_listens;

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

/// It is ended by its process: whether anybody may enter it is another matter.
#[tokio::test(flavor = "multi_thread")]
async fn a_server_whose_password_is_lost_is_ended_and_keeps_its_data() {
    let bench = Bench::new(&["tiny"]);
    let options = || bench.options(vec![service("tiny", &[], true)]);
    up_and_killed(&bench).await;
    let file = bench.stack.path("postgres/password");
    let kept = std::fs::read_to_string(&file).unwrap();
    std::fs::remove_file(&file).unwrap();
    for what in ["is gone", "does not fit"] {
        let up = bench.up(options()).ended().await;
        let server = ServerSpec::default();
        let reset = shop_devstack::reset(&bench.stack, &server, &nobody_listens(), &Stop::default()).await;
        for outcome in [up, reset.map(drop)] {
            let said = outcome.unwrap_err().to_string();
            let place = file.display().to_string();
            for words in [what, &place, "bring that file back, or delete the whole folder"] {
                assert!(said.contains(words), "{words} is missing: {said}");
            }
            assert_eq!(bench.living(), [], "{what}");
        }
        assert_eq!(file.exists(), what != "is gone", "no other one is made for data that is there");
        std::fs::write(&file, "another").unwrap();
    }
    std::fs::write(&file, kept).unwrap();
    up_and_killed(&bench).await;
    std::fs::remove_file(&file).unwrap();
    assert!(matches!(shop_devstack::down(&bench.stack).await, Ok(Down::Orphans(left)) if left >= 2));
    assert_eq!(bench.living(), []);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_interrupt_while_the_data_folder_is_made_is_no_failure() {
    let bench = Bench::new(&["tiny"]);
    let mut running = bench.up(bench.options(vec![service("tiny", &[], true)]));
    running
        .until(|event| matches!(event, Event::Step { step, .. } if step == "postgres").then_some(()))
        .await;
    let initdb = || shop_devstack::process::marked(&bench.stack.path("postgres"));
    eventually("initdb runs", async || !initdb().is_empty()).await;
    for proc in initdb() {
        let number = rustix::process::Pid::from_raw(i32::try_from(proc.pid).unwrap());
        // One that ended meanwhile has none.
        let group = rustix::process::getpgid(number);
        assert_ne!(group, Ok(rustix::process::getpgrp()), "a Ctrl-C would reach it before us");
    }
    assert!(matches!(running.interrupt().await, Err(Trouble::Interrupted)));
    assert_eq!(bench.living(), []);
    assert!(!bench.stack.path("postgres/password-for-initdb").exists());
}
