//! One's own account: read, edit, password, e-mail, export, closing.

use std::collections::HashSet;

use serde_json::{Value, json};
use shop_api::users::profile::{Account, Export};
use shop_api::{Code, Role};

use crate::world::{PASSWORD, World};

#[tokio::test]
async fn an_account_is_read_and_not_sent_again() {
    let world = World::start().await;
    let ada = world.person(Role::Customer).await;
    let first = ada.client.get("/users/me").send().await.expect(200);
    let account: Account = first.json();
    assert_eq!((account.id.uuid(), account.email.as_str()), (ada.id, ada.email.as_str()));
    assert!(account.email_verified && !account.two_factor);
    let etag = first.header("etag").unwrap();
    let again = ada.client.get("/users/me").header("if-none-match", etag).send().await.expect(304);
    assert!(again.body.is_empty());
    assert_eq!(again.header("etag"), Some(etag));
}

#[tokio::test]
async fn an_edit_needs_the_version_that_was_read() {
    let world = World::start().await;
    let ada = world.person(Role::Customer).await;
    let etag = |answer: &shop_test::Answer| answer.header("etag").unwrap().to_owned();
    let seen = etag(&ada.client.get("/users/me").send().await.expect(200));

    let change = json!({ "display_name": "Ada King", "phone": "+442079460000", "locale": "en-GB" });
    ada.client.patch("/users/me").json(&change).send().await.expect_problem(Code::PreconditionRequired);
    let changed = ada.client.patch("/users/me").if_match(&seen).json(&change).send().await.expect(200);
    let account: Account = changed.json();
    assert_eq!((account.display_name.as_str(), account.locale.as_str()), ("Ada King", "en-GB"));
    assert_eq!(account.phone.as_deref(), Some("+442079460000"));
    ada.client
        .patch("/users/me")
        .if_match(&seen)
        .json(&change)
        .send()
        .await
        .expect_problem(Code::PreconditionFailed);

    // What is absent stays, null takes away.
    let cleared =
        ada.client.patch("/users/me").if_match(&etag(&changed)).json(&json!({ "phone": null })).send().await;
    let account: Account = cleared.expect(200).json();
    assert_eq!((account.phone, account.display_name.as_str()), (None, "Ada King"));
    // Nothing to change changes nothing.
    let etag = ada.client.get("/users/me").send().await.header("etag").unwrap().to_owned();
    let same = ada.client.patch("/users/me").if_match(&etag).json(&json!({})).send().await.expect(200);
    assert_eq!(same.header("etag"), Some(etag.as_str()));
}

#[tokio::test]
async fn of_two_edits_of_one_version_one_wins() {
    let world = World::start().await;
    let ada = world.person(Role::Customer).await;
    let read = ada.client.get("/users/me").send().await.expect(200);
    let seen = read.header("etag").unwrap();
    let edit = async |name: String| {
        let body = json!({ "display_name": name });
        ada.client.patch("/users/me").if_match(seen).json(&body).send().await.status.as_u16()
    };
    let answers = futures::future::join_all((0..8).map(|n| edit(format!("Ada {n}")))).await;
    assert_eq!(answers.iter().filter(|status| **status == 200).count(), 1, "{answers:?}");
    assert!(answers.iter().all(|status| [200, 412].contains(status)), "{answers:?}");
}

#[tokio::test]
async fn every_bad_field_is_named_at_once() {
    let world = World::start().await;
    let ada = world.person(Role::Customer).await;
    let change = json!({ "display_name": "a\u{1}b", "phone": "12", "locale": "English" });
    let answer = ada.client.patch("/users/me").if_match("\"v1\"").json(&change).send().await;
    let problem = answer.expect_problem(Code::ValidationFailed);
    let pointers: Vec<_> = problem.errors.iter().map(|error| error.pointer.as_str()).collect();
    assert_eq!(pointers, ["/display_name", "/phone", "/locale"]);
    // A role is nothing that one gives oneself.
    let answer =
        ada.client.patch("/users/me").if_match("\"v1\"").json(&json!({ "roles": ["admin"] })).send().await;
    assert_eq!(answer.expect_problem(Code::ValidationFailed).errors[0].code, "unknown_field");
}

