//! PostgreSQL and the parts beside it: what crashes is told, started again where it was, and given up when it cannot run.
use rustix::process::Signal;
use shop_devstack::events::Event;
use shop_devstack::process::Proc;
use shop_devstack::record::PartState;
use shop_devstack::{Extra, Health, Trouble, ask};

use crate::bench::{Bench, Running, eventually, service};
use crate::listening::beyond_this_machine;

type Told = (PartState, Option<Proc>, String, Vec<String>);

async fn told(running: &mut Running, name: &str) -> Told {
    let of = |event: &Event| match event {
        Event::Part { part, state, proc, text, lines, .. } if part == name => {
            Some((*state, *proc, text.clone(), lines.clone()))
        }
        _ => None,
    };
    running.until(of).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_postgres_and_redis_run_again_at_their_address() {
    let bench = Bench::new(&["tiny"]);
    let mut options = bench.options(vec![service("tiny", &[], true)]);
    options.with = vec![Extra::Cache];
    let (mut running, before) = bench.ready(options).await;
    assert_eq!(beyond_this_machine(&bench.living()), [""; 0], "who can reach it?");
    let database = before.postgres.as_ref().unwrap();
    let redis = before.parts.iter().find(|part| part.name == "redis").unwrap();
    for (name, proc) in [("postgres", database.proc.unwrap()), ("redis", redis.proc.unwrap())] {
        assert_eq!(ask(&bench.record()).await[name], Health::Ready);
        proc.signal(Signal::KILL).unwrap();
        let (state, _, text, lines) = told(&mut running, name).await;
        assert_eq!((state, text.as_str()), (PartState::BackingOff, "ended; starts again in 0.0 s"));
        assert!(!lines.is_empty(), "its last lines are shown");
        let (state, again, ..) = told(&mut running, name).await;
        assert_eq!(state, PartState::Ready);
        assert!(again.unwrap() != proc && again.unwrap().is_alive());
        assert_eq!(ask(&bench.record()).await[name], Health::Ready, "with the password that services have");
    }
    let after = bench.record();
    let server = after.postgres.as_ref().unwrap();
    assert_eq!((&server.url, server.restarts), (&database.url, 1));
    let redis_after = after.parts.iter().find(|part| part.name == "redis").unwrap();
    assert_eq!((&redis_after.address, redis_after.restarts), (&redis.address, 1));
    assert!(
        shop_devstack::seed(&bench.stack, &crate::data::nobody_listens()).await.is_ok(),
        "the data is there"
    );
    assert!(matches!(running.interrupt().await, Err(Trouble::Interrupted)));
    assert_eq!(bench.living(), [], "what was started again is ended as well");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_cannot_run_again_is_given_up_and_the_rest_goes_on() {
    let bench = Bench::new(&["tiny"]);
    let (mut running, record) = bench.ready(bench.options(vec![service("tiny", &[], true)])).await;
    let control = bench.stack.path("postgres/data/global/pg_control");
    std::fs::rename(&control, control.with_extension("away")).unwrap();
    record.postgres.unwrap().proc.unwrap().signal(Signal::KILL).unwrap();
    let mut seen = Vec::new();
    while seen.last() != Some(&PartState::GivenUp) {
        let (state, _, text, _) = told(&mut running, "postgres").await;
        assert!(seen.is_empty() || text.contains("pg_control"), "it says why: {text}");
        seen.push(state);
    }
    assert_eq!(seen.len(), 5, "{seen:?}");
    assert_eq!(ask(&bench.record()).await["postgres"], Health::GivenUp);
    let replica = bench.record().services[0].replicas[0].clone();
    assert!(replica.proc.unwrap().is_alive(), "the services go on");
    assert!(matches!(running.interrupt().await, Err(Trouble::Interrupted)));
    assert_eq!(bench.living(), []);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_hangs_is_told_from_what_answers_and_from_what_is_gone() {
    let bench = Bench::new(&["tiny"]);
    let mut options = bench.options(vec![service("tiny", &[], true)]);
    options.with = vec![Extra::Cache];
    let (running, record) = bench.ready(options).await;
    assert!(ask(&record).await.values().all(|health| *health == Health::Ready), "mail, PostgreSQL, Redis");
    let redis = record.parts.iter().find(|part| part.name == "redis").unwrap().proc.unwrap();
    redis.signal(Signal::STOP).unwrap();
    assert_eq!(ask(&record).await["redis"], Health::NotAnswering);
    redis.signal(Signal::CONT).unwrap();
    running.vanish().await; // nobody starts it again
    redis.signal(Signal::KILL).unwrap();
    eventually("it is gone", async || ask(&record).await["redis"] == Health::Gone).await;
    shop_devstack::down(&bench.stack).await.unwrap();
}
