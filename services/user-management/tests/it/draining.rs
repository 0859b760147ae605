//! The preStop hook, and a start that waits in vain: both end with the exit codes that Kubernetes and people rely on.

use std::time::{Duration, Instant};

use shop_test::ServiceProgram;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use crate::world::World;

/// The hook as Kubernetes runs it beside the service: the same environment, no database.
fn hook(world: &World, drain: Duration) -> ServiceProgram {
    world
        .program()
        .env("ADMIN_ADDR", world.service.admin().to_string())
        .env("DRAIN_MS", drain.as_millis().to_string())
        .env("DATABASE_URL", "postgres://nobody@127.0.0.1:1/nothing")
}

#[tokio::test]
async fn the_hook_drains_the_service_and_waits_until_it_should_have_no_requests() {
    let world = World::start().await;
    let mut kept = TcpStream::connect(world.service.public()).await.unwrap();
    let drain = Duration::from_millis(700);
    let began = Instant::now();
    let ended = hook(&world, drain).run(&["drain"]).await;
    assert_eq!(ended.status.code(), Some(0), "{}", ended.output);
    assert!(began.elapsed() >= drain, "it returned after {:?}", began.elapsed());

    let ready = world.service.admin_client().get("/readyz").send().await.expect(503);
    assert_eq!(ready.text().trim(), "draining");
    world.service.admin_client().get("/healthz").send().await.expect(200);
    world.service.has_written("draining").await;
    // Who comes late is still answered, and told to go elsewhere.
    kept.write_all(b"GET /.well-known/jwks.json HTTP/1.1\r\nhost: shop\r\n\r\n").await.unwrap();
    let mut answer = String::new();
    kept.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 200") && answer.contains("connection: close"), "{answer}");
    assert_eq!(hook(&world, Duration::ZERO).run(&["drain"]).await.status.code(), Some(0), "once more");
    let ended = world.service.terminate().await;
    assert_eq!(ended.status.code(), Some(0), "{}", ended.output);
}

#[tokio::test]
async fn the_hook_says_when_nobody_is_there_or_somebody_else_is() {
    let world = World::start().await;
    let nobody = hook(&world, Duration::ZERO).env("ADMIN_ADDR", "127.0.0.1:1").run(&["drain"]).await;
    assert_eq!(nobody.status.code(), Some(9), "{}", nobody.output);
    assert!(nobody.output.contains("is the service running?"), "{}", nobody.output);
    // The public port knows no /drain.
    let public = world.service.public().to_string();
    let other = hook(&world, Duration::ZERO).env("ADMIN_ADDR", public).run(&["drain"]).await;
    assert_eq!(other.status.code(), Some(1), "{}", other.output);
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let silent = hook(&world, Duration::ZERO).env("ADMIN_ADDR", silent.local_addr().unwrap().to_string());
    let ended = silent.run(&["drain"]).await;
    assert_eq!(ended.status.code(), Some(9), "a hook that waits for ever: {}", ended.output);
    world.service.client().get("/.well-known/jwks.json").send().await.expect(200);
}

#[tokio::test]
async fn a_database_that_never_comes_ends_the_start_with_a_sentence() {
    let world = World::start().await;
    let program = world.program().env("DATABASE_URL", "postgres://nobody@127.0.0.1:1/nothing");
    let quick = program.env("START_TIMEOUT_MS", "300").env("DATABASE_ACQUIRE_TIMEOUT_MS", "500");
    let ended = quick.run(&["serve"]).await;
    assert_eq!(ended.status.code(), Some(9), "{}", ended.output);
    let said: Vec<&str> = ended.output.lines().filter(|line| line.starts_with("user-management: ")).collect();
    assert_eq!(said.len(), 1, "{}", ended.output);
    assert!(said[0].contains("PostgreSQL cannot be reached") && said[0].contains("DATABASE_URL"), "{said:?}");
    assert!(said[0].contains("refused"), "the cause is told: {said:?}");
}
