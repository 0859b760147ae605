//! What keeps the service from starting is one sentence with the next step, and an exit code.

use shop_test::{ServiceProgram, TestDb};
use tokio::net::TcpSocket;

use crate::world::World;

/// One line for people, beside the log.
fn said(output: &str) -> Vec<&str> {
    output.lines().filter(|line| line.starts_with("user-management: ")).collect()
}

async fn refuses(program: &ServiceProgram, arguments: &[&str], code: i32, says: &[&str]) {
    let ended = program.run(arguments).await;
    assert_eq!(ended.status.code(), Some(code), "{}", ended.output);
    for words in says {
        assert!(ended.output.contains(words), "{words} is missing in: {}", ended.output);
    }
    assert!(!ended.output.contains("panicked") && !ended.output.contains("backtrace"), "{}", ended.output);
    if !ended.output.contains("--help") {
        assert_eq!(said(&ended.output).len(), 1, "one sentence: {}", ended.output);
    }
}

#[tokio::test]
async fn a_used_port_is_named() {
    let world = World::start().await;
    let taken = world.service.public().to_string();
    refuses(&world.program().env("PUBLIC_ADDR", &taken), &["serve"], 2, &[&taken, "in use", "PUBLIC_ADDR"])
        .await;
    refuses(&world.program().env("ADMIN_ADDR", &taken), &["serve"], 2, &[&taken, "in use", "ADMIN_ADDR"])
        .await;
}

#[tokio::test]
async fn a_setting_that_cannot_be_is_named() {
    let world = World::start().await;
    let with_password = world.db.url_with_password().to_string();
    for (name, value, says) in [
        ("DATABASE_URL", with_password.as_str(), "DATABASE_PASSWORD_FILE"),
        ("DATABASE_URL", "mysql://localhost/x", "DATABASE_URL"),
        ("DATABASE_PASSWORD_FILE", "/nowhere/password", "/nowhere/password"),
        ("SIGNING_KEYS_DIR", "/nowhere/keys", "keys init"),
        ("TOTP_KEY_FILE", "/nowhere/key", "/nowhere/key"),
        ("TOTP_KEY_FILE", "/dev/zero", "/dev/zero cannot be read: it is larger than 1 MiB"),
        ("DATABASE_PASSWORD_FILE", "/dev/zero", "/dev/zero: it is larger than 1 MiB"),
        ("SMTP_URL", "http://localhost", "SMTP_URL"),
        ("MAIL_FROM", "nobody", "MAIL_FROM"),
        ("PUBLIC_ADDR", "localhost", "PUBLIC_ADDR"),
        ("RATE_LIMIT", "many", "RATE_LIMIT"),
        ("TRUSTED_PROXIES", "everybody", "TRUSTED_PROXIES"),
        ("TRUSTED_PROXIES", "0.0.0.0/0", "would believe everybody about their own address"),
        ("ISSUER", "notaurl", "must be a URL such as https://shop.example"),
        ("PROTECTED", "true", "TLS"),
        ("HASHING_THREADS", "100000", "HASHING_THREADS"),
        ("DEADLINE_MS", "0", "at least 1 millisecond"),
        ("MAX_BODY_BYTES", "0", "1.."),
        ("CORS_ORIGINS", "https://shop.example,*", "an origin, scheme://host or scheme://host:port"),
        ("LOG", "garbage", "has no level: give a level"),
        ("LOG", "info,sqlx=loud", "has no level: give a level"),
        ("PUBLIC_BASE_URL", "", "such as https://shop.example"),
        ("PUBLIC_BASE_URL", "shop.example", "such as https://shop.example"),
        ("PUBLIC_BASE_URL", "ftp://shop.example", "PUBLIC_BASE_URL is neither http:// nor https://"),
        ("PUBLIC_BASE_URL", "https://shop.example/?lang=en", "PUBLIC_BASE_URL holds a query"),
        ("PUBLIC_BASE_URL", "https://shop.example/#top", "PUBLIC_BASE_URL holds a query or a fragment"),
    ] {
        refuses(&world.program().env(name, value), &["serve"], 2, &[says]).await;
    }
    let ended = world.program().env("DATABASE_URL", &with_password).run(&["serve"]).await;
    let password = world.db.server().password().unwrap();
    assert!(!ended.output.contains(password), "the password is repeated: {}", ended.output);
    let program = world.program().env("PUBLIC_BASE_URL", "https://ada:hunter2@shop.example");
    refuses(&program, &["serve"], 2, &["PUBLIC_BASE_URL holds a user or a password"]).await;
    let ended = program.run(&["serve"]).await;
    assert!(!ended.output.contains("hunter2"), "the password is repeated: {}", ended.output);
}

/// By the name that deployments set it by, and by its flag.
#[tokio::test]
async fn a_value_that_cannot_be_read_is_named_by_its_variable() {
    let world = World::start().await;
    for (variable, value, flag) in [
        ("DEADLINE_MS", "0", "--deadline <MS>"),
        ("MAX_IN_FLIGHT", "0", "--max-in-flight <N>"),
        ("CORS_ORIGINS", "*", "--cors-origins <ORIGIN>"),
        ("PROTECTED", "perhaps", "--protected <BOOL>"),
        ("LOG_FORMAT", "xml", "--log-format <FORMAT>"),
        ("SMTP_TIMEOUT_MS", "0", "--smtp-timeout-ms <MS>"),
        ("DATABASE_CONNECTIONS", "0", "--database-connections <DATABASE_CONNECTIONS>"),
        ("HASHING_QUEUE", "0", "--hashing-queue <N>"),
        ("PUBLIC_BASE_URL", "shop.example", "--public-base-url <URL>"),
    ] {
        let names = format!("invalid value '{value}' for '{flag} ({variable})'");
        refuses(&world.program().env(variable, value), &["serve"], 2, &[&names]).await;
    }
    let bare = ServiceProgram::new(env!("CARGO_BIN_EXE_user-management"));
    refuses(&bare, &["keys", "init"], 2, &["--dir <DIR> (SIGNING_KEYS_DIR)"]).await;
}

