//! Databases, roles and dev's marker: what dev made is its own to drop, everything else stays as it is.
use std::path::PathBuf;

use shop_devstack::component::Report;
use shop_devstack::postgres::{Postgres, PostgresSpec};
use shop_devstack::record::{Record, Source};
use shop_devstack::{Choice, ServerSpec, Stop, Trouble};
use tokio_postgres::NoTls;

use crate::bench::{Bench, service};
use shop_devstack::events::{Event, Events};

pub(crate) fn nobody_listens() -> Events {
    Events::to(tokio::sync::mpsc::unbounded_channel().0)
}

pub(crate) async fn names(postgres: &Postgres) -> Vec<String> {
    let client = postgres.connect("postgres").await.unwrap();
    let rows = client
        .query("select datname from pg_database where not datistemplate order by 1", &[])
        .await
        .unwrap();
    rows.iter().map(|row| row.get(0)).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_serve_role_has_the_rows_and_not_the_schema() {
    let bench = Bench::new(&["tiny"]);
    let (running, _) = bench.ready(bench.options(vec![service("tiny", &[], true)])).await;
    let connect = async |role: &str| {
        let url = bench.record().services[0].environment["DATABASE_URL"].replace("tiny_serve", role);
        let password = std::fs::read_to_string(bench.stack.path("secrets").join(role)).unwrap();
        let mut config: tokio_postgres::Config = url.parse().unwrap();
        let (client, connection) = config.password(password).connect(NoTls).await.unwrap();
        tokio::spawn(connection);
        client
    };
    let owner = connect("tiny_owner").await;
    owner.batch_execute("create table t (id bigint generated always as identity, x text)").await.unwrap();
    let serve = connect("tiny_serve").await;
    serve.batch_execute("insert into t (x) values ('a'); update t set x = 'b'; delete from t").await.unwrap();
    for forbidden in ["create table u (x text)", "alter table t add y text", "drop table t", "truncate t"] {
        let error = serve.batch_execute(forbidden).await.unwrap_err();
        assert_eq!(
            error.code().map(tokio_postgres::error::SqlState::code),
            Some("42501"),
            "{forbidden}: {error}"
        );
    }
    assert!(matches!(running.interrupt().await, Err(Trouble::Interrupted)));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_issuer_sees_to_the_client_of_a_service_at_every_start() {
    let bench = Bench::new(&["tiny", "follower"]);
    let specs = || {
        let mut issuer = service("tiny", &[], false);
        issuer.secrets.push(("SIGNING_KEYS_DIR".into(), "signing-keys".into()));
        let mut follower = service("follower", &[], false);
        follower.secrets.push(("ISSUER_CLIENT_FILE".into(), "issuer-client".into()));
        vec![follower, issuer]
    };
    // The second time what is in the file is no client of the issuer's database.
    for _ in 0..2 {
        let (running, record) = bench.ready(bench.options(specs())).await;
        let issuer = record.services.iter().find(|service| service.name == "tiny").unwrap();
        let environment =
            &record.services.iter().find(|service| service.name == "follower").unwrap().environment;
        assert_eq!(environment["ISSUER_URL"], issuer.replicas[0].url);
        let client = &environment["ISSUER_CLIENT_FILE"];
        assert_eq!(std::fs::read_to_string(client).unwrap(), "create --name follower --to");
        std::fs::write(client, "of another database").unwrap();
        assert!(matches!(running.interrupt().await, Err(Trouble::Interrupted)));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_secret_is_of_one_service_and_what_a_stack_of_before_has_stays() {
    let bench = Bench::new(&["tiny", "other"]);
    let specs = || {
        let mut issuer = service("tiny", &[], false);
        issuer.secrets.push(("SIGNING_KEYS_DIR".into(), "signing-keys".into()));
        vec![issuer, service("other", &[], false)]
    };
    let secret = |record: &Record, service: &str, variable: &str| {
        let found = record.services.iter().find(|one| one.name == service).unwrap();
        PathBuf::from(&found.environment[variable])
    };
    let keys = |record: &Record| ["tiny", "other"].map(|service| secret(record, service, "TOTP_KEY_FILE"));
    let contents = |files: [PathBuf; 2]| files.map(|file| std::fs::read_to_string(file).unwrap());
    let (running, record) = bench.ready(bench.options(specs())).await;
    let [one, other] = contents(keys(&record));
    assert_ne!(one, other, "two services that call a secret alike");
    assert!(matches!(running.interrupt().await, Err(Trouble::Interrupted)));

    // As it was when a secret's name was all.
    let old = |name: &str| bench.stack.path("secrets").join(name);
    keys(&record).iter().for_each(|file| std::fs::remove_file(file).unwrap());
    std::fs::remove_dir(secret(&record, "tiny", "SIGNING_KEYS_DIR")).unwrap();
    std::fs::write(old("totp-key"), "shared").unwrap();
    std::fs::create_dir(old("signing-keys")).unwrap();
    std::fs::write(old("signing-keys/current"), "key").unwrap();
    for _ in 0..2 {
        let (running, record) = bench.ready(bench.options(specs())).await;
        assert_eq!(contents(keys(&record)), ["shared", "shared"]);
        let signing = secret(&record, "tiny", "SIGNING_KEYS_DIR");
        assert_eq!(std::fs::read_to_string(signing.join("current")).unwrap(), "key");
        assert!(!old("totp-key").exists() && !old("signing-keys").exists(), "moved, not copied");
        assert!(matches!(running.interrupt().await, Err(Trouble::Interrupted)));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn reset_drops_what_dev_made_and_keeps_the_rest_and_seeds_again() {
    let bench = Bench::new(&["tiny"]);
    let seeds = || std::fs::read_to_string(bench.file("seeded")).unwrap().lines().count();
    let options = || bench.options(vec![service("tiny", &[], true)]);
    let (running, record) = bench.ready(options()).await;
    let spec = PostgresSpec::new(bench.stack.path("postgres"));
    let postgres = Postgres::find(&spec.dir).await.unwrap().unwrap();
    postgres.connect("postgres").await.unwrap().batch_execute("create database keepsake").await.unwrap();
    let reset = async || {
        shop_devstack::reset(&bench.stack, &ServerSpec::default(), &nobody_listens(), &Stop::default()).await
    };
    assert!(matches!(reset().await, Err(Trouble::Held { .. })), "not while it is up");
    let password = std::fs::read_to_string(&record.accounts.unwrap().password_file).unwrap();
    assert!(matches!(running.interrupt().await, Err(Trouble::Interrupted)));

    let (running, _) = bench.ready(options()).await;
    assert_eq!(seeds(), 1, "data stays, so it is not seeded again");
    assert_eq!(shop_devstack::seed(&bench.stack, &nobody_listens()).await.unwrap(), ["tiny"]);
    assert_eq!(seeds(), 2, "but when asked to");
    assert!(matches!(running.interrupt().await, Err(Trouble::Interrupted)));

    assert_eq!(reset().await.unwrap(), ["tiny"]);
    assert_eq!(bench.living(), []);
    let postgres = Postgres::start(&spec, &Report::silent()).await.unwrap();
    assert_eq!(names(&postgres).await, ["keepsake", "postgres"]);
    let (running, record) = bench.ready(options()).await;
    assert_eq!(seeds(), 3, "a fresh database is seeded");
    let fresh = std::fs::read_to_string(&record.accounts.unwrap().password_file).unwrap();
    assert_ne!(fresh, password, "with a password of its own");
    assert!(matches!(running.interrupt().await, Err(Trouble::Interrupted)));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_without_the_marker_is_refused_and_left_as_it_is() {
    let bench = Bench::new(&["tiny"]);
    // A server that somebody else runs, given by its address.
    let spec = PostgresSpec { durable: false, ..PostgresSpec::new(bench.folder().join("theirs")) };
    let theirs = Postgres::start(&spec, &Report::silent()).await.unwrap();
    let client = theirs.connect("postgres").await.unwrap();
    client.batch_execute("create database tiny").await.unwrap();
    let inside = theirs.connect("tiny").await.unwrap();
    inside.batch_execute("create table orders (id int); insert into orders values (1)").await.unwrap();
    drop(inside);
    let mut options = bench.options(vec![service("tiny", &[], true)]);
    options.server = ServerSpec {
        choice: Choice::Only(Source::Url),
        url: Some(theirs.url("postgres")),
        password_file: Some(theirs.password_file()),
        confirm: None,
    };
    let given = options.server.clone();
    let trouble = bench.up(options.clone()).ended().await.unwrap_err();
    assert!(matches!(&trouble, Trouble::Unmarked { database, .. } if database == "tiny"), "{trouble}");
    assert!(trouble.to_string().contains("was not made by dev"), "{trouble}");
    assert!(!bench.file("migrate").exists() && !bench.file("seeded").exists(), "no command ran");
    assert_eq!(
        shop_devstack::reset(&bench.stack, &given, &nobody_listens(), &Stop::default()).await.unwrap(),
        [""; 0]
    );
    let inside = theirs.connect("tiny").await.unwrap();
    assert_eq!(inside.query("select id from orders", &[]).await.unwrap().len(), 1, "their rows are there");
    drop(inside);

    // Another stack's database is none of ours either.
    client.batch_execute("comment on database tiny is 'shop-dev:another'").await.unwrap();
    let trouble = bench.up(options.clone()).ended().await.unwrap_err();
    assert!(trouble.to_string().contains("was made by another stack"), "{trouble}");

    client.batch_execute("drop database tiny").await.unwrap();
    let (mut running, record) = bench.ready(options).await;
    assert_eq!(record.postgres.unwrap().source, Source::Url);
    running.stop.gently.cancel();
    running.until(|event| matches!(event, Event::Stopped {}).then_some(())).await;
    assert!(theirs.proc().is_alive(), "a server of somebody else is not ended");
    assert!(names(&theirs).await.contains(&"tiny".to_owned()), "and the data stays");
    theirs.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_seed_of_a_running_stack_looks_at_the_marker_and_says_what_is_missing() {
    let bench = Bench::new(&["tiny"]);
    let seeds = || std::fs::read_to_string(bench.file("seeded")).unwrap().lines().count();
    let (server, given) = crate::reset::theirs(&bench).await;
    let mut options = bench.options(vec![service("tiny", &[], true)]);
    let password = bench.folder().join("password");
    std::fs::copy(server.password_file(), &password).unwrap();
    options.server = ServerSpec { password_file: Some(password.clone()), ..given };
    let (running, _) = bench.ready(options).await;
    let client = server.connect("postgres").await.unwrap();
    let refused = async || shop_devstack::seed(&bench.stack, &nobody_listens()).await.unwrap_err();
    for (statement, found, next) in [
        ("comment on database tiny is null", "was not made by dev", "--database-url"),
        ("drop database tiny with (force)", "does not exist", "shopctl dev up"),
    ] {
        client.batch_execute(statement).await.unwrap();
        let trouble = refused().await;
        assert!(matches!(trouble, Trouble::Unmarked { .. }), "{trouble}");
        assert!(trouble.to_string().contains(found), "{trouble}");
        assert!(trouble.next().unwrap().contains(next), "{found}");
    }
    assert_eq!(seeds(), 1, "no command ran");

    std::fs::write(&password, "wrong").unwrap();
    let trouble = refused().await;
    assert!(matches!(trouble, Trouble::Refused { .. }), "{trouble}");
    assert!(trouble.to_string().contains("password authentication failed"), "{trouble}");
    std::fs::remove_file(&password).unwrap();
    let trouble = refused().await;
    assert!(matches!(&trouble, Trouble::PasswordFile { file, .. } if *file == password), "{trouble}");
    assert!(trouble.next().unwrap().contains("bring this one back"));
    assert!(matches!(running.interrupt().await, Err(Trouble::Interrupted)));
    server.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn another_machine_needs_its_databases_name_typed() {
    let bench = Bench::new(&["tiny"]);
    let mut options = bench.options(vec![service("tiny", &[], true)]);
    options.server.url = Some("postgres://shop@db.invalid/shop?sslmode=disable".into());
    for confirm in [None, Some("other".to_owned())] {
        options.server.confirm = confirm;
        let trouble = bench.up(options.clone()).ended().await.unwrap_err();
        assert!(matches!(trouble, Trouble::Unconfirmed { .. }), "{trouble}");
        assert_eq!(trouble.next().unwrap(), "give --confirm shop");
    }
    options.server.confirm = Some("shop".into());
    let trouble = bench.up(options).ended().await.unwrap_err();
    assert!(
        matches!(trouble, Trouble::Refused { .. }),
        "the name is right; only the server is not there: {trouble}"
    );
}
