//! Services: client credentials, the published keys and their rotation.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use serde_json::{Value, json};
use shop_api::users::auth::{Jwks, ServiceToken};
use shop_api::users::clients::ClientCredentials;
use shop_api::{Code, Role};
use shop_test::{Answer, until};
use user_management::keys::folder;

use crate::world::World;

const FORM: &str = "application/x-www-form-urlencoded";

async fn new_client(world: &World) -> ClientCredentials {
    let admin = world.person(Role::Admin).await;
    admin.client.post("/clients").json(&json!({ "name": "order-management" })).send().await.expect(201).json()
}

async fn ask(world: &World, form: String) -> Answer {
    world.anonymous().post("/auth/token").body(FORM, form).send().await
}

fn form(id: &str, secret: &str) -> String {
    format!("grant_type=client_credentials&client_id={id}&client_secret={secret}")
}

#[tokio::test]
async fn a_service_gets_a_token_in_both_ways_and_follows_events() {
    let world = World::start().await;
    let client = new_client(&world).await;
    let (id, secret) = (client.client_id.to_string(), client.client_secret);
    let answer = ask(&world, form(&id, &secret)).await.expect(200);
    assert_eq!(answer.header("cache-control"), Some("no-store"));
    let token: ServiceToken = answer.json();
    let service = world.anonymous().with_token(&token.access_token);
    service.get("/internal/events?after=0").send().await.expect(200);
    service.get("/users/me").send().await.expect_problem(Code::Forbidden);

    let basic = format!("Basic {}", STANDARD.encode(format!("{id}:{secret}")));
    let call = |body: &str| {
        world.anonymous().post("/auth/token").header("authorization", &basic).body(FORM, body.to_owned())
    };
    call("grant_type=client_credentials&scope=anything").send().await.expect(200);
    let both = call(&form(&id, &secret)).send().await;
    both.expect_problem(Code::InvalidCredentials);
    assert_eq!(both.header("www-authenticate"), Some("Basic realm=\"clients\""));
}

#[tokio::test]
async fn wrong_credentials_and_other_grants_get_nothing() {
    let world = World::start().await;
    let client = new_client(&world).await;
    let (id, secret) = (client.client_id.to_string(), client.client_secret);
    let other = uuid::Uuid::now_v7().to_string();
    for wrong in [
        form(&id, &"A".repeat(43)),
        form(&other, &secret),
        form(&id, "short"),
        "grant_type=client_credentials".to_owned(),
    ] {
        ask(&world, wrong).await.expect_problem(Code::InvalidCredentials);
    }
    let told = world.audit(client.client_id.uuid()).await;
    assert_eq!(told, ["client.created", "client.refused"], "the first of them named it");
    let password = format!("grant_type=password&client_id={id}&client_secret={secret}");
    ask(&world, password).await.expect_problem(Code::ValidationFailed);
    ask(&world, String::new()).await.expect_problem(Code::ValidationFailed);
    let twice = format!("{}&client_id={id}", form(&id, &secret));
    ask(&world, twice).await.expect_problem(Code::ValidationFailed);
    let json = world
        .anonymous()
        .post("/auth/token")
        .json(&json!({ "grant_type": "client_credentials" }))
        .send()
        .await;
    json.expect_problem(Code::UnsupportedMediaType);
}

#[tokio::test]
async fn two_secrets_overlap_and_a_removed_client_is_out_at_once() {
    let world = World::start().await;
    let admin = world.person(Role::Admin).await;
    let made =
        admin.client.post("/clients").json(&json!({ "name": "order-management" })).send().await.expect(201);
    let made: ClientCredentials = made.json();
    let id = made.client_id.to_string();
    let token: ServiceToken = ask(&world, form(&id, &made.client_secret)).await.expect(200).json();
    let rotate = || admin.client.post(&format!("/clients/{id}/secret")).send();
    let second: ClientCredentials = rotate().await.expect(201).json();
    ask(&world, form(&id, &made.client_secret)).await.expect(200);
    ask(&world, form(&id, &second.client_secret)).await.expect(200);
    let third: ClientCredentials = rotate().await.expect(201).json();
    ask(&world, form(&id, &made.client_secret)).await.expect_problem(Code::InvalidCredentials);
    ask(&world, form(&id, &second.client_secret)).await.expect(200);

    admin.client.delete(&format!("/clients/{id}")).send().await.expect(204);
    ask(&world, form(&id, &third.client_secret)).await.expect_problem(Code::InvalidCredentials);
    let service = world.anonymous().with_token(&token.access_token);
    service.get("/internal/events?after=0").send().await.expect_problem(Code::InvalidToken);
}

/// Whoever has the folder's keys makes no token that is believed, here and by others, once they are withdrawn.
#[tokio::test]
async fn a_leaked_key_signs_for_nobody_any_more() {
    let world = World::start().await;
    let ada = world.person(Role::Customer).await;
    ada.client.get("/users/me").send().await.expect(200);
    folder::withdraw(&world.keys_dir()).unwrap();
    let by_leaked = || ada.client.get("/users/me").send();
    until("the service has seen it", || async { by_leaked().await.status == 401 }).await;
    by_leaked().await.expect_problem(Code::InvalidToken);
    let published: Jwks = world.anonymous().get("/.well-known/jwks.json").send().await.expect(200).json();
    let kid = kid(&ada.token);
    assert!(published.keys.len() == 2 && published.keys.iter().all(|key| key.kid != kid));
}

fn kid(token: &str) -> String {
    let header = URL_SAFE_NO_PAD.decode(token.split('.').next().unwrap()).unwrap();
    serde_json::from_slice::<Value>(&header).unwrap()["kid"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn keys_rotate_under_a_running_service_with_an_overlap() {
    let world = World::start().await;
    world.sign_up("ada@shop.example").await;
    let jwks = async || -> Vec<String> {
        let answer = world.anonymous().get("/.well-known/jwks.json").send().await.expect(200);
        assert_eq!(answer.header("cache-control"), Some("public, max-age=60"));
        answer.json::<Jwks>().keys.into_iter().map(|key| key.kid).collect()
    };
    let before = world.login("ada@shop.example").await;
    let [current, next] = jwks().await.try_into().unwrap();
    assert_eq!(kid(&before.access_token), current);

    folder::rotate(&world.keys_dir(), folder::OVERLAP).unwrap();
    until("the service has seen the rotation", || async { jwks().await.len() == 3 }).await;
    let after = world.login("ada@shop.example").await;
    assert_eq!(kid(&after.access_token), next);
    assert!(world.opens(&before).await && world.opens(&after).await);

    let previous = folder::path(&world.keys_dir(), folder::Role::Previous);
    let previous = std::fs::File::options().write(true).open(previous).unwrap();
    previous.set_modified(std::time::SystemTime::now() - folder::OVERLAP).unwrap();
    folder::rotate(&world.keys_dir(), folder::OVERLAP).unwrap();
    until("the first key is gone", || async { !jwks().await.contains(&current) }).await;
    let old = world.anonymous().with_token(&before.access_token).get("/users/me").send().await;
    old.expect_problem(Code::InvalidToken);
    assert!(world.opens(&after).await);
}
