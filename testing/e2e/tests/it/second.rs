//! A second service beside the issuer, both as their programs: made by following docs/howto/add-a-service.md.

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value, json};
use shop_api::Code;
use shop_test::{ServiceProcess, ServiceProgram, TestDb, until};
use tempfile::TempDir;

/// Two programs on databases of their own, and the files that they share.
struct World {
    files: TempDir,
    databases: [TestDb; 2],
    issuer: ServiceProcess,
}

/// Where this build's programs are.
pub(crate) fn program(name: &str) -> PathBuf {
    let test = std::env::current_exe().unwrap();
    test.ancestors().nth(2).unwrap().join(name)
}

pub(crate) fn build() {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(cargo);
    command.args([
        "build",
        "--quiet",
        "--locked",
        "--package",
        "user-management",
        "--package",
        "shop-faulty",
    ]);
    assert!(
        command.current_dir(env!("CARGO_MANIFEST_DIR")).status().unwrap().success(),
        "both programs build"
    );
}

pub(crate) async fn does(program: &ServiceProgram, arguments: &[&str]) -> String {
    let ended = program.run(arguments).await;
    assert!(ended.status.success(), "{arguments:?}: {}", ended.output);
    ended.output
}

impl World {
    async fn start() -> Self {
        tokio::task::spawn_blocking(build).await.unwrap();
        let files = tempfile::tempdir().unwrap();
        std::fs::write(files.path().join("totp"), "c2V2ZW4gbGFtcHMgb3ZlciB0aGUgaGFyYm91ciBrZXk=").unwrap();
        let databases = [TestDb::empty().await, TestDb::empty().await];
        let users = users(program("user-management"), files.path(), &databases[0]);
        does(&users, &["keys", "init", "--dir", &path(files.path(), "keys")]).await;
        does(&users, &["migrate"]).await;
        does(&users, &["seed"]).await;
        does(&users, &["clients", "create", "--name", "faulty", "--to", &path(files.path(), "client")]).await;
        let issuer = users.serve().await;
        Self { files, databases, issuer }
    }

    fn faulty(&self) -> ServiceProgram {
        ServiceProgram::new(program("shop-faulty"))
            .on(&self.databases[1])
            .env("ISSUER_URL", format!("http://{}", self.issuer.public()))
            .env("ISSUER_CLIENT_FILE", path(self.files.path(), "client"))
            .env("DRAIN_MS", "0")
    }

    async fn signs_in(&self) -> String {
        let password = std::fs::read_to_string(self.files.path().join("password")).unwrap();
        let login = json!({ "email": "ada@shop.example", "password": password.trim_end() });
        let tokens: Value =
            self.issuer.client().post("/auth/login").json(&login).send().await.expect(200).json();
        tokens["access_token"].as_str().unwrap().to_owned()
    }
}

pub(crate) fn path(folder: &Path, name: &str) -> String {
    folder.join(name).display().to_string()
}

/// user-management in one of its builds.
pub(crate) fn users(program: PathBuf, files: &Path, db: &TestDb) -> ServiceProgram {
    ServiceProgram::new(program)
        .on(db)
        .env("SIGNING_KEYS_DIR", path(files, "keys"))
        .env("TOTP_KEY_FILE", path(files, "totp"))
        .env("SEED_PASSWORD_FILE", path(files, "password"))
        .env("SMTP_URL", "smtp://127.0.0.1:9")
        .env("MAIL_FROM", "Shop <mail@shop.example>")
        .env("DRAIN_MS", "0")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_router_and_a_schema_are_a_service() {
    let world = World::start().await;
    let program = world.faulty();
    let early = program.run(&["serve"]).await;
    assert_eq!(early.status.code(), Some(2), "{}", early.output);
    assert!(early.output.contains("run `migrate` first"), "{}", early.output);
    does(&program, &["migrate"]).await;
    does(&program, &["seed"]).await;
    let document: Value = serde_json::from_str(&does(&program, &["openapi"]).await).unwrap();
    assert_eq!(document["paths"]["/notes"]["post"]["x-permission"], "signed");

    let service = program.serve().await;
    let anybody = service.client();
    anybody.get("/docs/").send().await.expect(200);
    let notes = async || anybody.get("/notes").send().await.expect(200).json::<Vec<Value>>();
    assert_eq!(notes().await.len(), 1, "what was seeded");
    anybody.post("/notes").json(&json!({ "text": "x" })).send().await.expect_problem(Code::Unauthenticated);

    let token = world.signs_in().await;
    let ada = anybody.with_token(&token);
    ada.post("/notes").json(&json!({ "txt": "x" })).send().await.expect_problem(Code::ValidationFailed);
    ada.post("/notes").json(&json!({ "text": "a note" })).send().await.expect(201);
    assert_eq!(notes().await[0]["text"], "a note");
    ada.get("/internal/events?after=0").send().await.expect_problem(Code::Forbidden);

    world.issuer.client().with_token(&token).post("/auth/logout").send().await.expect(204);
    let write = || async { ada.post("/notes").json(&json!({ "text": "late" })).send().await };
    until("the session's end is known here", async || write().await.status == 401).await;
    write().await.expect_problem(Code::SessionEnded);
    let ended = service.terminate().await;
    assert!(ended.status.success(), "{}", ended.output);
}

#[tokio::test(flavor = "multi_thread")]
async fn faults_come_when_they_are_asked_for() {
    let world = World::start().await;
    let program = world.faulty().env("FAULT_ERRORS", "25");
    does(&program, &["migrate"]).await;
    let service = program.serve().await;
    let mut failed = 0;
    for _ in 0..40 {
        failed += u32::from(service.client().get("/notes").send().await.status == 500);
    }
    assert_eq!(failed, 10, "a quarter of them");
}