#[tokio::test]
async fn a_new_password_ends_the_other_sessions_and_not_this_one() {
    let world = World::start().await;
    let ada = world.person(Role::Customer).await;
    let elsewhere = world.again(&ada).await;
    let change = |current: &str, new: &str| json!({ "current_password": current, "new_password": new });
    let post = |body: Value| ada.client.post("/users/me/password").json(&body).send();

    post(change("not the password", "a new long password")).await.expect_problem(Code::InvalidCredentials);
    let weak = post(change(PASSWORD, "passwordpassword")).await.expect_problem(Code::WeakPassword);
    assert_eq!(weak.errors[0].pointer, "/new_password");
    elsewhere.client.get("/users/me").send().await.expect(200);

    post(change(PASSWORD, "nine owls behind the mill")).await.expect(204);
    elsewhere.client.get("/users/me").send().await.expect_problem(Code::SessionEnded);
    ada.client.get("/users/me").send().await.expect(200);
    assert_eq!(world.audit(ada.id).await, ["password.refused", "password.changed"]);
    assert_eq!(world.events(ada.id).await, ["session.revoked"]);
    let log_in = async |password: &str| {
        let body = json!({ "email": ada.email, "password": password });
        world.anonymous().post("/auth/login").json(&body).send().await.status.as_u16()
    };
    assert_eq!(log_in(PASSWORD).await, 401);
    assert_eq!(log_in("nine owls behind the mill").await, 200);
}

#[tokio::test]
async fn an_address_changes_when_its_mail_is_answered() {
    let world = World::start().await;
    let ada = world.person(Role::Customer).await;
    let before = ada.client.get("/users/me").send().await.expect(200).header("etag").unwrap().to_owned();
    let ask = json!({ "email": "Ada.King@Shop.Example", "password": PASSWORD });
    ada.client.post("/users/me/email").json(&ask).send().await.expect(202);
    let account: Account = ada.client.get("/users/me").send().await.expect(200).json();
    assert_eq!(account.email, ada.email);

    let mail = world.mail_to("ada.king@shop.example").await;
    let token = World::token_in(&mail);
    let verify = world.anonymous().post("/auth/verify").json(&json!({ "token": token })).send().await;
    assert!(verify.status.is_success(), "{}", verify.text());
    let after = ada.client.get("/users/me").send().await.expect(200);
    assert_eq!(after.json::<Account>().email, "ada.king@shop.example");
    assert_ne!(after.header("etag"), Some(before.as_str()));
    // A token works once.
    world
        .anonymous()
        .post("/auth/verify")
        .json(&json!({ "token": token }))
        .send()
        .await
        .expect_problem(Code::TokenUnusable);
}

#[tokio::test]
async fn an_address_that_belongs_to_another_is_not_given_away() {
    let world = World::start().await;
    let ada = world.person(Role::Customer).await;
    let bob = world.person(Role::Customer).await;
    let free = json!({ "email": "free@shop.example", "password": PASSWORD });
    let taken = json!({ "email": bob.email, "password": PASSWORD });
    let one = ada.client.post("/users/me/email").json(&free).send().await.expect(202);
    let two = ada.client.post("/users/me/email").json(&taken).send().await.expect(202);
    assert_eq!(one.body, two.body);
    let account: Account = ada.client.get("/users/me").send().await.expect(200).json();
    assert_eq!(account.email, ada.email);
    let account: Account = bob.client.get("/users/me").send().await.expect(200).json();
    assert_eq!(account.email, bob.email);
}

#[tokio::test]
async fn an_export_holds_everything() {
    let world = World::start().await;
    let ada = world.person(Role::Customer).await;
    let home = json!({ "recipient": "Ada", "line1": "1 Square", "city": "London", "country": "GB" });
    ada.client.post("/users/me/addresses").json(&home).send().await.expect(201);
    let change = json!({ "current_password": PASSWORD, "new_password": "nine owls behind the mill" });
    ada.client.post("/users/me/password").json(&change).send().await.expect(204);
    let answer = ada.client.get("/users/me/export").send().await.expect(200);
    assert_eq!(answer.header("content-disposition"), Some("attachment; filename=\"account.json\""));
    assert_eq!(answer.header("cache-control"), Some("no-store"));
    let export: Export = answer.json();
    assert_eq!(export.account.email, ada.email);
    assert_eq!((export.addresses.len(), export.sessions.len()), (1, 1));
    assert_eq!(
        export.activity.iter().map(|entry| entry.action.as_str()).collect::<Vec<_>>(),
        ["user.exported", "password.changed"]
    );
    assert!(!answer.text().contains("argon2"), "a hash is not part of an export");
}

