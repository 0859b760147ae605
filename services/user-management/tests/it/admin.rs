//! Administration: search, disable, enable, roles; and that the last administrator stays.

use std::time::Duration;

use serde_json::{Value, json};
use shop_api::users::AccountRole;
use shop_api::users::admin::{PermissionList, RoleList, UserDetail, UserSummary};
use shop_api::users::audit::AuditEntry;
use shop_api::users::profile::{Account, UserStatus};
use shop_api::{Code, Page, Permission, Role};
use shop_test::Client;
use uuid::Uuid;

use crate::world::{PASSWORD, Person, World};

async fn search(client: &Client, query: &str) -> Page<UserSummary> {
    client.get(&format!("/users?{query}")).send().await.expect(200).json()
}

async fn named(world: &World, name: &str) -> Person {
    let person = world.person(Role::Customer).await;
    let name_it = sqlx::query("UPDATE users SET display_name = $2 WHERE id = $1");
    name_it.bind(person.id).bind(name).execute(world.db.pool()).await.unwrap();
    person
}

#[tokio::test]
async fn accounts_are_found_by_the_beginning_of_name_or_address() {
    let world = World::start().await;
    let support = world.person(Role::Support).await;
    let grace = named(&world, "Grace Hopper").await;
    named(&world, "Niklaus %_\\ Wirth").await;
    let found =
        |page: Page<UserSummary>| page.items.into_iter().map(|user| user.display_name).collect::<Vec<_>>();
    assert_eq!(found(search(&support.client, "q=gRaCe").await), ["Grace Hopper"]);
    assert_eq!(found(search(&support.client, &format!("q={}", grace.email)).await), ["Grace Hopper"]);
    assert_eq!(found(search(&support.client, "q=hopper").await), [""; 0]);
    // Letters beyond ASCII as the database makes them small, whatever Rust does.
    for (name, q) in [("ΣΟΦΟΣ", "%CE%A3%CE%9F%CE%A6%CE%9F%CE%A3"), ("İstanbul", "%C4%B0st")] {
        named(&world, name).await;
        assert_eq!(found(search(&support.client, &format!("q={q}")).await), [name]);
    }
    assert_eq!(found(search(&support.client, "q=niklaus%20%25_%5C").await), ["Niklaus %_\\ Wirth"]);
    assert_eq!(found(search(&support.client, "q=niklaus%20x").await), [""; 0]);
    assert_eq!(search(&support.client, "role=support").await.items[0].email, support.email);
    assert!(search(&support.client, "status=disabled").await.items.is_empty());
}

#[tokio::test]
async fn pages_hold_everybody_once_while_people_come() {
    let world = World::start().await;
    let admin = world.person(Role::Admin).await;
    for _ in 0..11 {
        world.person(Role::Customer).await;
    }
    let mut seen: Vec<Uuid> = Vec::new();
    let mut query = "limit=5".to_owned();
    loop {
        let page = search(&admin.client, &query).await;
        seen.extend(page.items.iter().map(|user| user.id.uuid()));
        world.person(Role::Customer).await;
        let Some(cursor) = page.next_cursor else { break };
        query = format!("limit=5&cursor={cursor}");
    }
    assert!(seen.is_sorted(), "in order of registration");
    assert!(seen.len() >= 12 && seen.windows(2).all(|pair| pair[0] != pair[1]));
}

#[tokio::test]
async fn a_page_that_cannot_be_is_refused() {
    let world = World::start().await;
    let admin = world.person(Role::Admin).await.client;
    for query in
        ["limit=0", "limit=101", "limit=1000000000", "limit=99999999999999999999", "limit=-1", "limit=x"]
    {
        let answer = admin.get(&format!("/users?{query}")).send().await;
        assert_eq!(answer.expect_problem(Code::ValidationFailed).errors[0].pointer, "?limit", "{query}");
    }
    let audit: Page<AuditEntry> = admin.get("/audit").send().await.expect(200).json();
    assert_eq!(audit.next_cursor, None);
    for cursor in ["x", "AAAA", "bm90IGEgY3Vyc29y", "e30", "' OR 1=1 --"] {
        let cursor = cursor.replace(' ', "%20");
        admin.get(&format!("/users?cursor={cursor}")).send().await.expect_problem(Code::InvalidCursor);
    }
    // A cursor of one list is none of another.
    world.person(Role::Customer).await;
    let cursor = search(&admin, "limit=1").await.next_cursor.unwrap();
    admin.get(&format!("/audit?cursor={cursor}")).send().await.expect_problem(Code::InvalidCursor);
    for query in ["q=", "q=%20", "status=gone", "role=service", "colour=red", "q=a&q=b"] {
        admin.get(&format!("/users?{query}")).send().await.expect_problem(Code::ValidationFailed);
    }
}

