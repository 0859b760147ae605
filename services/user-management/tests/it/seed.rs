//! `seed`: people for a developer's shop, made once.

use std::os::unix::fs::MetadataExt;

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
async fn a_protected_shop_is_not_seeded() {
    let world = World::start().await;
    let ended = world.program().env("PROTECTED", "true").run(&["seed"]).await;
    assert_eq!(ended.status.code(), Some(2), "{}", ended.output);
    assert_eq!(world.count("SELECT count(*) FROM users").await, 0);
}
