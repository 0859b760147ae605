//! The release before on today's schema: while a rollout goes on, and after it was taken back. The older program is built
//! from the commit before the last one that changed a schema, and kept in the cache.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::{Value, json};
use shop_test::{Client, ServiceProcess, TestDb, tier};

use crate::second::{does, path, program, users};

const CHECKOUT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../..");

/// What git prints; `None` where the checkout has no such history.
fn git(arguments: &[&str]) -> Option<String> {
    let output = Command::new("git").args(arguments).current_dir(CHECKOUT).output().ok()?;
    let text = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    (output.status.success() && !text.is_empty()).then_some(text)
}

fn commit_before_the_newest_schema() -> Option<String> {
    let schemas = ["services/kit/migrations", "services/user-management/migrations"];
    let newest = git(&[&["log", "-1", "--format=%H", "--"], &schemas[..]].concat())?;
    git(&["rev-parse", "--verify", &format!("{newest}^")])
}

fn ended_well(command: &mut Command) {
    assert!(command.status().unwrap().success(), "{command:?}");
}

/// The program of a commit: minutes the first time.
fn built(commit: &str, cache: &Path) -> PathBuf {
    let kept = cache.join(format!("user-management-{commit}"));
    if kept.is_file() {
        return kept;
    }
    std::fs::create_dir_all(cache).unwrap();
    let work = tempfile::tempdir_in(cache).unwrap();
    let mut archive = Command::new("git");
    archive.args(["archive", commit]).current_dir(CHECKOUT).stdout(Stdio::piped());
    let mut archive = archive.spawn().unwrap();
    ended_well(Command::new("tar").arg("-xC").arg(work.path()).stdin(archive.stdout.take().unwrap()));
    assert!(archive.wait().unwrap().success());
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.args(["build", "--quiet", "--locked", "--package", "user-management"]).current_dir(work.path());
    let target = work.path().join("target");
    ended_well(
        cargo
            .env("CARGO_TARGET_DIR", &target)
            .env("CARGO_PROFILE_DEV_DEBUG", "0")
            .env("SQLX_OFFLINE", "true"),
    );
    // As a whole or not at all: another run may look for it.
    std::fs::rename(target.join("debug/user-management"), &kept).unwrap();
    kept
}

async fn signed_in(service: &ServiceProcess, password: &str) -> (Client, Value) {
    let login = json!({ "email": "ada@shop.example", "password": password });
    let tokens: Value = service.client().post("/auth/login").json(&login).send().await.expect(200).json();
    (service.client().with_token(tokens["access_token"].as_str().unwrap()), tokens)
}

/// What people do all day, begun at one release and gone on with at the other.
async fn goes_on(one: &ServiceProcess, other: &ServiceProcess, password: &str) {
    let (ada, tokens) = signed_in(one, password).await;
    let refresh = json!({ "refresh_token": tokens["refresh_token"] });
    let renewed: Value = other.client().post("/auth/refresh").json(&refresh).send().await.expect(200).json();
    let renewed = other.client().with_token(renewed["access_token"].as_str().unwrap());
    let name = json!({ "display_name": "Ada King" });
    renewed.patch("/users/me").if_match("*").json(&name).send().await.expect(200);
    let account: Value = ada.get("/users/me").send().await.expect(200).json();
    assert_eq!(account["display_name"], "Ada King");
    let home = json!({ "recipient": "Ada", "line1": "1 Square", "city": "London", "country": "GB" });
    ada.post("/users/me/addresses").json(&home).send().await.expect(201);
    ada.get("/users/me/export").send().await.expect(200);
    renewed.post("/auth/logout").send().await.expect(204);
    assert_eq!(ada.get("/users/me").send().await.status, 401, "the session has ended at both");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_release_before_lives_on_the_newest_schema() {
    if !tier::full_only("the program of the release before, built and run on today's schema") {
        return;
    }
    let Some(commit) = commit_before_the_newest_schema() else {
        return tier::left_out("no release before: this checkout has no history");
    };
    let older = tokio::task::spawn_blocking(move || {
        crate::second::build();
        built(&commit, &shop_test::cache().unwrap().join("older"))
    });
    let (older, files) = (older.await.unwrap(), tempfile::tempdir().unwrap());
    std::fs::write(files.path().join("totp"), "c2V2ZW4gbGFtcHMgb3ZlciB0aGUgaGFyYm91ciBrZXk=").unwrap();
    let db = TestDb::empty().await;
    let [before, today] =
        [older, program("user-management")].map(|program| users(program, files.path(), &db));
    does(&today, &["keys", "init", "--dir", &path(files.path(), "keys")]).await;
    does(&before, &["migrate"]).await;
    does(&before, &["seed"]).await;
    let password = std::fs::read_to_string(files.path().join("password")).unwrap();
    let running = before.serve().await;
    signed_in(&running, password.trim_end()).await;
    does(&today, &["migrate"]).await;
    // The pod that runs already, one that starts now, and the new ones beside them.
    let (restarted, new) = (before.serve().await, today.serve().await);
    for (one, other) in [(&running, &new), (&new, &restarted), (&restarted, &running)] {
        goes_on(one, other, password.trim_end()).await;
    }
}