#[tokio::test]
async fn a_disabled_account_is_out_at_once_and_comes_back() {
    let world = World::start().await;
    let admin = world.person(Role::Admin).await;
    let ada = world.person(Role::Customer).await;
    let at = |action: &str| format!("/users/{}/{action}", ada.id);
    let why = json!({ "reason": "chargeback under investigation" });
    for _ in 0..2 {
        let detail: UserDetail = admin.client.post(&at("disable")).json(&why).send().await.expect(200).json();
        assert_eq!((detail.status, detail.live_sessions), (UserStatus::Disabled, 0));
        assert_eq!(detail.disabled_reason.as_deref(), Some("chargeback under investigation"));
    }
    ada.client.get("/users/me").send().await.expect_problem(Code::SessionEnded);
    let login = json!({ "email": ada.email, "password": PASSWORD });
    assert!(world.anonymous().post("/auth/login").json(&login).send().await.status.is_client_error());

    let detail: UserDetail = admin.client.post(&at("enable")).send().await.expect(200).json();
    assert_eq!((detail.status, detail.disabled_reason), (UserStatus::Active, None));
    ada.client.get("/users/me").send().await.expect_problem(Code::SessionEnded);
    world.anonymous().post("/auth/login").json(&login).send().await.expect(200);
    assert_eq!(world.events(ada.id).await, ["session.revoked", "user.disabled", "user.enabled"]);
    // The second time it was only shown.
    let told = ["user.disabled", "user.read", "session.refused", "user.enabled", "session.started"];
    assert_eq!(world.audit(ada.id).await, told);
}

#[tokio::test]
async fn a_new_role_counts_with_the_token_in_hand() {
    let world = World::start().await;
    let admin = world.person(Role::Admin).await;
    let ada = world.person(Role::Customer).await;
    let at = format!("/users/{}/roles", ada.id);
    ada.client.get("/users").send().await.expect_problem(Code::Forbidden);
    let roles = json!({ "roles": ["support", "customer", "support"] });
    let detail: UserDetail = admin.client.put(&at).if_match("*").json(&roles).send().await.expect(200).json();
    assert_eq!(detail.roles, [AccountRole::Customer, AccountRole::Support]);
    ada.client.get("/users").send().await.expect(200);
    admin.client.put(&at).if_match("*").json(&json!({ "roles": ["customer"] })).send().await.expect(200);
    ada.client.get("/users").send().await.expect_problem(Code::Forbidden);
    assert_eq!(world.events(ada.id).await, ["user.roles_changed"; 2]);
    for bad in [json!([]), json!(["service"]), json!(["admin", "admin", "admin", "admin"]), json!("admin")] {
        admin
            .client
            .put(&at)
            .if_match("*")
            .json(&json!({ "roles": bad }))
            .send()
            .await
            .expect_problem(Code::ValidationFailed);
    }
}

/// Two administrators read the same account; the second does not take back what the first has given.
#[tokio::test]
async fn roles_are_set_on_what_was_read() {
    let world = World::start().await;
    let (one, two) = (world.person(Role::Admin).await, world.person(Role::Admin).await);
    let ada = world.person(Role::Customer).await;
    let (account, at) = (format!("/users/{}", ada.id), format!("/users/{}/roles", ada.id));
    let read = async |admin: &Client| {
        let answer = admin.get(&account).send().await.expect(200);
        answer.header("etag").unwrap().to_owned()
    };
    let (seen_by_one, seen_by_two) = (read(&one.client).await, read(&two.client).await);
    let support = json!({ "roles": ["customer", "support"] });
    let set = one.client.put(&at).if_match(&seen_by_one).json(&support).send().await.expect(200);
    let late = two.client.put(&at).if_match(&seen_by_two).json(&json!({ "roles": ["customer", "admin"] }));
    late.send().await.expect_problem(Code::PreconditionFailed);
    let blind = two.client.put(&at).json(&json!({ "roles": ["customer"] }));
    blind.send().await.expect_problem(Code::PreconditionRequired);
    assert_eq!(read(&two.client).await, set.header("etag").unwrap());
    let detail: UserDetail = two.client.get(&account).send().await.expect(200).json();
    assert_eq!(detail.roles, [AccountRole::Customer, AccountRole::Support]);
}