/// More than is held in memory at once, of which none is left out and none comes twice.
#[tokio::test]
async fn an_export_of_very_much_holds_everything_too() {
    let world = World::start().await;
    let ada = world.person(Role::Customer).await;
    for fill in [
        "INSERT INTO audit_log (id, action, actor_kind, subject)
         SELECT gen_random_uuid(), 'session.refused', 'system', $1 FROM generate_series(1, 2500)",
        "INSERT INTO sessions (id, user_id, expires_at, ends_at)
         SELECT gen_random_uuid(), $1, now() + interval '1 hour', now() + interval '1 hour'
         FROM generate_series(1, 1999)",
    ] {
        sqlx::query(fill).bind(ada.id).execute(world.db.pool()).await.unwrap();
    }
    let export: Export = ada.client.get("/users/me/export").send().await.expect(200).json();
    let entries: HashSet<_> = export.activity.iter().map(|entry| entry.id).collect();
    assert_eq!((entries.len(), export.activity.len()), (2501, 2501));
    let sessions: HashSet<_> = export.sessions.iter().map(|session| session.id).collect();
    assert_eq!((sessions.len(), export.sessions.len()), (2000, 2000));
    assert_eq!(export.sessions.iter().filter(|session| session.current).count(), 1);
}

#[tokio::test]
async fn an_export_that_breaks_off_is_told_as_one() {
    let world = World::with(|program| program.env("STREAM_DEADLINE_MS", "1")).await;
    let ada = world.person(Role::Customer).await;
    let many = "INSERT INTO audit_log (id, action, actor_kind, subject)
                SELECT gen_random_uuid(), 'session.refused', 'system', $1 FROM generate_series(1, 5000)";
    sqlx::query(many).bind(ada.id).execute(world.db.pool()).await.unwrap();
    assert!(
        ada.client.get("/users/me/export").try_send().await.is_err(),
        "it cannot be taken for a whole one"
    );
    world.service.has_written("an answer broke off on its way").await;
}

#[tokio::test]
async fn nobody_keeps_asking_for_exports() {
    let world = World::start().await;
    let ada = world.person(Role::Customer).await;
    for _ in 0..10 {
        ada.client.get("/users/me/export").send().await.expect(200);
    }
    ada.client.get("/users/me/export").send().await.expect_problem(Code::TooManyRequests);
}

#[tokio::test]
async fn an_export_does_not_tell_which_administrator_did_what_from_where_and_noted_why() {
    let world = World::start().await;
    let (admin, ada) = (world.person(Role::Admin).await, world.person(Role::Customer).await);
    let why = json!({ "reason": "chargeback 4711, see bob@shop.example" });
    admin.client.post(&format!("/users/{}/disable", ada.id)).json(&why).send().await.expect(200);
    admin.client.post(&format!("/users/{}/enable", ada.id)).send().await.expect(200);
    admin.client.get(&format!("/users/{}", ada.id)).send().await.expect(200);
    admin.client.get(&format!("/audit?user={}", ada.id)).send().await.expect(200);
    let ada = world.again(&ada).await;
    let answer = ada.client.get("/users/me/export").send().await.expect(200);
    assert!(!answer.text().contains("4711") && !answer.text().contains(&admin.id.to_string()));
    let export: Export = answer.json();
    let done: Vec<_> = export.activity.iter().map(|entry| (entry.action.as_str(), entry.actor)).collect();
    let own = ("user.exported", Some(ada.id));
    let others = ["audit.read", "user.read", "user.enabled", "user.disabled"].map(|action| (action, None));
    assert_eq!((done[0], &done[1..]), (own, &others[..]));
    assert!(export.activity[1..].iter().all(|entry| entry.address_prefix.is_none()));
}

#[tokio::test]
async fn an_ended_session_forgets_where_it_was() {
    let world = World::start().await;
    let ada = world.person(Role::Customer).await;
    world.age("UPDATE sessions SET user_agent = 'Lynx', address = '203.0.113.7'").await;
    ada.client.post("/auth/logout").send().await.expect(204);
    assert_eq!(world.count("SELECT count(*) FROM sessions WHERE user_agent <> '' OR address <> ''").await, 0);
}

#[tokio::test]
async fn what_an_administrator_did_is_no_part_of_their_export() {
    let world = World::start().await;
    let (admin, ada) = (world.person(Role::Admin).await, world.person(Role::Customer).await);
    let why = json!({ "reason": "chargeback 4711" });
    admin.client.post(&format!("/users/{}/disable", ada.id)).json(&why).send().await.expect(200);
    let answer = admin.client.get("/users/me/export").send().await.expect(200);
    assert!(
        !answer.text().contains("4711") && !answer.text().contains(&ada.id.to_string()),
        "{}",
        answer.text()
    );
}

