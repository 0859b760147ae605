//! A service as a process. The service is this very test binary: `serve` selects the one test of that name, which
//! serves when it is told to by its environment and is empty otherwise.

use std::io::Write;
use std::os::unix::process::ExitStatusExt;

use axum::Router;
use axum::routing::get;
use shop_test::{ServiceProgram, TestDb};

#[tokio::test]
async fn serve() {
    let Ok(file) = std::env::var("ADDR_FILE") else { return };
    if std::env::var_os("BROKEN").is_some() {
        std::io::stderr().write_all(b"no luck\n").unwrap();
        std::process::abort();
    }
    let router = Router::new().route("/readyz", get(|| async {})).route("/env", get(environment));
    let mut addresses = Vec::new();
    for _ in 0..2 {
        let listener = tokio::net::TcpListener::bind(std::env::var("PUBLIC_ADDR").unwrap()).await.unwrap();
        addresses.push(listener.local_addr().unwrap());
        let router = router.clone();
        tokio::spawn(async { axum::serve(listener, router).await.unwrap() });
    }
    std::io::stdout().write_all(b"to stdout\n").unwrap();
    std::fs::write(file, format!(r#"{{"public":"{}","admin":"{}"}}"#, addresses[0], addresses[1])).unwrap();
    std::future::pending::<()>().await;
}

async fn environment() -> String {
    let mut lines: Vec<String> = std::env::vars().map(|(name, value)| format!("{name}={value}")).collect();
    lines.sort();
    lines.join("\n")
}

fn program() -> ServiceProgram {
    ServiceProgram::new(std::env::current_exe().unwrap())
}

#[tokio::test]
async fn it_gets_ready_is_asked_and_ends_with_a_signal() {
    let db = TestDb::empty().await;
    let service = program().on(&db).env("COLOUR", "red").serve().await;
    assert_ne!(service.public(), service.admin());
    let environment = service.client().get("/env").send().await.expect(200).text();
    assert!(environment.contains("COLOUR=red") && environment.contains(db.name()), "{environment}");
    assert!(!environment.contains("HOME="), "{environment}");
    service.has_written("to stdout").await;
    assert!(service.is_alive());
    let ended = service.terminate().await;
    assert_eq!(ended.status.signal(), Some(15));
    assert!(ended.output.contains("to stdout"));
    assert!(!service.is_alive());
}

#[tokio::test]
async fn one_that_breaks_shows_what_it_wrote() {
    let failed = tokio::spawn(async { program().env("BROKEN", "1").serve().await }).await.unwrap_err();
    let text = failed.into_panic().downcast_ref::<String>().unwrap().clone();
    assert!(text.contains("no luck"), "{text}");
}

#[tokio::test]
async fn dropping_it_ends_it() {
    let service = program().serve().await;
    let proc = shop_testbed::process::Proc::of(service.pid().unwrap()).unwrap();
    drop(service);
    tokio::time::timeout(shop_test::PATIENCE, proc.ended()).await.unwrap();
}

#[tokio::test]
async fn a_command_runs_to_its_end() {
    let ended = program().run(&["--list"]).await;
    assert!(ended.status.success() && ended.output.contains("process::serve: test"), "{}", ended.output);
    assert!(!program().run(&["--nonsense"]).await.status.success());
}
