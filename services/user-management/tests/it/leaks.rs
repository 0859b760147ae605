//! No password, token, code or e-mail address in anything the service writes, however much it is told to write.

use serde_json::{Value, json};
use shop_api::users::auth::{RecoveryCodes, ServiceToken, Tokens, TotpStarted};
use shop_api::{Code, Role};
use shop_kit::boot::Service as _;
use shop_test::{Client, PrivatePostgres, TestDb};
use user_management::service::UserManagement;

use crate::visitor::SECRET;
use crate::world::{PASSWORD, World};

const ADA: &str = "sentinel.mailbox@shop.example";
const NEW: &str = "another sentinel beneath lamps";

#[tokio::test]
async fn no_secret_is_in_any_line_of_the_log() {
    let world = World::with(|service| service.env("LOG", "trace").env("LOG_ACCESS", "all")).await;
    let mut secrets = vec![ADA.to_owned(), "sentinel".to_owned(), SECRET.to_owned(), NEW.to_owned()];
    secrets.extend(signing(&world).await);
    secrets.extend(services(&world).await);
    mistakes(&world).await;
    world.letters_are_out().await;

    let log = world.service.terminate().await.output;
    assert!(log.lines().count() > 100, "it was told to write a lot:\n{log}");
    for secret in secrets {
        let line = log.lines().find(|line| line.to_lowercase().contains(&secret.to_lowercase()));
        assert_eq!(line, None, "holds {secret:?}");
    }
}

/// PostgreSQL writes a violation of a rule into its log, with the values that broke it.
#[tokio::test]
async fn no_address_is_in_any_line_of_the_databases_log() {
    let postgres = PrivatePostgres::start().await.unwrap();
    let db = TestDb::on(postgres.server(), UserManagement::schema()).await;
    let world = World::on(db, |program| program).await;
    signing(&world).await;
    services(&world).await;
    mistakes(&world).await;
    // Somebody moves to an address that has been verified by another meanwhile.
    let taken = format!("late.{ADA}");
    let mover = world.person(Role::Customer).await;
    let moving = json!({ "email": taken, "password": PASSWORD });
    mover.client.post("/users/me/email").json(&moving).send().await.expect(202);
    let move_it = world.mailed_token(&taken, "Verify your new e-mail address").await;
    world.sign_up(&taken).await;
    world.verify(&move_it).await.expect_problem(Code::AlreadyExists);
    world.letters_are_out().await;
    let log = std::fs::read_to_string(postgres.log()).unwrap();
    assert!(log.contains("database system is ready"), "{log}");
    let line = log.lines().find(|line| line.contains("sentinel") || line.contains("shop.example"));
    assert_eq!(line, None);
}

/// Through every flow of a person; all secrets that were met on the way.
async fn signing(world: &World) -> Vec<String> {
    world.register(ADA, SECRET).await.expect(202);
    let verify = world.mailed_token(ADA, "Verify your e-mail address").await;
    world.verify(&verify).await.expect(204);
    world.try_login(ADA, NEW).await.expect(401);
    let first: Tokens = world.login(ADA).await;
    let second: Tokens = world.refresh(&first.refresh_token).await.expect(200).json();
    world.age("UPDATE refresh_tokens SET used_at = used_at - interval '11 seconds'").await;
    let third: Tokens = world.login(ADA).await;
    let me = world.anonymous().with_token(&third.access_token);
    let seed: TotpStarted =
        me.post("/users/me/totp").json(&json!({ "password": SECRET })).send().await.expect(200).json();
    world.refresh(&first.refresh_token).await.expect(401);
    world.age("UPDATE totp SET confirmed_at = now()").await;
    let code = crate::second_factor::code(&crate::second_factor::seed(&seed.secret), 0);
    let renew = json!({ "password": SECRET, "code": code });
    let codes = me.post("/users/me/recovery-codes").json(&renew).send().await.expect(200);
    let codes: RecoveryCodes = codes.json();
    let body = json!({ "email": ADA, "password": SECRET, "recovery_code": codes.recovery_codes[0] });
    world.login_with(body).await.expect(200);
    me.post("/users/me/email")
        .json(&json!({ "email": format!("new.{ADA}"), "password": SECRET, "code": codes.recovery_codes[1] }))
        .send()
        .await
        .expect(202);
    let moved = world.mailed_token(&format!("new.{ADA}"), "Verify your new e-mail address").await;
    rest_of_the_day(&me, &code, &codes.recovery_codes[2]).await;
    world.forgot(ADA).await.expect(202);
    let reset = world.mailed_token(ADA, "Set a new password").await;
    world.reset(&reset, NEW).await.expect(204);
    world.verify(&moved).await.expect(422);
    let mut met = vec![verify, reset, moved, seed.secret];
    met.extend(codes.recovery_codes);
    for tokens in [first, second, third] {
        // The signature alone: a logged prefix of header and claims would be no secret, but this would.
        met.extend(tokens.access_token.rsplit('.').next().map(str::to_owned));
        met.push(tokens.refresh_token);
    }
    met
}