/// What is registered again before anybody proved the address shows another name from then on.
#[tokio::test]
async fn an_account_that_is_registered_again_has_another_tag() {
    let world = World::start().await;
    let admin = world.person(Role::Admin).await;
    let register = async |name: &str| {
        let body = json!({ "email": "new@shop.example", "password": PASSWORD, "display_name": name });
        world.anonymous().post("/auth/register").json(&body).send().await.expect(202);
        let found = search(&admin.client, "q=new@shop.example").await.items.remove(0);
        let answer = admin.client.get(&format!("/users/{}", found.id)).send().await.expect(200);
        (answer.header("etag").unwrap().to_owned(), answer.json::<UserDetail>().display_name)
    };
    let (one, two) = (register("Ada").await, register("Grace").await);
    assert_eq!((one.1.as_str(), two.1.as_str()), ("Ada", "Grace"));
    assert_ne!(one.0, two.0);
}

#[tokio::test]
async fn nobody_promotes_or_disables_themselves() {
    let world = World::start().await;
    let admin = world.person(Role::Admin).await;
    world.person(Role::Admin).await;
    for roles in [json!(["customer"]), json!(["admin", "customer", "support"])] {
        let at = format!("/users/{}/roles", admin.id);
        let promoted = admin.client.put(&at).if_match("*").json(&json!({ "roles": roles }));
        promoted.send().await.expect_problem(Code::Forbidden);
    }
    let at = format!("/users/{}/disable", admin.id);
    admin.client.post(&at).json(&json!({ "reason": "tired" })).send().await.expect_problem(Code::Forbidden);
    let support = world.person(Role::Support).await;
    let at = format!("/users/{}/roles", support.id);
    let crown = json!({ "roles": ["admin"] });
    support.client.put(&at).json(&crown).send().await.expect_problem(Code::Forbidden);
}

/// Every administrator retires every other one, all at once and in three ways: one is left.
#[tokio::test]
async fn administrators_who_retire_each_other_leave_one() {
    let world = World::start().await;
    for round in 0..10 {
        // Nobody is left of the round before whom nobody here could retire.
        let retired = "UPDATE users SET roles = '{customer}' WHERE 'admin' = ANY (roles)";
        sqlx::query(retired).execute(world.db.pool()).await.unwrap();
        let mut admins = Vec::new();
        // Of many a few soon keep the others out; two meet each other.
        for _ in 0..if round < 2 { 6 } else { 2 } {
            admins.push(world.person(Role::Admin).await);
        }
        let all = admins.iter().flat_map(|actor| admins.iter().map(move |target| (actor, target)));
        let tries = all.map(|(actor, target)| async move {
            let at = |action: &str| format!("/users/{}/{action}", target.id);
            let answer = if actor.id == target.id {
                actor.client.delete("/users/me").json(&json!({ "password": PASSWORD })).send().await
            } else if round % 2 == 0 {
                actor
                    .client
                    .put(&at("roles"))
                    .if_match("*")
                    .json(&json!({ "roles": ["customer"] }))
                    .send()
                    .await
            } else {
                actor.client.post(&at("disable")).json(&json!({ "reason": "a coup" })).send().await
            };
            assert!(!answer.status.is_server_error(), "{}", answer.text());
        });
        futures::future::join_all(tries).await;
        let left = "SELECT count(*) FROM users WHERE 'admin' = ANY (roles) AND status = 'active'";
        assert_eq!(world.count(left).await, 1, "round {round}");
    }
}

#[tokio::test]
async fn an_administrator_ends_the_sessions_of_another() {
    let world = World::start().await;
    let admin = world.person(Role::Admin).await;
    let ada = world.person(Role::Customer).await;
    let elsewhere = world.again(&ada).await;
    admin.client.delete(&format!("/users/{}/sessions", ada.id)).send().await.expect(204);
    for session in [&ada, &elsewhere] {
        session.client.get("/users/me").send().await.expect_problem(Code::SessionEnded);
    }
    assert_eq!(world.events(ada.id).await, ["session.revoked"]);
    let at = format!("/users/{}/sessions", Uuid::now_v7());
    admin.client.delete(&at).send().await.expect_problem(Code::NotFound);
}

