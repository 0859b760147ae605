//! Crashes, refusals, ports and locks: what goes wrong is said, and nothing is left behind.
use std::time::Duration;

use shop_devstack::events::Event;
use shop_devstack::record::ReplicaState;
use shop_devstack::{Ports, Trouble};

use crate::bench::{Bench, eventually, get, service};

#[tokio::test(flavor = "multi_thread")]
async fn a_stack_comes_up_in_order_and_leaves_no_process() {
    let bench = Bench::new(&["tiny", "front"]);
    let services = vec![service("front", &["tiny"], false), service("tiny", &[], true)];
    let (running, record) = bench.ready(bench.options(services)).await;

    let names: Vec<&str> = record.services.iter().map(|service| service.name.as_str()).collect();
    assert_eq!(names, ["tiny", "front"], "what is depended on comes first");
    let [tiny, front] = [&record.services[0], &record.services[1]].map(|service| &service.replicas[0]);
    assert!(front.since > tiny.since, "it was ready after what it waits for");
    assert!(get(&tiny.url, "/").await.unwrap().starts_with("one "));
    assert_eq!(record.accounts.as_ref().unwrap().emails, ["ada@shop.test"]);
    let environment = &record.services[1].environment;
    assert_eq!(environment["TINY_URL"], tiny.url);
    let key = std::fs::read_to_string(&environment["TOTP_KEY_FILE"]).unwrap();
    assert_eq!(key.len(), 44, "32 bytes in base64");
    assert_eq!(bench.living().len(), 3, "two services and PostgreSQL run");

    assert!(matches!(running.interrupt().await, Err(Trouble::Interrupted)));
    assert_eq!(bench.living(), [], "nothing of the stack runs");
    assert!(bench.stack.record().unwrap().is_none());
    assert!(!bench.stack.is_held().unwrap());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_crash_is_shown_and_mended_with_growing_delays_and_the_rest_goes_on() {
    let bench = Bench::new(&["tiny", "other"]);
    let services = vec![service("tiny", &[], false), service("other", &[], false)];
    let (mut running, record) = bench.ready(bench.options(services)).await;
    let url = record.services[0].replicas[0].url.clone();
    let pid = |answer: Option<String>| answer.and_then(|body| body.split(' ').nth(1)?.parse::<u32>().ok());
    let before = pid(get(&url, "/").await).unwrap();

    assert_eq!(get(&url, "/crash").await, None);
    let crash = |event: &Event| match event {
        Event::Crashed { service, status, lines, retry_ms, .. } => {
            assert_eq!(service, "tiny");
            Some((status.clone(), lines.clone(), *retry_ms))
        }
        _ => None,
    };
    let (status, lines, retry) = running.until(crash).await;
    assert_eq!((status.as_str(), retry), ("exit code 3", Some(20)));
    assert_eq!(lines, ["started"], "the last lines of this run");
    eventually("it answers again", async || pid(get(&url, "/").await).is_some_and(|pid| pid != before)).await;

    std::fs::write(bench.file("crash"), "").unwrap();
    assert_eq!(get(&url, "/crash").await, None);
    let mut delays = Vec::new();
    while delays.last() != Some(&None) {
        delays.push(running.until(crash).await.2);
    }
    assert_eq!(delays, [Some(40), Some(80), Some(80), None], "then it is given up");
    // The crash is told first, its consequence entered after it.
    eventually("it is given up", async || {
        bench.record().services[0].replicas[0].state == ReplicaState::GivenUp
    })
    .await;
    let other = &bench.record().services[1].replicas[0];
    assert_eq!(other.state, ReplicaState::Ready);
    assert!(get(&other.url, "/").await.is_some(), "the others go on");
    let replica = bench.record().services[0].replicas[0].clone();
    assert_eq!((replica.state, replica.last_exit.as_deref()), (ReplicaState::GivenUp, Some("exit code 1")));
    assert!(matches!(running.interrupt().await, Err(Trouble::Interrupted)));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_that_refuses_is_not_started_again() {
    let bench = Bench::new(&["tiny"]);
    std::fs::write(bench.file("refuse-serve"), "").unwrap();
    let mut running = bench.up(bench.options(vec![service("tiny", &[], false)]));
    let lines = running.until(|event| match event {
        Event::Crashed { lines, retry_ms: None, .. } => Some(lines.clone()),
        _ => None,
    });
    assert!(lines.await[0].ends_with("this schema is too new for me: deploy the version before"));
    let unready = running.until(|event| match event {
        Event::NotReady { services } => Some(services.clone()),
        _ => None,
    });
    assert_eq!(unready.await, ["tiny"]);
    assert_eq!(bench.record().services[0].replicas[0].state, ReplicaState::Refused);
    assert!(matches!(running.interrupt().await, Err(Trouble::Interrupted)));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_that_never_gets_ready_is_given_up() {
    let bench = Bench::new(&["tiny"]);
    std::fs::write(bench.file("hang"), "").unwrap();
    let mut options = bench.options(vec![service("tiny", &[], false)]);
    // Each try lasts longer than the window in which crashes are counted.
    (options.patience.ready, options.patience.window) =
        (Duration::from_millis(400), Duration::from_millis(300));
    let mut running = bench.up(options);
    let status = running.until(|event| match event {
        Event::Crashed { status, retry_ms: None, .. } => Some(status.clone()),
        _ => None,
    });
    assert_eq!(status.await, "not ready after 0 s");
    let unready = running.until(|event| match event {
        Event::NotReady { services } => Some(services.clone()),
        _ => None,
    });
    assert_eq!(unready.await, ["tiny"]);
    assert_eq!(bench.record().services[0].replicas[0].state, ReplicaState::GivenUp);
    assert!(matches!(running.interrupt().await, Err(Trouble::Interrupted)));
    assert_eq!(bench.living(), []);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_migration_that_refuses_stops_all_with_its_sentence() {
    let bench = Bench::new(&["tiny"]);
    std::fs::write(bench.file("refuse-migrate"), "").unwrap();
    let trouble = bench.up(bench.options(vec![service("tiny", &[], true)])).ended().await.unwrap_err();
    assert!(matches!(&trouble, Trouble::Command { code: Some(2), .. }), "{trouble}");
    assert!(trouble.to_string().contains("deploy the version before"), "{trouble}");
    assert!(trouble.next().unwrap().contains("shopctl dev reset"));
    assert_eq!(bench.living(), []);
}

/// Data goes by `reset`, so nobody is sent there for what new data does not mend.
#[tokio::test(flavor = "multi_thread")]
async fn a_migration_that_fails_otherwise_has_a_next_step_that_keeps_the_data() {
    let bench = Bench::new(&["tiny"]);
    for (code, sentence, next) in [
        (9, "the database went away while its schema was migrated", "shopctl dev logs postgres"),
        (2, "MIGRATE_DATABASE_URL is no URL", "mend what its sentence above names"),
        (101, "thread main panicked", "shopctl dev logs tiny-commands"),
    ] {
        std::fs::write(bench.file("refuse-migrate"), format!("{code} {sentence}")).unwrap();
        let trouble = bench.up(bench.options(vec![service("tiny", &[], true)])).ended().await.unwrap_err();
        assert!(matches!(&trouble, Trouble::Command { code: Some(got), .. } if *got == code), "{trouble}");
        assert!(trouble.to_string().contains(sentence), "{trouble}");
        let said = trouble.next().unwrap();
        assert!(said.contains(next) && !said.contains("reset"), "{said}");
        assert_eq!(bench.living(), []);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_used_port_stops_all_before_anything_starts() {
    let bench = Bench::new(&["tiny"]);
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let mut options = bench.options(vec![service("tiny", &[], true)]);
    (options.ports, options.services[0].public_port) = (Ports::Fixed, port);
    let trouble = bench.up(options).ended().await.unwrap_err();
    let text = trouble.to_string();
    let me = format!("(pid {})", std::process::id());
    assert!(text.contains(&format!("port {port}")) && text.ends_with(&me), "{text}");
    assert!(trouble.next().unwrap().contains("--ports auto"));
    assert!(!bench.stack.path("postgres").exists(), "not even the database was made");
}

#[tokio::test(flavor = "multi_thread")]
async fn code_that_does_not_compile_stops_all_with_the_compilers_words() {
    let bench = Bench::new(&["tiny"]);
    std::fs::write(bench.file("tiny/src/main.rs"), "fn main() { missing() }").unwrap();
    let mut running = bench.up(bench.options(vec![service("tiny", &[], true)]));
    let word = |event: &Event| match event {
        Event::Compiler { line } if line.contains("cannot find function `missing`") => Some(()),
        _ => None,
    };
    running.until(word).await;
    let trouble = running.ended().await.unwrap_err();
    assert_eq!(trouble.to_string(), "the build of tiny failed");
    assert_eq!(bench.living(), [], "neither cargo nor PostgreSQL");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_up_learns_who_has_the_stack() {
    let bench = Bench::new(&["tiny"]);
    let (running, _) = bench.ready(bench.options(vec![service("tiny", &[], false)])).await;
    let trouble = bench.up(bench.options(vec![service("tiny", &[], false)])).ended().await.unwrap_err();
    assert!(matches!(trouble, Trouble::Held { .. }));
    let me = format!("`a test` (pid {}) has it since 20", std::process::id());
    assert!(trouble.to_string().contains(&me), "{trouble}");
    assert!(bench.stack.is_held().unwrap(), "the first one still has it");
    assert!(matches!(running.interrupt().await, Err(Trouble::Interrupted)));
}

#[tokio::test(flavor = "multi_thread")]
async fn every_replica_has_an_address_and_a_log_of_its_own() {
    let bench = Bench::new(&["tiny"]);
    let mut options = bench.options(vec![service("tiny", &[], false)]);
    options.replicas.insert("tiny".into(), 3);
    let (running, record) = bench.ready(options).await;
    let replicas = &record.services[0].replicas;
    let mut answers = Vec::new();
    for replica in replicas {
        answers.push(get(&replica.url, "/").await.unwrap());
        assert!(std::fs::read_to_string(&replica.log).unwrap().ends_with("started\n"));
    }
    answers.sort();
    answers.dedup();
    assert_eq!((replicas.len(), answers.len()), (3, 3), "three processes behind three addresses");
    assert!(matches!(running.interrupt().await, Err(Trouble::Interrupted)));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_interrupt_kills_what_does_not_want_to_end() {
    let bench = Bench::new(&["tiny"]);
    std::fs::write(bench.file("stubborn"), "").unwrap();
    let (mut running, record) = bench.ready(bench.options(vec![service("tiny", &[], true)])).await;
    let proc = record.services[0].replicas[0].proc.unwrap();
    running.stop.gently.cancel();
    running.until(|event| matches!(event, Event::Stopping {}).then_some(())).await;
    assert!(proc.is_alive(), "it does not listen to SIGTERM");
    let began = std::time::Instant::now();
    running.stop.now.cancel();
    assert!(matches!(running.ended().await, Err(Trouble::Interrupted)));
    assert!(began.elapsed() < Duration::from_secs(10), "its grace of 15 s was not waited for");
    assert_eq!(bench.living(), []);
}

#[tokio::test(flavor = "multi_thread")]
async fn two_interrupts_at_once_start_nothing_again() {
    let bench = Bench::new(&["tiny"]);
    let (running, _) = bench.ready(bench.options(vec![service("tiny", &[], true)])).await;
    // The second one is there before the first is looked at.
    running.stop.now.cancel();
    running.stop.gently.cancel();
    assert!(matches!(running.ended().await, Err(Trouble::Interrupted)));
    assert_eq!(bench.living(), []);
}

/// As root nothing is read-only, so something else is in the way of each folder.
#[tokio::test(flavor = "multi_thread")]
async fn a_state_folder_that_cannot_be_written_stops_all_before_anything_starts() {
    let bench = Bench::new(&["tiny"]);
    for folder in ["mail", "logs", "secrets"] {
        let place = bench.stack.path(folder);
        let _absent = std::fs::remove_dir_all(&place);
        std::fs::write(&place, "").unwrap();
        let trouble = bench.up(bench.options(vec![service("tiny", &[], true)])).ended().await.unwrap_err();
        assert!(matches!(trouble, Trouble::StateFolder { named: true, .. }), "{trouble}");
        assert!(trouble.to_string().contains(&place.display().to_string()), "{trouble}");
        assert!(trouble.next().unwrap().contains("SHOP_DEV_STATE"));
        assert!(!bench.stack.path("postgres").exists(), "not even the database was made");
        std::fs::remove_file(&place).unwrap();
    }
}
