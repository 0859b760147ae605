//! The server that a URL names: dev and the services go to the same one, and to no other.
use shop_devstack::component::Report;
use shop_devstack::postgres::{Postgres, PostgresSpec};
use shop_devstack::record::Source;
use shop_devstack::{Choice, Health, ServerSpec, Stop, Trouble, ask};

use crate::bench::{Bench, service};
use crate::reset::theirs;

#[tokio::test(flavor = "multi_thread")]
async fn a_parameter_that_means_another_server_is_refused_before_anything_happens() {
    let bench = Bench::new(&["tiny"]);
    let mut options = bench.options(vec![service("tiny", &[], true)]);
    for parameter in ["host=db.invalid", "hostaddr=192.0.2.7", "port=1", "password=s3ntinel", "dbname=theirs"]
    {
        options.server.url = Some(format!("postgres://shop@127.0.0.1/shop?{parameter}"));
        let trouble = bench.up(options.clone()).ended().await.unwrap_err();
        let (name, value) = parameter.split_once('=').unwrap();
        assert!(matches!(trouble, Trouble::Usage(_)), "{trouble}");
        let text = trouble.to_string();
        assert!(text.contains(&format!("`{name}=`")) && !text.contains(value), "{text}");
        let reset = shop_devstack::reset(
            &bench.stack,
            &options.server,
            &crate::data::nobody_listens(),
            &Stop::default(),
        )
        .await;
        assert!(matches!(reset, Err(Trouble::Usage(_))), "{reset:?}");
    }
    assert!(!bench.stack.path("server.json").exists() && !bench.file("migrate").exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_socket_folder_is_where_dev_and_the_services_go() {
    let bench = Bench::new(&["tiny"]);
    let spec = PostgresSpec { durable: false, ..PostgresSpec::new(bench.folder().join("theirs")) };
    let theirs = Postgres::start(&spec, &Report::silent()).await.unwrap();
    let folder = theirs.sockets().expect("a temporary folder's path is short");
    let mut options = bench.options(vec![service("tiny", &[], true)]);
    // The host would be another machine; the services do not look at it either.
    let url = format!("postgres://postgres@db.invalid:{}/postgres?host={}", theirs.port(), folder.display());
    options.server = ServerSpec {
        choice: Choice::Only(Source::Url),
        url: Some(url),
        password_file: Some(theirs.password_file()),
        confirm: None,
    };
    let (running, record) = bench.ready(options).await;
    assert_eq!(ask(&record).await["postgres"], Health::Ready);
    let address = format!("{}:{}", folder.display(), theirs.port());
    assert_eq!(record.postgres.unwrap().address, address);
    let handed = url::Url::parse(&record.services[0].environment["DATABASE_URL"]).unwrap();
    let parameters: Vec<_> = handed.query_pairs().collect();
    assert_eq!(parameters, [("host".into(), folder.display().to_string().into())]);
    assert_eq!((handed.username(), handed.path()), ("tiny_serve", "/tiny"));
    assert!(theirs.connect("tiny").await.is_ok(), "it was made there");
    assert!(matches!(running.interrupt().await, Err(Trouble::Interrupted)));
    theirs.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_user_without_the_rights_is_told_which() {
    let bench = Bench::new(&["tiny"]);
    let (server, given) = theirs(&bench).await;
    let client = server.connect("postgres").await.unwrap();
    client.batch_execute("create role plain login password 'plain'").await.unwrap();
    let password = bench.folder().join("plain");
    std::fs::write(&password, "plain").unwrap();
    let mut options = bench.options(vec![service("tiny", &[], true)]);
    let url = given.url.unwrap().replace("postgres://postgres@", "postgres://plain@");
    options.server = ServerSpec { url: Some(url), password_file: Some(password), ..ServerSpec::default() };
    for rights in ["nocreatedb nocreaterole", "nocreatedb createrole"] {
        client.batch_execute(&format!("alter role plain {rights}")).await.unwrap();
        let trouble = bench.up(options.clone()).ended().await.unwrap_err();
        assert!(trouble.to_string().contains("permission denied to create"), "{trouble}");
        let next = trouble.next().expect("a next step");
        assert!(next.contains("CREATEDB and CREATEROLE"), "{next}");
    }
    server.stop().await.unwrap();
}