#[tokio::test]
async fn a_closed_account_stays_closed() {
    let world = World::start().await;
    let admin = world.person(Role::Admin).await;
    let ada = world.person(Role::Customer).await;
    ada.client.delete("/users/me").json(&json!({ "password": PASSWORD })).send().await.expect(204);
    let at = |action: &str| format!("/users/{}/{action}", ada.id);
    admin.client.post(&at("enable")).send().await.expect_problem(Code::Conflict);
    admin
        .client
        .post(&at("disable"))
        .json(&json!({ "reason": "x" }))
        .send()
        .await
        .expect_problem(Code::Conflict);
    admin
        .client
        .put(&at("roles"))
        .if_match("*")
        .json(&json!({ "roles": ["admin"] }))
        .send()
        .await
        .expect_problem(Code::Conflict);
    let detail: UserDetail = admin.client.get(&format!("/users/{}", ada.id)).send().await.expect(200).json();
    assert_eq!((detail.status, detail.email.as_str()), (UserStatus::Deleted, ""));
}

#[tokio::test]
async fn the_table_of_roles_is_the_one_that_decides() {
    let world = World::start().await;
    let admin = world.person(Role::Admin).await.client;
    let roles: RoleList = admin.get("/roles").send().await.expect(200).json();
    assert_eq!(roles.items.len(), Role::ALL.len());
    for item in &roles.items {
        assert_eq!(item.permissions, item.role.permissions().collect::<Vec<_>>());
    }
    let permissions: PermissionList = admin.get("/permissions").send().await.expect(200).json();
    let names: Vec<_> = permissions.items.iter().map(|item| item.permission).collect();
    assert_eq!(names, Permission::ALL);
    assert!(permissions.items.iter().all(|item| !item.about.is_empty() && !item.granted_by.is_empty()));
}

#[tokio::test]
async fn a_service_client_lives_with_two_secrets_at_most() {
    let world = World::start().await;
    let admin = world.person(Role::Admin).await.client;
    let name = json!({ "name": "order-management" });
    let made: Value = admin.post("/clients").json(&name).send().await.expect(201).json();
    admin.post("/clients").json(&name).send().await.expect_problem(Code::AlreadyExists);
    let id = made["client_id"].as_str().unwrap();
    let mut secrets = vec![made["client_secret"].as_str().unwrap().to_owned()];
    for _ in 0..2 {
        let rotated: Value = admin.post(&format!("/clients/{id}/secret")).send().await.expect(201).json();
        secrets.push(rotated["client_secret"].as_str().unwrap().to_owned());
    }
    let mut outcomes = Vec::new();
    let mut token = String::new();
    for secret in &secrets {
        let form = format!("grant_type=client_credentials&client_id={id}&client_secret={secret}");
        let answer = world
            .anonymous()
            .post("/auth/token")
            .body("application/x-www-form-urlencoded", form)
            .send()
            .await;
        outcomes.push(answer.status.as_u16());
        if answer.status == 200 {
            token = answer.json::<Value>()["access_token"].as_str().unwrap().to_owned();
        }
    }
    assert_eq!(outcomes, [401, 200, 200], "the oldest stopped, the other two overlap");
    let list: Value = admin.get("/clients").send().await.expect(200).json();
    assert_eq!(list["items"][0]["secrets"].as_array().unwrap().len(), 2);
    assert!(!secrets.iter().any(|secret| list.to_string().contains(secret.as_str())));

    let service = world.anonymous().with_token(token);
    service.get("/internal/events?after=0").send().await.expect(200);
    admin.delete(&format!("/clients/{id}")).send().await.expect(204);
    service.get("/internal/events?after=0").send().await.expect_problem(Code::InvalidToken);
    admin.delete(&format!("/clients/{id}")).send().await.expect_problem(Code::NotFound);
}

/// What other services learn of a change of roles is out at once; they poll every few seconds.
#[tokio::test]
async fn other_services_learn_of_it_from_the_events() {
    let world = World::start().await;
    let admin = world.person(Role::Admin).await;
    let ada = world.person(Role::Customer).await;
    let service = world.person(Role::Service).await;
    let began = std::time::Instant::now();
    let why = json!({ "reason": "a test" });
    admin.client.post(&format!("/users/{}/disable", ada.id)).json(&why).send().await.expect(200);
    let page: Value = service.client.get("/internal/events?after=0").send().await.expect(200).json();
    let types: Vec<_> =
        page["events"].as_array().unwrap().iter().map(|event| event["type"].as_str().unwrap()).collect();
    assert_eq!(types, ["session.revoked", "user.disabled"]);
    assert_eq!(page["events"][0]["data"]["sessions"], json!([ada.session]));
    assert!(began.elapsed() < Duration::from_secs(5));
    let account: Account = admin.client.get("/users/me").send().await.expect(200).json();
    assert_eq!(account.status, UserStatus::Active);
}
