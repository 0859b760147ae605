//! The served OpenAPI document held against the running service by Schemathesis: every check, every operation.

use std::process::{Output, Stdio};

use serde_json::json;
use shop_api::Role;
use shop_test::{tier, tool};
use tokio::process::Command;

use crate::world::World;

/// Calls end the sessions they are made with, so there are many.
const ADMINS: usize = 400;

#[tokio::test]
async fn schemathesis_finds_nothing() {
    let world = World::with(|program| {
        program.env("SIGN_IN_LIMIT", "off").env("MAIL_LIMIT", "off").env("LOG_ACCESS", "none")
    })
    .await;
    let mut admins = Vec::new();
    for _ in 0..ADMINS {
        admins.push(world.person(Role::Admin).await.token);
    }
    // The password of the document's examples, so that these come to the end.
    world.give_everybody("correct horse battery staple").await;
    let service = world.person(Role::Service).await.token;
    let folder = tempfile::tempdir().unwrap();
    let tokens = folder.path().join("tokens.json");
    std::fs::write(&tokens, json!({ "admins": admins, "service": service }).to_string()).unwrap();

    let seed = tier::seed().to_string();
    let left_out = format!("88 of 100 examples of each operation; seed {seed} drew those that were tried");
    let examples = if tier::full_only(&left_out) { "100" } else { "12" };
    let config = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/schemathesis");
    let run = Command::new(tool("schemathesis"))
        .args(["--config-file", &format!("{config}/schemathesis.toml"), "run"])
        .arg(format!("http://{}/openapi.json", world.service.public()))
        .args(["--checks", "all", "--max-examples", examples, "--seed", &seed])
        .args(["--workers", "1", "--no-color", "--suppress-health-check", "all"])
        .current_dir(folder.path())
        .env("SHOP_TOKENS", &tokens)
        .env("PYTHONPATH", config)
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .env("SCHEMATHESIS_HOOKS", "hooks")
        .stdin(Stdio::null())
        .output();
    let Output { status, stdout, stderr } = run.await.unwrap();
    let text = String::from_utf8_lossy(&stdout);
    assert!(status.success(), "seed {seed}: {text}\n{}", String::from_utf8_lossy(&stderr));
    assert!(!world.service.output().contains("a request failed"), "{}", world.service.output());
}
