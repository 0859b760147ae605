//! `reset` finds every server that was ever given data, and forgets no key of data that stays.
use shop_devstack::component::Report;
use shop_devstack::events::Events;
use shop_devstack::postgres::{Postgres, PostgresSpec};
use shop_devstack::record::Source;
use shop_devstack::{Choice, Result, ServerSpec, Stop, Trouble};
use tokio::sync::mpsc::unbounded_channel;

use crate::bench::{Bench, service};
use crate::data::{names, nobody_listens};

/// A server that somebody else runs.
pub(crate) async fn theirs(bench: &Bench) -> (Postgres, ServerSpec) {
    let spec = PostgresSpec { durable: false, ..PostgresSpec::new(bench.folder().join("theirs")) };
    let theirs = Postgres::start(&spec, &Report::silent()).await.unwrap();
    let given = ServerSpec {
        choice: Choice::Only(Source::Url),
        url: Some(theirs.url("postgres")),
        password_file: Some(theirs.password_file()),
        confirm: None,
    };
    (theirs, given)
}

async fn up_and_down(bench: &Bench, server: ServerSpec) {
    let mut options = bench.options(vec![service("tiny", &[], true)]);
    options.server = server;
    let (running, _) = bench.ready(options).await;
    assert!(matches!(running.interrupt().await, Err(Trouble::Interrupted)));
}

async fn reset(bench: &Bench, asked: &ServerSpec) -> Result<Vec<String>> {
    shop_devstack::reset(&bench.stack, asked, &nobody_listens(), &Stop::default()).await
}

