//! The command line: no default credential, one clear sentence for each mistake.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use serde_json::Value;
use shop_api::Code;
use shop_api::users::clients::ClientCredentials;
use shop_test::{Ended, TestDb};

use crate::visitor::SECRET;
use crate::world::World;

const ADA: &str = "ada@shop.example";

#[tokio::test]
async fn the_first_administrator_is_made_of_a_verified_user() {
    let world = World::start().await;
    assert_eq!(world.count("SELECT count(*) FROM users").await, 0, "nobody is there by default");
    assert_eq!(world.count("SELECT count(*) FROM service_clients").await, 0);
    let grant = || async { world.program().run(&["grant-admin", "--email", ADA]).await };
    let refused = grant().await;
    assert_eq!(refused.status.code(), Some(2), "{}", refused.output);
    assert!(refused.output.contains("register it and open the link"), "{}", refused.output);
    world.register(ADA, SECRET).await.expect(202);
    assert_eq!(grant().await.status.code(), Some(2), "not verified yet");

    let token = world.mailed_token(ADA, "Verify your e-mail address").await;
    world.verify(&token).await.expect(204);
    let me = world.anonymous().with_token(&world.login(ADA).await.access_token);
    me.get("/users").send().await.expect_problem(Code::Forbidden);
    let done = grant().await;
    assert!(done.status.success(), "{}", done.output);
    me.get("/users").send().await.expect(200);
    assert!(grant().await.status.success(), "once more changes nothing");

    let user = sqlx::query_scalar("SELECT id FROM users").fetch_one(world.db.pool()).await.unwrap();
    let audit = world.audit(user).await;
    assert_eq!(audit.iter().filter(|action| *action == "user.roles_changed").count(), 1, "{audit:?}");
    assert!(world.events(user).await.contains(&"user.roles_changed".to_owned()));
}

#[tokio::test]
async fn a_service_client_is_made_once() {
    let world = World::start().await;
    let create = |name: &'static str| {
        let program = world.program().env("LOG", "off");
        async move { program.run(&["clients", "create", "--name", name]).await }
    };
    let made = create("product-catalog").await;
    assert!(made.status.success(), "{}", made.output);
    let made: Value = serde_json::from_str(&made.output).unwrap();
    let text = |key: &str| made[key].as_str().unwrap();
    let form = format!(
        "grant_type=client_credentials&client_id={}&client_secret={}",
        text("client_id"),
        text("client_secret")
    );
    let token =
        world.anonymous().post("/auth/token").body("application/x-www-form-urlencoded", form).send().await;
    token.expect(200);
    for (name, says) in [("product-catalog", "exists"), ("Product Catalog", "lower-case"), ("a", "2 to 63")] {
        let refused = create(name).await;
        assert_eq!(refused.status.code(), Some(2), "{}", refused.output);
        assert!(refused.output.contains(says), "{}", refused.output);
    }
}

/// `clients create --to`.
async fn ensure(world: &World, file: &Path) -> Ended {
    let file = file.display().to_string();
    world.program().run(&["clients", "create", "--name", "product-catalog", "--to", &file]).await
}

fn held(file: &Path) -> ClientCredentials {
    serde_json::from_str(&std::fs::read_to_string(file).unwrap()).unwrap()
}

/// What was done to a client, as the audit log has it.
async fn changes(world: &World, client: &ClientCredentials) -> Vec<String> {
    let mut actions = world.audit(client.client_id.uuid()).await;
    actions.retain(|action| action != "client.signed_in");
    actions
}

async fn gets_a_token(world: &World, client: &ClientCredentials) -> bool {
    let form = format!(
        "grant_type=client_credentials&client_id={}&client_secret={}",
        client.client_id, client.client_secret
    );
    let token = world.anonymous().post("/auth/token").body("application/x-www-form-urlencoded", form);
    token.send().await.status.is_success()
}

#[tokio::test]
async fn a_service_client_is_written_to_a_file_and_one_that_works_stays() {
    let world = World::start().await;
    let folder = tempfile::tempdir().unwrap();
    let nowhere = ensure(&world, &folder.path().join("no/client")).await;
    assert_eq!(nowhere.status.code(), Some(2), "{}", nowhere.output);
    assert!(nowhere.output.contains("cannot be written"), "{}", nowhere.output);
    assert_eq!(world.count("SELECT count(*) FROM service_clients").await, 0, "nothing half done");

    let file = folder.path().join("client");
    let made = ensure(&world, &file).await;
    let client = held(&file);
    assert!(made.status.success() && !made.output.contains(&client.client_secret), "{}", made.output);
    assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    assert!(gets_a_token(&world, &client).await);
    assert!(ensure(&world, &file).await.status.success(), "once more changes nothing");
    assert_eq!(held(&file).client_secret, client.client_secret);
    assert_eq!(world.count("SELECT count(*) FROM service_clients").await, 1);
    assert_eq!(changes(&world, &client).await, ["client.created"]);
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1, "nothing is left beside it");
}

