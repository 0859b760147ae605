//! The audit log: who did what to whom, who looked, who could not prove who they are; and that nobody changes it.

use serde_json::json;
use shop_api::users::audit::AuditEntry;
use shop_api::{Code, Page, Role};
use uuid::Uuid;

use crate::world::{PASSWORD, World};

#[tokio::test]
async fn the_audit_log_says_who_did_what_and_cannot_be_changed() {
    let world = World::start().await;
    let admin = world.person(Role::Admin).await;
    let ada = world.person(Role::Customer).await;
    let bob = world.person(Role::Customer).await;
    let why = json!({ "reason": "a test" });
    admin.client.post(&format!("/users/{}/disable", ada.id)).json(&why).send().await.expect(200);
    admin.client.post(&format!("/users/{}/enable", ada.id)).send().await.expect(200);
    let list = async |query: String| -> Page<AuditEntry> {
        admin.client.get(&format!("/audit?{query}")).send().await.expect(200).json()
    };
    for query in [format!("user={}", ada.id), format!("user={}", admin.id), "limit=10".into()] {
        let page = list(query).await;
        // That the log is read is written down too.
        let done: Vec<_> = page.items.iter().filter(|entry| entry.action != "audit.read").collect();
        let actions: Vec<_> = done.iter().map(|entry| entry.action.as_str()).collect();
        assert_eq!(actions, ["user.enabled", "user.disabled"], "the newest first");
        let entry = done[1];
        assert_eq!((entry.actor, entry.subject), (Some(admin.id), Some(ada.id)));
        assert_eq!(entry.detail, why);
        assert_eq!(entry.address_prefix.as_deref(), Some("127.0.0.0/24"));
        assert!(entry.request_id.as_ref().is_some_and(|id| id.len() == 32));
    }
    assert_eq!(list("action=user.disabled".into()).await.items.len(), 1);
    let one = format!("limit=1&user={}", bob.id);
    world.entry(bob.id, 2).await;
    world.entry(bob.id, 1).await;
    let first = list(one.clone()).await;
    let second = list(format!("{one}&cursor={}", first.next_cursor.unwrap())).await;
    assert!(second.items[0].at < first.items[0].at);
    assert_eq!(second.next_cursor, None);

    for sql in ["UPDATE audit_log SET action = 'a.b'", "DELETE FROM audit_log", "TRUNCATE audit_log"] {
        assert!(sqlx::query(sql).execute(world.db.pool()).await.is_err(), "{sql}");
    }
}

/// A person may ask who looked at them. What was searched for may be an address, and is in no entry.
#[tokio::test]
async fn whoever_looks_at_people_is_written_down() {
    let world = World::start().await;
    let (admin, support) = (world.person(Role::Admin).await, world.person(Role::Support).await);
    let ada = world.person(Role::Customer).await;
    let at = format!("/users/{}", ada.id);
    support.client.get(&format!("/users?q={}", ada.email)).send().await.expect(200);
    support.client.get(&at).send().await.expect(200);
    admin.client.get(&format!("/audit?user={}", ada.id)).send().await.expect(200);
    // What changes nothing shows the account nevertheless.
    admin.client.post(&format!("{at}/enable")).send().await.expect(200);
    let same = json!({ "roles": ["customer"] });
    admin.client.put(&format!("{at}/roles")).if_match("*").json(&same).send().await.expect(200);
    let why = json!({ "reason": "a test" });
    for _ in 0..2 {
        admin.client.post(&format!("{at}/disable")).json(&why).send().await.expect(200);
    }
    support.client.get(&format!("/users/{}", Uuid::nil())).send().await.expect_problem(Code::NotFound);

    let entries: Vec<(String, Option<Uuid>, Option<Uuid>)> =
        sqlx::query_as("SELECT action, actor, subject FROM audit_log ORDER BY id")
            .fetch_all(world.db.pool())
            .await
            .unwrap();
    let entries: Vec<_> = entries.iter().map(|(action, who, of)| (action.as_str(), *who, *of)).collect();
    let (by_support, by_admin, of_ada) = (Some(support.id), Some(admin.id), Some(ada.id));
    assert_eq!(
        entries,
        [
            ("user.searched", by_support, None),
            ("user.read", by_support, of_ada),
            ("audit.read", by_admin, of_ada),
            ("user.read", by_admin, of_ada),
            ("user.read", by_admin, of_ada),
            ("user.disabled", by_admin, of_ada),
            ("user.read", by_admin, of_ada),
        ]
    );
    let named = format!("SELECT count(*) FROM audit_log a WHERE a::text LIKE '%{}%'", ada.email);
    let named: i64 = sqlx::query_scalar(sqlx::AssertSqlSafe(named)).fetch_one(world.db.pool()).await.unwrap();
    assert_eq!(named, 0);
}

#[tokio::test]
async fn the_audit_log_names_who_could_not_prove_who_they_are() {
    let world = World::start().await;
    let ada = world.person(Role::Customer).await;
    let insert = "INSERT INTO totp (user_id, sealed_seed, confirmed_at) VALUES ($1, 'x', now())";
    sqlx::query(insert).bind(ada.id).execute(world.db.pool()).await.unwrap();
    let login = |password: &str| {
        let code = "AAAA-AAAA-AAAA-AAAA";
        world.login_with(json!({ "email": ada.email, "password": password, "recovery_code": code }))
    };
    login("the wrong one entirely").await.expect_problem(Code::InvalidCredentials);
    login(PASSWORD).await.expect_problem(Code::SecondFactorRequired);
    let wrong = json!({ "password": "the wrong one entirely", "code": "123456" });
    ada.client.delete("/users/me/totp").json(&wrong).send().await.expect_problem(Code::InvalidCredentials);
    let guess = json!({ "password": PASSWORD, "code": "AAAA-AAAA-AAAA-AAAA" });
    ada.client.delete("/users/me/totp").json(&guess).send().await.expect_problem(Code::InvalidCredentials);
    let renew = ada.client.post("/users/me/recovery-codes").json(&guess).send().await;
    renew.expect_problem(Code::InvalidCredentials);
    let told = ["session.refused", "session.refused", "password.refused", "totp.refused", "totp.refused"];
    assert_eq!(world.audit(ada.id).await, told);

    world.age("UPDATE users SET status = 'disabled'").await;
    world.age("DELETE FROM login_backoff").await;
    login(PASSWORD).await.expect_problem(Code::Forbidden);
    let because: Vec<Option<String>> = sqlx::query_scalar(
        "SELECT data->>'because' FROM audit_log WHERE action = 'session.refused' ORDER BY id",
    )
    .fetch_all(world.db.pool())
    .await
    .unwrap();
    let because: Vec<_> = because.iter().map(Option::as_deref).collect();
    assert_eq!(because, [None, Some("second_factor"), Some("disabled")]);
}
