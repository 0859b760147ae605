//! Registration and verification: the same answer for every address, and only the mailbox decides.

use serde_json::json;
use shop_api::Code;

use crate::visitor::SECRET;
use crate::world::World;

const ADA: &str = "ada@shop.example";
const VERIFY: &str = "Verify your e-mail address";
const CONTESTED: &str = "Set a password for your account";
const STRANGERS: &str = "a stranger chose this password";

#[tokio::test]
async fn a_registration_counts_when_its_mail_was_answered() {
    let world = World::start().await;
    world.register("  Ada@Shop.Example ", SECRET).await.expect(202);
    world.try_login(ADA, SECRET).await.expect_problem(Code::InvalidCredentials);
    let token = world.mailed_token(ADA, VERIFY).await;
    world.verify(&token).await.expect(204);
    let tokens = world.login(ADA).await;
    assert!(world.opens(&tokens).await);
    world.verify(&token).await.expect_problem(Code::TokenUnusable);

    let user = sqlx::query_scalar("SELECT id FROM users").fetch_one(world.db.pool()).await.unwrap();
    assert_eq!(world.events(user).await, ["user.registered", "user.verified"]);
    assert_eq!(
        world.audit(user).await,
        ["user.registration_asked", "session.refused", "user.verified", "session.started"]
    );
}

#[tokio::test]
async fn an_expired_or_replaced_verification_is_refused() {
    let world = World::start().await;
    world.register(ADA, SECRET).await.expect(202);
    let first = world.mailed_token(ADA, VERIFY).await;
    world.half_an_hour_passes().await;
    world.verify(&first).await.expect_problem(Code::TokenUnusable);

    world.mailbox.clear().unwrap();
    world.anonymous().post("/auth/verify/resend").json(&json!({ "email": ADA })).send().await.expect(202);
    let second = world.mailed_token(ADA, VERIFY).await;
    assert_ne!(first, second);
    world.verify(&first).await.expect_problem(Code::TokenUnusable);
    world.verify(&second).await.expect(204);
}

/// The owner registers and has the mail; somebody who knows the address registers it with a password of their own.
#[tokio::test]
async fn a_link_does_not_verify_the_registration_of_somebody_else() {
    let world = World::start().await;
    world.register(ADA, SECRET).await.expect(202);
    let first = world.mailed_token(ADA, VERIFY).await;
    world.register(ADA, STRANGERS).await.expect(202);
    world.verify(&first).await.expect_problem(Code::TokenUnusable);
    finish_contested(&world).await;
}

/// The other way round: the stranger was first, and goes on, and every mail that was asked for is there.
#[tokio::test]
async fn whoever_registers_how_often_the_mailbox_decides() {
    let world = World::start().await;
    world.register(ADA, STRANGERS).await.expect(202);
    world.mail(ADA, VERIFY).await;
    world.register(ADA, SECRET).await.expect(202);
    world.mail(ADA, CONTESTED).await;
    for _ in 0..3 {
        world.age("UPDATE mail_tokens SET created_at = created_at - interval '2 minutes'").await;
        world.mailbox.clear().unwrap();
        world.register(ADA, STRANGERS).await.expect(202);
        world.mail(ADA, CONTESTED).await;
    }
    // Asked for again at once, no mail comes: the link of the one before still works.
    world.register(ADA, STRANGERS).await.expect(202);
    world.anonymous().post("/auth/verify/resend").json(&json!({ "email": ADA })).send().await.expect(202);
    world.letters_are_out().await;
    assert_eq!(world.subjects(ADA), [CONTESTED]);
    finish_contested(&world).await;
}

/// The newest link sets the password that counts from then on.
async fn finish_contested(world: &World) {
    let token = world.mailed_token(ADA, CONTESTED).await;
    for given in [SECRET, STRANGERS] {
        world.try_login(ADA, given).await.expect_problem(Code::InvalidCredentials);
    }
    world.reset(&token, "the one that the owner sets").await.expect(204);
    for given in [SECRET, STRANGERS] {
        world.try_login(ADA, given).await.expect_problem(Code::InvalidCredentials);
    }
    world.try_login(ADA, "the one that the owner sets").await.expect(200);
    world.register(ADA, STRANGERS).await.expect(202);
    world.try_login(ADA, "the one that the owner sets").await.expect(200);
    let user = sqlx::query_scalar("SELECT id FROM users").fetch_one(world.db.pool()).await.unwrap();
    assert_eq!(world.events(user).await[..2], ["user.registered", "user.verified"]);
}