/// A run that broke off left an empty file, the file was lost, or it is of a database that was thrown away.
#[tokio::test]
async fn a_file_that_does_not_work_is_written_anew() {
    let world = World::start().await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("client");
    std::fs::write(&file, "").unwrap();
    assert!(ensure(&world, &file).await.status.success());
    let first = held(&file);

    std::fs::remove_file(&file).unwrap();
    assert!(ensure(&world, &file).await.status.success());
    let second = held(&file);
    assert_eq!(second.client_id, first.client_id, "the client is the same");
    assert!(gets_a_token(&world, &second).await && gets_a_token(&world, &first).await, "both, for a day");
    assert_eq!(changes(&world, &first).await, ["client.created", "client.secret_rotated"]);

    world.age("DELETE FROM service_clients").await;
    assert!(ensure(&world, &file).await.status.success());
    let third = held(&file);
    assert_ne!(third.client_id, first.client_id, "made anew");
    assert!(gets_a_token(&world, &third).await);
    assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
}

#[tokio::test]
async fn a_file_that_holds_something_else_is_not_touched() {
    let world = World::start().await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("client");
    assert!(ensure(&world, &file).await.status.success());
    // One that works, but no secret any more.
    let mode = |mode| std::fs::set_permissions(&file, std::fs::Permissions::from_mode(mode)).unwrap();
    mode(0o644);
    let open = ensure(&world, &file).await;
    assert_eq!(open.status.code(), Some(2), "{}", open.output);
    assert!(open.output.contains("chmod 600"), "{}", open.output);
    mode(0o600);
    let other = std::fs::read_to_string(&file).unwrap().replace("product-catalog", "order-management");
    for text in ["somebody's notes\n", &other] {
        std::fs::write(&file, text).unwrap();
        let refused = ensure(&world, &file).await;
        assert_eq!(refused.status.code(), Some(2), "{}", refused.output);
        assert!(refused.output.contains("remove this one"), "{}", refused.output);
        assert_eq!(std::fs::read_to_string(&file).unwrap(), text);
    }
}

#[tokio::test]
async fn keys_are_made_once_and_rotated_in_place() {
    let dir = tempfile::tempdir().unwrap();
    let keys = dir.path().join("keys");
    let world = World::start().await;
    let run = |verb: &'static str| {
        let (program, keys) = (world.program(), keys.display().to_string());
        async move { program.run(&["keys", verb, "--dir", &keys]).await }
    };
    let refused = run("rotate").await;
    assert_eq!(refused.status.code(), Some(2), "{}", refused.output);
    assert!(refused.output.contains("keys init"), "{}", refused.output);
    assert!(run("init").await.status.success());
    let first = std::fs::read(keys.join("current.pem")).unwrap();
    assert!(run("init").await.status.success());
    assert_eq!(std::fs::read(keys.join("current.pem")).unwrap(), first);
    assert!(run("rotate").await.status.success());
    assert_eq!(std::fs::read(keys.join("previous.pem")).unwrap(), first);
    let early = run("rotate").await;
    assert_eq!(early.status.code(), Some(2), "{}", early.output);
    assert!(early.output.contains("good for 16 more minutes; wait, or give --force"), "{}", early.output);
    assert_eq!(std::fs::read(keys.join("previous.pem")).unwrap(), first, "nothing was touched");
    let forced =
        world.program().run(&["keys", "rotate", "--force", "--dir", &keys.display().to_string()]).await;
    assert!(forced.status.success(), "{}", forced.output);
    // It is for keys that have leaked: none of them is left.
    assert!(!keys.join("previous.pem").exists());
    let left = ["current.pem", "next.pem"].map(|name| std::fs::read(keys.join(name)).unwrap());
    assert!(left.iter().all(|key| *key != first));
}

#[tokio::test]
async fn what_is_missing_is_named_with_the_next_step() {
    let world = World::start().await;
    for (name, value, says) in [
        ("SIGNING_KEYS_DIR", "/nowhere", "keys init --dir"),
        ("TOTP_KEY_FILE", "/nowhere", "TOTP_KEY_FILE /nowhere cannot be read"),
        ("TOTP_KEY_FILE", "/dev/null", "openssl rand -base64 32"),
        ("SMTP_URL", "ftp://nowhere", "SMTP_URL"),
    ] {
        let ended = world.program().env(name, value).run(&["serve"]).await;
        assert_eq!(ended.status.code(), Some(2), "{name}={value}: {}", ended.output);
        assert!(ended.output.contains(says), "{name}={value}: {}", ended.output);
    }
    let empty = TestDb::empty().await;
    let ended = world.program().on(&empty).run(&["serve"]).await;
    assert_eq!(ended.status.code(), Some(2), "{}", ended.output);
    assert!(ended.output.contains("run `migrate` first"), "{}", ended.output);
}
