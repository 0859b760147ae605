//! Who may call what: one table for every operation and everybody who could try it. An operation that is missing here
//! fails the test, and so does a row for one that is gone.

use std::collections::BTreeMap;

use http::Method;
use serde_json::Value;
use shop_api::{Code, Problem, Role};
use shop_test::{Answer, Client};
use uuid::Uuid;

use crate::world::World;

/// `yes`: let in, whatever the handler then says of an empty request. `401`, `403`, `404`: refused so.
/// `other` is a customer who names something that belongs to another one; `-` where nothing is named.
const TABLE: &str = "
                                            anonymous customer support admin service other
GET    /.well-known/jwks.json               yes       yes      yes     yes   yes     -
GET    /account/verify                      yes       yes      yes     yes   yes     -
GET    /account/reset                       yes       yes      yes     yes   yes     -
GET    /account/page.js                     yes       yes      yes     yes   yes     -
GET    /account/page.css                    yes       yes      yes     yes   yes     -
POST   /auth/login                          yes       yes      yes     yes   yes     -
POST   /auth/logout                         401       yes      yes     yes   yes     -
POST   /auth/logout-all                     401       yes      yes     yes   403     -
POST   /auth/password/forgot                yes       yes      yes     yes   yes     -
POST   /auth/password/reset                 yes       yes      yes     yes   yes     -
POST   /auth/refresh                        yes       yes      yes     yes   yes     -
POST   /auth/register                       yes       yes      yes     yes   yes     -
POST   /auth/token                          yes       yes      yes     yes   yes     -
POST   /auth/verify                         yes       yes      yes     yes   yes     -
POST   /auth/verify/resend                  yes       yes      yes     yes   yes     -
GET    /users/me                            401       yes      yes     yes   403     -
PATCH  /users/me                            401       yes      yes     yes   403     -
DELETE /users/me                            401       yes      yes     yes   403     -
GET    /users/me/export                     401       yes      yes     yes   403     -
POST   /users/me/email                      401       yes      yes     yes   403     -
POST   /users/me/password                   401       yes      yes     yes   403     -
GET    /users/me/addresses                  401       yes      yes     yes   403     -
POST   /users/me/addresses                  401       yes      yes     yes   403     -
GET    /users/me/addresses/{id}             401       yes      yes     yes   403     404
PUT    /users/me/addresses/{id}             401       yes      yes     yes   403     404
DELETE /users/me/addresses/{id}             401       yes      yes     yes   403     404
GET    /users/me/sessions                   401       yes      yes     yes   403     -
DELETE /users/me/sessions                   401       yes      yes     yes   403     -
DELETE /users/me/sessions/{id}              401       yes      yes     yes   403     404
POST   /users/me/totp                       401       yes      yes     yes   403     -
DELETE /users/me/totp                       401       yes      yes     yes   403     -
POST   /users/me/totp/confirm               401       yes      yes     yes   403     -
POST   /users/me/recovery-codes             401       yes      yes     yes   403     -
GET    /users                               401       403      yes     yes   403     -
GET    /users/{id}                          401       403      yes     yes   403     403
POST   /users/{id}/disable                  401       403      403     yes   403     403
POST   /users/{id}/enable                   401       403      403     yes   403     403
PUT    /users/{id}/roles                    401       403      403     yes   403     403
DELETE /users/{id}/sessions                 401       403      403     yes   403     403
GET    /roles                               401       403      403     yes   403     -
GET    /permissions                         401       403      403     yes   403     -
GET    /audit                               401       403      403     yes   403     -
GET    /clients                             401       403      403     yes   403     -
POST   /clients                             401       403      403     yes   403     -
DELETE /clients/{id}                        401       403      403     yes   403     403
POST   /clients/{id}/secret                 401       403      403     yes   403     403
GET    /internal/events                     401       403      403     403   yes     -
";

struct Row {
    method: String,
    path: String,
    expected: Vec<(&'static str, &'static str)>,
}

fn table() -> Vec<Row> {
    let mut lines = TABLE.lines().filter(|line| !line.trim().is_empty());
    let who: Vec<_> = lines.next().unwrap().split_whitespace().collect();
    lines
        .map(|line| {
            let mut words = line.split_whitespace();
            let (method, path) = (words.next().unwrap().to_owned(), words.next().unwrap().to_owned());
            let expected: Vec<_> = who.iter().copied().zip(words).collect();
            assert_eq!(expected.len(), who.len(), "{line}");
            Row { method, path, expected }
        })
        .collect()
}