#[tokio::test(flavor = "multi_thread")]
async fn every_server_with_data_is_reset_and_one_that_is_away_keeps_its_keys() {
    let bench = Bench::new(&["tiny"]);
    let (server, given) = theirs(&bench).await;
    up_and_down(&bench, given.clone()).await;
    up_and_down(&bench, ServerSpec::default()).await;
    let (server_json, key) = (bench.stack.path("server.json"), bench.stack.path("secrets/tiny-totp-key"));
    let password = std::fs::read_to_string(server.password_file()).unwrap();
    assert!(!std::fs::read_to_string(&server_json).unwrap().contains(password.trim()));

    server.stop().await.unwrap();
    let trouble = reset(&bench, &ServerSpec::default()).await.unwrap_err();
    let Trouble::DataLeft { servers, file } = &trouble else { panic!("{trouble}") };
    let address = format!("127.0.0.1:{}", server.port());
    assert!(servers.len() == 1 && servers[0].starts_with(&address), "{trouble}");
    assert!(*file == server_json && trouble.next().unwrap().contains("server.json"));
    assert!(key.exists() && server_json.exists(), "nothing is forgotten that the data may need");

    let (server, _) = theirs(&bench).await;
    assert!(names(&server).await.contains(&"tiny".to_owned()));
    assert_eq!(reset(&bench, &ServerSpec::default()).await.unwrap(), ["tiny", "tiny"]);
    assert_eq!(names(&server).await, ["postgres"]);
    assert!(!key.exists() && !server_json.exists());
    assert_eq!(bench.living(), []);
    server.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_server_that_is_asked_for_is_always_looked_at() {
    let bench = Bench::new(&["tiny"]);
    let (server, given) = theirs(&bench).await;
    up_and_down(&bench, given.clone()).await;
    // As an earlier version left it: the last server alone, and that another one.
    std::fs::remove_file(bench.stack.path("server.json")).unwrap();
    assert_eq!(reset(&bench, &ServerSpec::default()).await.unwrap(), [""; 0]);
    assert!(names(&server).await.contains(&"tiny".to_owned()));
    assert_eq!(reset(&bench, &given).await.unwrap(), ["tiny"]);
    assert_eq!(names(&server).await, ["postgres"]);

    let nowhere =
        ServerSpec { url: Some("postgres://shop@127.0.0.1:1/shop".into()), ..ServerSpec::default() };
    let trouble = reset(&bench, &nowhere).await.unwrap_err();
    assert!(matches!(trouble, Trouble::Refused { .. }), "{trouble}");
    server.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_role_that_another_database_needs_keeps_all_that_is_there() {
    let bench = Bench::new(&["tiny", "other"]);
    let (server, given) = theirs(&bench).await;
    let mut options = bench.options(vec![service("tiny", &[], true), service("other", &[], true)]);
    options.server = given.clone();
    let (running, _) = bench.ready(options).await;
    assert!(matches!(running.interrupt().await, Err(Trouble::Interrupted)));
    let client = server.connect("postgres").await.unwrap();
    client.batch_execute("comment on database tiny is null").await.unwrap();
    // By the note of it, and by its address.
    for asked in [&ServerSpec::default(), &given] {
        let trouble = reset(&bench, asked).await.unwrap_err();
        assert!(matches!(trouble, Trouble::RoleNeeded { .. }), "{trouble}");
        let said = trouble.to_string();
        assert!(
            said.contains("the role tiny_owner") && said.contains("the database tiny needs it"),
            "{said}"
        );
        assert!(said.contains("lacks dev's marker") && trouble.next().unwrap().contains("reassign owned"));
        assert_eq!(names(&server).await, ["other", "postgres", "tiny"], "nothing is half done");
        assert!(bench.stack.path("secrets/tiny-totp-key").exists());
    }
    let inside = server.connect("tiny").await.unwrap();
    for role in ["tiny_owner", "tiny_serve"] {
        let free = format!("reassign owned by {role} to current_user; drop owned by {role}");
        inside.batch_execute(&free).await.unwrap();
    }
    assert_eq!(reset(&bench, &given).await.unwrap(), ["other"]);
    assert_eq!(names(&server).await, ["postgres", "tiny"]);
    server.stop().await.unwrap();

    let (running, _) = bench.ready(bench.options(vec![service("other", &[], true)])).await;
    let own = Postgres::find(&bench.stack.path("postgres")).await.unwrap().unwrap();
    let client = own.connect("postgres").await.unwrap();
    client.batch_execute("comment on database other is null").await.unwrap();
    assert!(matches!(running.interrupt().await, Err(Trouble::Interrupted)));
    let next = reset(&bench, &ServerSpec::default()).await.unwrap_err().next().unwrap();
    assert!(next.contains(&format!("delete {} if", bench.stack.path("postgres").display())), "{next}");
    assert_eq!(bench.living(), []);
}

#[tokio::test(flavor = "multi_thread")]
async fn one_that_is_interrupted_leaves_no_server_behind() {
    let bench = Bench::new(&["tiny"]);
    up_and_down(&bench, ServerSpec::default()).await;
    let (sender, mut events) = unbounded_channel();
    let stop = Stop::default();
    let wish = stop.gently.clone();
    // As soon as it says that it starts one.
    tokio::spawn(async move {
        while events.recv().await.is_some() {
            wish.cancel();
        }
    });
    let asked = ServerSpec::default();
    let outcome = shop_devstack::reset(&bench.stack, &asked, &Events::to(sender), &stop).await;
    assert!(matches!(outcome, Err(Trouble::Interrupted)), "{outcome:?}");
    assert_eq!(bench.living(), []);
    assert_eq!(reset(&bench, &asked).await.unwrap(), ["tiny"], "the rest is for the next one");
}

#[tokio::test(flavor = "multi_thread")]
async fn data_that_no_server_starts_on_is_told_with_the_next_step() {
    let bench = Bench::new(&["tiny"]);
    up_and_down(&bench, ServerSpec::default()).await;
    let own = bench.stack.path("postgres");
    std::fs::remove_file(own.join("data/global/pg_control")).unwrap();
    let told = |trouble: Trouble| {
        assert!(matches!(&trouble, Trouble::OwnServer { folder, .. } if *folder == own), "{trouble}");
        assert!(trouble.to_string().contains("pg_control"), "what the server said: {trouble}");
        let next = trouble.next().unwrap();
        assert!(next.contains(&format!("delete {} and run this again", own.display())), "{next}");
    };
    told(bench.up(bench.options(vec![service("tiny", &[], true)])).ended().await.unwrap_err());
    told(reset(&bench, &ServerSpec::default()).await.unwrap_err());
    assert_eq!(bench.living(), []);
    std::fs::remove_dir_all(&own).unwrap();
    assert_eq!(reset(&bench, &ServerSpec::default()).await.unwrap(), [""; 0]);
    assert!(!bench.stack.path("secrets").exists());
}
