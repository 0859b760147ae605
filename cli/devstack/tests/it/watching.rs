//! `--watch`: a change is built and started; one that does not compile leaves the old process alone.
use shop_devstack::Trouble;
use shop_devstack::events::{Event, Phase};

use crate::bench::{Bench, eventually, get, service};

#[tokio::test(flavor = "multi_thread")]
async fn a_change_restarts_its_service_and_no_other() {
    let bench = Bench::new(&["tiny", "other"]);
    let mut options = bench.options(vec![service("tiny", &[], true), service("other", &[], false)]);
    options.watch = true;
    let (mut running, record) = bench.ready(options).await;
    let watches = |event: &Event| match event {
        Event::Step { step, phase: Phase::Done, .. } if step == "watch" => Some(()),
        _ => None,
    };
    running.until(watches).await;
    let url = record.services[0].replicas[0].url.clone();
    let source = bench.file("tiny/src/main.rs");
    let text = std::fs::read_to_string(&source).unwrap();
    let before = get(&url, "/").await.unwrap();

    std::fs::write(&source, text.replace("\"one\"", "one")).unwrap();
    let word = |event: &Event| match event {
        Event::Warning { text } if text.contains("the build of tiny failed") => Some(()),
        _ => None,
    };
    running.until(word).await;
    assert_eq!(get(&url, "/").await.unwrap(), before, "the old one still runs");

    std::fs::write(&source, text.replace("\"one\"", "\"two\"")).unwrap();
    eventually("the new build answers", async || {
        get(&url, "/").await.is_some_and(|answer| answer.starts_with("two "))
    })
    .await;
    let other = bench.record().services[1].replicas[0].proc;
    assert_eq!(other, record.services[1].replicas[0].proc, "a service that did not change goes on");
    let migrations = std::fs::read_to_string(bench.file("migrate")).unwrap();
    assert_eq!(migrations.lines().count(), 2, "the new build migrated before it started");
    assert!(matches!(running.interrupt().await, Err(Trouble::Interrupted)));
    assert_eq!(bench.living(), []);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_before_the_stack_is_up_is_not_missed() {
    let bench = Bench::new(&["tiny"]);
    std::fs::write(bench.file("hang"), "").unwrap();
    let mut options = bench.options(vec![service("tiny", &[], false)]);
    options.watch = true;
    let mut running = bench.up(options);
    let started = |event: &Event| matches!(event, Event::Replica { .. }).then_some(());
    running.until(started).await;
    // Built already, and not ready before the file is gone.
    let source = bench.file("tiny/src/main.rs");
    let text = std::fs::read_to_string(&source).unwrap();
    std::fs::write(&source, text.replace("\"one\"", "\"two\"")).unwrap();
    std::fs::remove_file(bench.file("hang")).unwrap();
    let url = bench.record().services[0].replicas[0].url.clone();
    eventually("the new build answers", async || {
        get(&url, "/").await.is_some_and(|answer| answer.starts_with("two "))
    })
    .await;
    assert!(matches!(running.interrupt().await, Err(Trouble::Interrupted)));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_changed_profile_of_the_workspace_restarts_every_service() {
    let bench = Bench::new(&["tiny", "other"]);
    let mut options = bench.options(vec![service("tiny", &[], false), service("other", &[], false)]);
    options.watch = true;
    let (running, record) = bench.ready(options).await;
    let manifest = bench.file("Cargo.toml");
    let text = std::fs::read_to_string(&manifest).unwrap();
    std::fs::write(&manifest, format!("{text}[profile.dev]\nopt-level = 1\n")).unwrap();
    for service in &record.services {
        let replica = &service.replicas[0];
        let before = replica.proc.unwrap().pid.to_string();
        eventually("another process answers", async || {
            get(&replica.url, "/")
                .await
                .is_some_and(|answer| !answer.is_empty() && !answer.ends_with(&before))
        })
        .await;
    }
    assert!(matches!(running.interrupt().await, Err(Trouble::Interrupted)));
    assert_eq!(bench.living(), []);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_crate_that_a_service_comes_to_depend_on_is_watched_from_then_on() {
    let bench = Bench::new(&["tiny"]);
    let library = bench.file("words/src/lib.rs");
    std::fs::create_dir_all(library.parent().unwrap()).unwrap();
    std::fs::write(bench.file("words/Cargo.toml"), "[package]\nname = \"words\"\nedition = \"2024\"\n")
        .unwrap();
    let says = |word: &str| format!("pub const VERSION: &str = \"{word}\";\n");
    std::fs::write(&library, says("two")).unwrap();
    let workspace = std::fs::read_to_string(bench.file("Cargo.toml")).unwrap();
    std::fs::write(bench.file("Cargo.toml"), workspace.replace("[\"tiny\"]", "[\"tiny\", \"words\"]"))
        .unwrap();
    let mut options = bench.options(vec![service("tiny", &[], false)]);
    options.watch = true;
    let (running, record) = bench.ready(options).await;
    let url = record.services[0].replicas[0].url.clone();
    let answers = async |word: &str| {
        eventually(word, async || get(&url, "/").await.is_some_and(|answer| answer.starts_with(word))).await;
    };
    answers("one ").await;

    let (manifest, source) = (bench.file("tiny/Cargo.toml"), bench.file("tiny/src/main.rs"));
    let text = std::fs::read_to_string(&manifest).unwrap();
    std::fs::write(&manifest, format!("{text}[dependencies]\nwords = {{ path = \"../words\" }}\n")).unwrap();
    let text = std::fs::read_to_string(&source).unwrap();
    std::fs::write(&source, text.replace("const VERSION: &str = \"one\";", "use words::VERSION;")).unwrap();
    answers("two ").await;
    std::fs::write(&library, says("three")).unwrap();
    answers("three ").await;
    assert!(matches!(running.interrupt().await, Err(Trouble::Interrupted)));
    assert_eq!(bench.living(), []);
}
