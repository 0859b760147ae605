//! `seed`: people for a developer's shop, made once.

use std::os::unix::fs::{MetadataExt, PermissionsExt};

use serde_json::{Value, json};

use crate::world::World;

#[tokio::test]
async fn a_seeded_shop_has_people_who_can_sign_in_and_is_not_seeded_twice() {
    let world = World::start().await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("seed-password");
    let program = world.program().env("SEED_PASSWORD_FILE", &file);
    for _ in 0..2 {
        let ended = program.run(&["seed"]).await;
        assert!(ended.status.success(), "{}", ended.output);
        assert_eq!(world.count("SELECT count(*) FROM users").await, 14);
        assert_eq!(world.count("SELECT count(*) FROM addresses").await, 12);
        assert!(!ended.output.contains(std::fs::read_to_string(&file).unwrap().trim()), "{}", ended.output);
    }
    assert_eq!(std::fs::metadata(&file).unwrap().mode() & 0o777, 0o600);
    let password = std::fs::read_to_string(&file).unwrap();
    for (who, may_list) in [("admin", 200), ("support", 200), ("ada", 403)] {
        let login = json!({ "email": format!("{who}@shop.example"), "password": password.trim() });
        let tokens: Value =
            world.anonymous().post("/auth/login").json(&login).send().await.expect(200).json();
        let client = world.anonymous().with_token(tokens["access_token"].as_str().unwrap());
        client.get("/users").send().await.expect(may_list);
    }
    assert_eq!(world.count("SELECT count(*) FROM users WHERE 'admin' = ANY (roles)").await, 1);
}

#[tokio::test]
async fn a_password_file_that_is_of_no_use_is_the_mistake_of_whoever_named_it() {
    let world = World::start().await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("seed-password");
    let seed =
        async |file: &std::path::Path| world.program().env("SEED_PASSWORD_FILE", file).run(&["seed"]).await;
    let absent = folder.path().join("absent/file");
    let refused = seed(&absent).await;
    assert_eq!(refused.status.code(), Some(2), "{}", refused.output);
    for word in [absent.to_str().unwrap(), "No such file", "SEED_PASSWORD_FILE"] {
        assert!(refused.output.contains(word), "{word}: {}", refused.output);
    }
    for (mode, text, next) in
        [(0o644, "violet-otter-under-9-lamps", "chmod 600"), (0o600, "short", "delete the file")]
    {
        std::fs::write(&file, text).unwrap();
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(mode)).unwrap();
        let refused = seed(&file).await;
        assert_eq!(refused.status.code(), Some(2), "{}", refused.output);
        assert!(refused.output.contains(next) && !refused.output.contains(text), "{}", refused.output);
    }
    assert_eq!(world.count("SELECT count(*) FROM users").await, 0);
}

#[tokio::test]
async fn a_protected_shop_is_not_seeded() {
    let world = World::start().await;
    let ended = world.program().env("PROTECTED", "true").run(&["seed"]).await;
    assert_eq!(ended.status.code(), Some(2), "{}", ended.output);
    assert_eq!(world.count("SELECT count(*) FROM users").await, 0);
}