#[tokio::test]
async fn forgetting_the_password_ends_a_contest_too() {
    let world = World::start().await;
    world.register(ADA, STRANGERS).await.expect(202);
    world.forgot(ADA).await.expect(202);
    let token = world.mailed_token(ADA, "Set a new password").await;
    world.register(ADA, STRANGERS).await.expect(202);
    world.reset(&token, SECRET).await.expect(204);
    world.login(ADA).await;
    world.register(ADA, STRANGERS).await.expect(202);
    world.try_login(ADA, STRANGERS).await.expect_problem(Code::InvalidCredentials);
}

#[tokio::test]
async fn registering_a_taken_address_changes_nothing_and_tells_only_its_owner() {
    let world = World::start().await;
    world.sign_up(ADA).await;
    let tokens = world.login(ADA).await;
    world.register(ADA, "somebody else wants this one").await.expect(202);
    let token = world.mailed_token(ADA, "You have an account already").await;
    world.try_login(ADA, "somebody else wants this one").await.expect_problem(Code::InvalidCredentials);
    assert!(world.opens(&tokens).await);
    // The mail also helps whoever forgot.
    world.reset(&token, "a new one for the forgetful").await.expect(204);
}

#[tokio::test]
async fn a_mailbox_is_not_flooded() {
    let world = World::start().await;
    world.register(ADA, SECRET).await.expect(202);
    world.mail(ADA, VERIFY).await;
    for _ in 0..5 {
        world.register(ADA, SECRET).await.expect(202);
    }
    world.letters_are_out().await;
    assert_eq!(world.subjects(ADA), [VERIFY, CONTESTED]);
}

#[tokio::test]
async fn every_bad_field_of_a_registration_is_named() {
    let world = World::start().await;
    for (email, password) in [("ada@nowhere", "password1234"), ("a", "x"), ("", "")] {
        let problem = world.register(email, password).await.expect_problem(Code::ValidationFailed);
        let pointers: Vec<&str> = problem.errors.iter().map(|error| error.pointer.as_str()).collect();
        assert_eq!(pointers, ["/email", "/password"], "{email:?}, {password:?}");
    }
    let long =
        json!({ "email": "a".repeat(255), "password": "p".repeat(257), "display_name": "n".repeat(101) });
    let answer = world.anonymous().post("/auth/register").json(&long).send().await;
    let mut pointers = answer.expect_problem(Code::ValidationFailed).errors.into_iter().map(|e| e.pointer);
    assert!(pointers.by_ref().eq(["/email", "/display_name", "/password"]));
    let problem = world.register("lovelace@shop.example", "Lovelace-2026").await;
    assert_eq!(problem.expect_problem(Code::WeakPassword).errors[0].code, "guessable");
    let problem = world.register(ADA, "football2026").await.expect_problem(Code::WeakPassword);
    assert_eq!(problem.errors[0].code, "common");
    assert_eq!(world.count("SELECT count(*) FROM users").await, 0);
}

#[tokio::test]
async fn a_hostile_name_stays_a_name_in_the_mail() {
    let world = World::start().await;
    let name = "<img src=x onerror=alert(1)>{{ token }}";
    let body = json!({ "email": ADA, "password": SECRET, "display_name": name });
    world.anonymous().post("/auth/register").json(&body).send().await.expect(202);
    // Whoever registers writes nothing of their own into a stranger's mailbox.
    let mail = world.mail(ADA, VERIFY).await;
    assert!(!mail.text.contains("img") && !mail.html.as_ref().unwrap().contains("img"), "{}", mail.text);
    world.verify(&World::token_in(&mail)).await.expect(204);
    world.forgot(ADA).await.expect(202);
    let mail = world.mail(ADA, "Set a new password").await;
    let html = mail.html.unwrap();
    assert!(!html.contains("<img") && html.contains("&#60;img") && html.contains("{{ token }}"), "{html}");
    assert!(mail.text.contains(name), "{}", mail.text);

    let body = json!({ "email": ADA, "password": SECRET, "display_name": "Ada\r\nBcc: eve@shop.example" });
    world.anonymous().post("/auth/register").json(&body).send().await.expect_problem(Code::ValidationFailed);
}