/// Every operation of the served document, with the rule that is written into it.
async fn operations(client: &Client) -> BTreeMap<(String, String), String> {
    let document: Value = client.get("/openapi.json").send().await.expect(200).json();
    let mut operations = BTreeMap::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            if Method::from_bytes(method.to_uppercase().as_bytes()).is_ok() && operation.is_object() {
                let rule = operation["x-permission"].as_str().unwrap().to_owned();
                operations.insert((method.to_uppercase(), path.clone()), rule);
            }
        }
    }
    operations
}

#[tokio::test]
async fn the_table_has_every_operation_and_no_other() {
    let world = World::start().await;
    let served: Vec<_> = operations(&world.anonymous()).await.into_keys().collect();
    let mut listed: Vec<_> = table().into_iter().map(|row| (row.method, row.path)).collect();
    listed.sort();
    assert_eq!(listed, served);
    assert!(served.len() >= 25, "{}", served.len());
}

#[tokio::test]
async fn everybody_gets_the_answer_of_the_table() {
    let world = World::start().await;
    let owner = world.person(Role::Customer).await;
    let mut wrong = Vec::new();
    for row in table() {
        for (who, expected) in &row.expected {
            if *expected == "-" {
                continue;
            }
            // Anew for each call: many of them end the very session that makes it.
            let caller = match *who {
                "anonymous" => world.anonymous(),
                "customer" | "other" => world.person(Role::Customer).await.client,
                name => world.person(Role::from_name(name).unwrap()).await.client,
            };
            let theirs = if *who == "other" {
                thing_of(&world, &owner.client, owner.id, &row.path).await
            } else {
                Uuid::now_v7()
            };
            let path = row.path.replace("{id}", &theirs.to_string());
            let answer = empty_request(&caller, &row.method, &path).await;
            if !fits(expected, &answer) {
                wrong.push(format!(
                    "{who:9} {expected:3} {} {}: {} {}",
                    row.method,
                    row.path,
                    answer.status,
                    answer.text()
                ));
            }
        }
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

/// Something that belongs to the owner and could be named at this path.
async fn thing_of(world: &World, owner: &Client, owner_id: Uuid, path: &str) -> Uuid {
    if path.starts_with("/users/me/addresses") {
        let body = serde_json::json!({ "recipient": "A", "line1": "B", "city": "C", "country": "GB" });
        let address: Value = owner.post("/users/me/addresses").json(&body).send().await.expect(201).json();
        return address["id"].as_str().unwrap().parse().unwrap();
    }
    if path.starts_with("/users/me/sessions") {
        let session = sqlx::query_scalar("SELECT id FROM sessions WHERE user_id = $1 AND revoked_at IS NULL");
        return session.bind(owner_id).fetch_one(world.db.pool()).await.unwrap();
    }
    if path.starts_with("/clients") {
        return world.person(Role::Service).await.id;
    }
    owner_id
}

/// A request that is shaped well enough to come to the question of whose thing it is, and asks for nothing.
async fn empty_request(caller: &Client, method: &str, path: &str) -> Answer {
    let request = caller.request(method.parse().unwrap(), path).header("if-match", "\"v0\"");
    match (method, path) {
        ("GET", _) => request.send().await,
        ("PUT", path) if path.starts_with("/users/me/addresses") => {
            let body = serde_json::json!({ "recipient": "A", "line1": "B", "city": "C", "country": "GB" });
            request.json(&body).send().await
        }
        _ => request.json(&serde_json::json!({})).send().await,
    }
}

fn fits(expected: &str, answer: &Answer) -> bool {
    let code = || answer.json::<Problem>().code;
    match expected {
        "yes" => match answer.status.as_u16() {
            401 => !matches!(code(), Code::Unauthenticated | Code::InvalidToken | Code::SessionEnded),
            403 => false,
            status => status < 500,
        },
        "401" => answer.status == 401 && code() == Code::Unauthenticated,
        "403" => answer.status == 403 && code() == Code::Forbidden,
        "404" => answer.status == 404 && code() == Code::NotFound,
        other => panic!("{other} is no answer"),
    }
}

/// The rule of an operation in the document is the rule that is enforced, for every role.
#[tokio::test]
async fn the_document_tells_the_truth() {
    let world = World::start().await;
    let rules = operations(&world.anonymous()).await;
    for row in table() {
        let rule = &rules[&(row.method.clone(), row.path.clone())];
        for (who, expected) in &row.expected {
            let Some(role) = Role::from_name(who) else { continue };
            let let_in = match shop_api::Permission::from_name(rule) {
                Some(permission) => {
                    role.grants(permission) || (role != Role::Service && Role::Customer.grants(permission))
                }
                None => true,
            };
            assert_eq!(let_in, *expected == "yes", "{who} {} {}: {rule}", row.method, row.path);
        }
    }
}
