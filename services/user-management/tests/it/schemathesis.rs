//! The served OpenAPI document held against the running service by Schemathesis: every check, every operation, each by
//! somebody whose token is good.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::{Output, Stdio};
use std::sync::Arc;

use axum::extract::{Path as Named, State};
use axum::routing::get;
use serde_json::Value;
use shop_api::Role;
use shop_test::{tier, tool};
use tokio::net::TcpListener;
use tokio::process::Command;
use tokio::sync::Mutex;

use crate::openapi::operations;
use crate::world::{Person, World};

/// The password of the document's examples, so that these come to the end.
const PASSWORD: &str = "correct horse battery staple";

#[tokio::test]
async fn schemathesis_finds_nothing() {
    let mut world = World::with(|program| {
        program.env("SIGN_IN_LIMIT", "off").env("MAIL_LIMIT", "off").env("LOG_ACCESS", "none")
    })
    .await;
    world.known_by(PASSWORD).await;
    let resident = world.person(Role::Admin).await;
    world.age("UPDATE users SET email = 'ada@shop.example'").await;
    let world = Arc::new(world);
    let people = people(Arc::clone(&world), resident).await;
    let folder = tempfile::tempdir().unwrap();

    let seed = tier::seed().to_string();
    let Output { status, stdout, stderr } = run(&world, &people, folder.path(), &seed).await;
    let text = String::from_utf8_lossy(&stdout);
    assert!(status.success(), "seed {seed}: {text}\n{}", String::from_utf8_lossy(&stderr));
    assert!(!world.service.output().contains("a request failed"), "{}", world.service.output());
    every_operation_was_reached(&std::fs::read_to_string(folder.path().join("answers")).unwrap());
}

async fn run(world: &World, people: &str, folder: &Path, seed: &str) -> Output {
    let left_out = format!("88 of 100 examples of each operation; seed {seed} drew those that were tried");
    let examples = if tier::full_only(&left_out) { "100" } else { "12" };
    let config = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/schemathesis");
    let run = Command::new(tool("schemathesis"))
        .args(["--config-file", &format!("{config}/schemathesis.toml"), "run"])
        .arg(format!("http://{}/openapi.json", world.service.public()))
        .args(["--checks", "all", "--max-examples", examples, "--seed", seed])
        .args(["--workers", "1", "--no-color", "--suppress-health-check", "all"])
        .current_dir(folder)
        .env("SHOP_PEOPLE", people)
        .env("SHOP_ANSWERS", folder.join("answers"))
        .env("PYTHONPATH", config)
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .env("SCHEMATHESIS_HOOKS", "hooks")
        .stdin(Stdio::null())
        .output();
    run.await.unwrap()
}

/// Where tokens are asked for: `/admin` is somebody new each time, `/resident` the same person for as long as the calls
/// of others leave the account alone.
async fn people(world: Arc<World>, resident: Person) -> String {
    let token = async |Named(who): Named<String>, State((world, resident)): State<Shared>| {
        if who == "resident" {
            let mut resident = resident.lock().await;
            if resident.client.get("/users/me").send().await.status != 200 {
                *resident = world.person(Role::Admin).await;
            }
            return resident.token.clone();
        }
        world.person(if who == "service" { Role::Service } else { Role::Admin }).await.token
    };
    let state = (world, Arc::new(Mutex::new(resident)));
    let router = axum::Router::new().route("/{who}", get(token)).with_state(state);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, router).await });
    format!("http://{address}")
}

type Shared = (Arc<World>, Arc<Mutex<Person>>);

/// What asks for something that only the owner has: a token, a secret, a code.
const UNGUESSABLE: [&str; 7] = [
    "post /auth/password/reset",
    "post /auth/refresh",
    "post /auth/token",
    "post /auth/verify",
    "post /users/me/recovery-codes",
    "delete /users/me/totp",
    "post /users/me/totp/confirm",
];

/// Answers that only refuse say nothing about an operation: whatever needs no id and no secret was done at least once,
/// and the rest was at least let in.
fn every_operation_was_reached(answers: &str) {
    let mut statuses: BTreeMap<&str, BTreeSet<u16>> = BTreeMap::new();
    for (operation, status) in answers.lines().filter_map(|line| line.rsplit_once(' ')) {
        statuses.entry(operation).or_default().insert(status.parse().unwrap());
    }
    let document = include_str!("../../../../docs/generated/openapi-user-management.json");
    let document: Value = serde_json::from_str(document).unwrap();
    let mut unreached = Vec::new();
    for (operation, _) in operations(&document) {
        let seen = statuses.get(operation.as_str()).cloned().unwrap_or_default();
        let reached = if operation.contains('{') || UNGUESSABLE.contains(&operation.as_str()) {
            seen.iter().any(|status| ![401, 403].contains(status))
        } else {
            seen.iter().any(|status| (200..400).contains(status))
        };
        if !reached {
            unreached.push(format!("{operation}: {seen:?}"));
        }
    }
    assert!(unreached.is_empty(), "never reached: {unreached:#?}");
}