#[tokio::test]
async fn a_new_address_is_taken_over_when_its_mail_was_answered() {
    let world = World::start().await;
    world.sign_up(ADA).await;
    let tokens = world.login(ADA).await;
    let me = world.anonymous().with_token(&tokens.access_token);
    let wanted = json!({ "email": "ada.king@shop.example", "password": SECRET });
    me.post("/users/me/email").json(&wanted).send().await.expect(202);
    // A registration of that address that nobody verified does not stand in the way.
    world.register("ada.king@shop.example", "a squatter was here before").await.expect(202);
    let token = world.mailed_token("ada.king@shop.example", "Verify your new e-mail address").await;
    world.mail(ADA, "Your e-mail address is about to change").await;
    world.login(ADA).await;
    world.verify(&token).await.expect(204);
    world.try_login(ADA, SECRET).await.expect_problem(Code::InvalidCredentials);
    world.login("ada.king@shop.example").await;
    assert!(world.opens(&tokens).await, "the session goes on");
    world.verify(&token).await.expect_problem(Code::TokenUnusable);
}

/// However long the notice takes: the mail that can take the account away waits for it.
#[tokio::test]
async fn the_owner_is_warned_before_the_new_address_has_its_mail() {
    let world = World::start().await;
    world.sign_up(ADA).await;
    for sql in [
        "CREATE FUNCTION late() RETURNS trigger LANGUAGE plpgsql AS
         $$ BEGIN NEW.due_at := now() + interval '2 seconds'; RETURN NEW; END $$",
        "CREATE TRIGGER late BEFORE INSERT ON kit.mail_queue FOR EACH ROW
         WHEN (NEW.kind = 'email_change_notice') EXECUTE FUNCTION late()",
    ] {
        sqlx::query(sql).execute(world.db.pool()).await.unwrap();
    }
    let me = world.anonymous().with_token(&world.login(ADA).await.access_token);
    let wanted = json!({ "email": "thief@shop.example", "password": SECRET });
    me.post("/users/me/email").json(&wanted).send().await.expect(202);
    let token = world.mailed_token("thief@shop.example", "Verify your new e-mail address").await;
    let warned = |mail: &shop_test::Mail| mail.is_to(ADA) && mail.subject.contains("about to change");
    assert!(world.mailbox.list().iter().any(warned), "the owner knows by now");
    world.verify(&token).await.expect(204);
}

#[tokio::test]
async fn a_password_of_composed_letters_is_let_in_as_it_was_registered() {
    let world = World::start().await;
    let of = |letter: &str| (0..30).map(|n| format!("{} {n}", letter.repeat(4))).collect::<String>();
    let (decomposed, composed) = (of("e\u{301}"), of("\u{e9}"));
    assert!(decomposed.chars().count() > 256 && composed.chars().count() < 256);
    world.register(ADA, &decomposed).await.expect(202);
    world.verify(&world.mailed_token(ADA, VERIFY).await).await.expect(204);
    world.try_login(ADA, &decomposed).await.expect(200);
    world.try_login(ADA, &composed).await.expect(200);
}

#[tokio::test]
async fn an_address_that_was_taken_meanwhile_is_not_taken_over() {
    let world = World::start().await;
    world.sign_up(ADA).await;
    let me = world.anonymous().with_token(&world.login(ADA).await.access_token);
    let wanted = json!({ "email": "eve@shop.example", "password": SECRET });
    me.post("/users/me/email").json(&wanted).send().await.expect(202);
    let token = world.mailed_token("eve@shop.example", "Verify your new e-mail address").await;
    world.sign_up("eve@shop.example").await;
    world.verify(&token).await.expect_problem(Code::AlreadyExists);
    world.login(ADA).await;
    world.login("eve@shop.example").await;
}
