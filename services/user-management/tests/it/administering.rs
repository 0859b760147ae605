//! The page docs/howto/administer-users.md, as a reader types it: every block in one shell, on a seeded shop.

use shop_test::PATIENCE;
use tokio::process::Command;
use uuid::Uuid;

use crate::walk::blocks;
use crate::world::World;

#[tokio::test]
async fn the_page_is_right() {
    let world = World::start().await;
    let dir = tempfile::tempdir().unwrap();
    let password = dir.path().join("password");
    let seeded = world.program().env("SEED_PASSWORD_FILE", &password).run(&["seed"]).await;
    assert!(seeded.status.success(), "{}", seeded.output);

    let page = include_str!("../../../../docs/howto/administer-users.md");
    let shell = Command::new("bash")
        .args(["-c", &format!("set -euo pipefail\n{}", blocks(page))])
        .env("SEED_PASSWORD_FILE", &password)
        .env("SHOP", format!("http://{}", world.service.public()))
        .kill_on_drop(true)
        .output();
    let output = tokio::time::timeout(PATIENCE, shell).await.expect("the shell ends").unwrap();
    let (said, wrong) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{said}\n{wrong}");
    assert!(said.contains("Bearer"), "{said}");
    let ada: Uuid = sqlx::query_scalar("SELECT id FROM users WHERE email = 'ada@shop.example'")
        .fetch_one(world.db.pool())
        .await
        .unwrap();
    let done = world.audit(ada).await;
    assert_eq!(done, ["user.seeded", "user.disabled", "user.enabled", "user.roles_changed"]);
    assert_eq!(world.count("SELECT count(*) FROM service_clients").await, 0);
}