/// What a person does with the account, and how they part with it; the last is taken back with a wrong password.
async fn rest_of_the_day(me: &Client, used_code: &str, good_code: &str) {
    let name = json!({ "display_name": "Sentinel", "phone": "+442079460018" });
    me.patch("/users/me").if_match("*").json(&name).send().await.expect(200);
    let home =
        json!({ "recipient": "Sentinel", "line1": "1 Sentinel Square", "city": "London", "country": "GB" });
    me.post("/users/me/addresses").json(&home).send().await.expect(201);
    me.get("/users/me/addresses").send().await.expect(200);
    me.get("/users/me/sessions").send().await.expect(200);
    me.get("/users/me/export").send().await.expect(200);
    let both = json!({ "password": SECRET, "code": used_code });
    me.delete("/users/me/totp").json(&both).send().await.expect(401);
    let change = json!({ "current_password": SECRET, "new_password": SECRET, "code": good_code });
    me.post("/users/me/password").json(&change).send().await.expect(204);
    me.delete("/users/me").json(&json!({ "password": NEW })).send().await.expect(401);
}

async fn services(world: &World) -> Vec<String> {
    let admin = world.person(Role::Admin).await;
    let made: Value =
        admin.client.post("/clients").json(&json!({ "name": "orders" })).send().await.expect(201).json();
    let (id, secret) =
        (made["client_id"].as_str().unwrap(), made["client_secret"].as_str().unwrap().to_owned());
    let form = format!("grant_type=client_credentials&client_id={id}&client_secret={secret}");
    let token =
        world.anonymous().post("/auth/token").body("application/x-www-form-urlencoded", form).send().await;
    let token: ServiceToken = token.expect(200).json();
    admin.client.get(&format!("/users?q={ADA}")).send().await.expect(200);
    vec![secret, token.access_token.rsplit('.').next().unwrap().to_owned()]
}

/// Secrets where they do not belong.
async fn mistakes(world: &World) {
    let anonymous = world.anonymous();
    anonymous
        .post("/auth/login")
        .json(&json!({ "email": ADA, "password": SECRET, SECRET: 1 }))
        .send()
        .await
        .expect(422);
    anonymous.post("/auth/login").json(&json!({ "email": 7, "password": SECRET })).send().await.expect(422);
    anonymous
        .post("/auth/login")
        .body("application/json", format!("{{\"password\": \"{SECRET}\""))
        .send()
        .await
        .expect(400);
    anonymous.get("/users/me?token=sentinel").send().await.expect(401);
    anonymous.get("/nowhere/sentinel").send().await.expect(404);
    anonymous.with_token("sentinel.sentinel.sentinel").get("/users/me").send().await.expect(401);
    anonymous
        .get("/users/me")
        .header("user-agent", "sentinel")
        .header("cookie", "sentinel=1")
        .send()
        .await
        .expect(401);
    let traced =
        anonymous.get("/users/me").header("traceparent", "sentinel").header("x-request-id", "sentinel");
    traced.send().await.expect(401);
}