/// Every column of every table that may hold something about a person: a new one is noticed here.
#[tokio::test]
async fn a_closed_account_leaves_nothing_of_the_person() {
    let world = World::start().await;
    let ada = world.person(Role::Customer).await;
    let home =
        json!({ "recipient": "Ada of Marylebone", "line1": "1 Square", "city": "London", "country": "GB" });
    ada.client.post("/users/me/addresses").json(&home).send().await.expect(201);
    let seen = ada.client.get("/users/me").send().await.expect(200).header("etag").unwrap().to_owned();
    let change = json!({ "display_name": "Ada of Marylebone", "phone": "+442079460123" });
    ada.client.patch("/users/me").if_match(&seen).json(&change).send().await.expect(200);
    let mail = json!({ "email": "ada.of.marylebone@shop.example", "password": PASSWORD });
    ada.client.post("/users/me/email").json(&mail).send().await.expect(202);
    world.mail_to("ada.of.marylebone@shop.example").await;

    let close = |password: &str| ada.client.delete("/users/me").json(&json!({ "password": password })).send();
    close("not the password").await.expect_problem(Code::InvalidCredentials);
    close(PASSWORD).await.expect(204);
    ada.client.get("/users/me").send().await.expect_problem(Code::SessionEnded);
    assert_eq!(world.events(ada.id).await, ["session.revoked", "user.deleted"]);
    assert_eq!(world.audit(ada.id).await.last().map(String::as_str), Some("user.deleted"));
    let login = json!({ "email": ada.email, "password": PASSWORD });
    world.anonymous().post("/auth/login").json(&login).send().await.expect_problem(Code::InvalidCredentials);

    let everything = dump(&world).await;
    assert!(everything.contains(&ada.id.to_string()), "the id stays");
    for trace in ["arylebone", "+442079460123", ada.email.as_str()] {
        let lines: Vec<_> = everything.lines().filter(|line| line.contains(trace)).collect();
        assert!(lines.is_empty(), "{trace} is still in {lines:?}");
    }
}

/// Every row of every table as text.
async fn dump(world: &World) -> String {
    let tables: Vec<(String, String)> = sqlx::query_as(
        "SELECT schemaname::text, tablename::text FROM pg_tables WHERE schemaname IN ('public', 'kit')",
    )
    .fetch_all(world.db.pool())
    .await
    .unwrap();
    let mut text = String::new();
    for (schema, table) in tables {
        let sql = format!("SELECT to_jsonb(t)::text FROM \"{schema}\".\"{table}\" t");
        let rows: Vec<String> =
            sqlx::query_scalar(sqlx::AssertSqlSafe(sql)).fetch_all(world.db.pool()).await.unwrap();
        for row in rows {
            text.push_str(&format!("{schema}.{table} {row}\n"));
        }
    }
    text
}

#[tokio::test]
async fn the_last_administrator_cannot_leave() {
    let world = World::start().await;
    let only = world.person(Role::Admin).await;
    let body = json!({ "password": PASSWORD });
    only.client.delete("/users/me").json(&body).send().await.expect_problem(Code::LastAdmin);
    only.client.get("/users/me").send().await.expect(200);
    // One who cannot sign in administers nothing.
    let other = world.person(Role::Admin).await;
    world
        .age("UPDATE users SET email_verified_at = NULL WHERE id = (SELECT max(id::text)::uuid FROM users)")
        .await;
    only.client.delete("/users/me").json(&body).send().await.expect_problem(Code::LastAdmin);
    world.age("UPDATE users SET email_verified_at = now()").await;
    only.client.delete("/users/me").json(&body).send().await.expect(204);
    other.client.get("/users/me").send().await.expect(200);
}

#[tokio::test]
async fn a_session_that_ended_elsewhere_is_refused_at_once() {
    let world = World::start().await;
    let ada = world.person(Role::Customer).await;
    ada.client.get("/users/me").send().await.expect(200);
    for (change, alive) in [
        ("UPDATE sessions SET expires_at = now() - interval '1 second'", false),
        ("UPDATE sessions SET expires_at = ends_at", true),
        ("UPDATE sessions SET revoked_at = now(), revoke_reason = 'logout'", false),
        ("UPDATE sessions SET revoked_at = NULL, revoke_reason = NULL", true),
        ("UPDATE users SET status = 'disabled'", false),
        ("UPDATE users SET status = 'active'", true),
    ] {
        sqlx::query(change).execute(world.db.pool()).await.unwrap();
        let answer = ada.client.get("/users/me").send().await;
        if alive {
            answer.expect(200);
        } else {
            answer.expect_problem(Code::SessionEnded);
        }
    }
}