/// They carry what sets a new password: who reads the traffic would have the account.
#[tokio::test]
async fn mailed_links_of_a_protected_environment_are_https() {
    let world = World::start().await;
    let protected = || world.program().env("PROTECTED", "true");
    // The second is the default.
    for base in ["http://shop.example", "http://127.0.0.1:8080"] {
        let says = ["PUBLIC_BASE_URL must be set to https://", "such as https://shop.example"];
        refuses(&protected().env("PUBLIC_BASE_URL", base), &["serve"], 2, &says).await;
    }
    // What is then refused is the database without TLS.
    refuses(&protected().env("PUBLIC_BASE_URL", "https://shop.example"), &["serve"], 2, &["TLS"]).await;
}

#[tokio::test]
async fn a_database_without_the_schema_or_with_too_new_a_one_is_refused() {
    let world = World::start().await;
    let empty = TestDb::empty().await;
    let program = world.program().on(&empty);
    refuses(&program, &["serve"], 2, &["migrate"]).await;
    refuses(&program, &["seed"], 2, &["migrate"]).await;
    for _ in 0..2 {
        let ended = program.run(&["migrate"]).await;
        assert!(ended.status.success(), "{}", ended.output);
    }
    let service = program.serve().await;
    service.client().get("/.well-known/jwks.json").send().await.expect(200);

    // A newer version has been here and says that this one can live with it: it does.
    let newer = "UPDATE kit.schema_compat SET version = version + 100";
    sqlx::query(newer).execute(empty.pool()).await.unwrap();
    let ended = program.run(&["migrate"]).await;
    assert!(ended.status.success(), "{}", ended.output);
    program.serve().await.client().get("/.well-known/jwks.json").send().await.expect(200);
    // One that says the opposite.
    let breaking = "UPDATE kit.schema_compat SET oldest_compatible = version";
    sqlx::query(breaking).execute(empty.pool()).await.unwrap();
    for command in ["serve", "migrate", "seed"] {
        refuses(&program, &[command], 2, &["newer"]).await;
    }
}

#[tokio::test]
async fn a_wrong_password_never_gets_ready() {
    let world = World::start().await;
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), "not the password").unwrap();
    let wrong = world.program().env("DATABASE_PASSWORD_FILE", file.path()).spawn();
    wrong.has_written("cannot connect to the database").await;
    wrong.admin_client().get("/readyz").send().await.expect(503);
    // The right one is put into the file: no restart is needed.
    std::fs::write(file.path(), world.db.server().password().unwrap()).unwrap();
    wrong.await_ready().await;
}

/// Idle connections of many clients, more of them than there are files: the probes are answered all the same.
#[tokio::test]
async fn few_open_files_are_not_all_for_clients() {
    let world = World::start().await;
    let service = world.program().open_files(256).serve().await;
    service.has_written("fewer than MAX_CONNECTIONS: raise the limit of open files").await;
    let mut idle = Vec::new();
    for client in (2..22).flat_map(|last| [[127, 0, 0, last]; 15]) {
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind((client, 0).into()).unwrap();
        idle.push(socket.connect(service.public()).await.unwrap());
    }
    for _ in 0..50 {
        service.admin_client().get("/readyz").send().await.expect(200);
    }
    assert!(!service.output().contains("cannot accept"), "{}", service.output());
    drop(idle);
    service.client().get("/.well-known/jwks.json").send().await.expect(200);
}

#[tokio::test]
async fn help_names_every_setting_and_no_secret() {
    let world = World::start().await;
    let ended = world.program().run(&["--help"]).await;
    assert!(ended.status.success());
    for name in
        ["DATABASE_URL", "SIGNING_KEYS_DIR", "TOTP_KEY_FILE", "SMTP_URL", "SEED_PASSWORD_FILE", "DRAIN_MS"]
    {
        assert!(ended.output.contains(name), "{name} is missing in {}", ended.output);
    }
    assert!(!ended.output.contains(world.db.url().as_str()), "the help shows a value: {}", ended.output);
    // A secret is a file, whose path is no secret: there is no variable and no flag to put one into.
    let names = ended.output.split(|c: char| !(c.is_ascii_uppercase() || c == '_'));
    for word in ["PASSWORD", "SECRET", "TOKEN", "KEY"] {
        let plain = names.clone().filter(|name| name.contains(word) && name.contains('_'));
        let plain: Vec<&str> =
            plain.filter(|name| !name.ends_with("_FILE") && !name.ends_with("_DIR")).collect();
        assert_eq!(plain, [""; 0], "a secret would be in the environment");
    }
    for flag in ["password", "secret", "token"] {
        let flag = ended.output.lines().find(|line| line.contains(&format!("--{flag} ")));
        assert_eq!(flag, None, "a secret would be in the list of arguments");
    }
    let ended = world.program().run(&["serve", "--no-such-flag"]).await;
    assert_eq!(ended.status.code(), Some(2), "{}", ended.output);
}
