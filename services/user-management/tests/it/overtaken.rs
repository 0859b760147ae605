//! What somebody asked for who knew the password does not happen once that knowledge is over: the owner set another
//! one, ended the session or moved to another mailbox while it was under way.

use serde_json::{Value, json};
use shop_api::{Code, Role, UserId};
use shop_test::Answer;
use sqlx::PgExecutor;
use user_management::db::profile;
use user_management::db::sessions::{self, Ended};
use user_management::db::tokens::{self, Purpose};
use user_management::domain::token::Token;

use crate::visitor::SECRET;
use crate::world::{PASSWORD, Person, World};

const ADA: &str = "ada@shop.example";
const NEW: &str = "ada.king@shop.example";
const RESET: &str = "Set a new password";
const FRESH: &str = "a fresh one for the harbour";
const THIEF: &str = "thief@shop.example";

const END_SESSIONS: &str =
    "UPDATE sessions SET revoked_at = now(), revoke_reason = 'revoked' WHERE user_id = $1";

/// Everything that asks for the password again.
const ASKING: [(&str, &str); 6] = [
    ("POST", "/users/me/password"),
    ("POST", "/users/me/email"),
    ("DELETE", "/users/me"),
    ("POST", "/users/me/totp"),
    ("DELETE", "/users/me/totp"),
    ("POST", "/users/me/recovery-codes"),
];

async fn ask(who: &Person, (method, path): (&str, &str), password: &str) -> Answer {
    let body: Value = match path {
        "/users/me/password" => json!({ "current_password": password, "new_password": FRESH }),
        "/users/me/email" => json!({ "password": password, "email": THIEF }),
        "/users/me/totp" if method == "DELETE" => json!({ "password": password, "code": "123456" }),
        "/users/me/recovery-codes" => json!({ "password": password, "code": "123456" }),
        _ => json!({ "password": password }),
    };
    let request = if method == "POST" { who.client.post(path) } else { who.client.delete(path) };
    request.json(&body).send().await
}

/// What the rows of the account say, its sessions and its second factor included.
async fn state(db: impl PgExecutor<'_>, who: &Person) -> String {
    sqlx::query_scalar(
        "SELECT concat_ws(' ', u, t, (SELECT count(*) FROM recovery_codes), (SELECT count(*) FROM sessions))
         FROM users u LEFT JOIN totp t ON t.user_id = u.id WHERE u.id = $1",
    )
    .bind(who.id)
    .fetch_one(db)
    .await
    .unwrap()
}

/// The answer to a request that has come as far as the account when `statement` is committed under its hands, and what
/// the account's rows said with that commit.
async fn overtaken(
    world: &World,
    who: &Person,
    statement: &'static str,
    request: impl Future<Output = Answer>,
) -> (Answer, String) {
    let mut tx = world.db.pool().begin().await.unwrap();
    let hold = "SELECT FROM users WHERE id = $1 FOR UPDATE";
    sqlx::query(hold).bind(who.id).execute(&mut *tx).await.unwrap();
    futures::join!(request, async {
        shop_test::until("it waits for the account", || async { world.somebody_waits().await }).await;
        sqlx::query(statement).bind(who.id).execute(&mut *tx).await.unwrap();
        let after = state(&mut *tx, who).await;
        tx.commit().await.unwrap();
        after
    })
}

/// Somebody with a second factor of which nobody knows the seed.
async fn with_factor(world: &World) -> Person {
    let ada = world.person(Role::Customer).await;
    let insert = "INSERT INTO totp (user_id, sealed_seed, confirmed_at) VALUES ($1, 'x', now())";
    sqlx::query(insert).bind(ada.id).execute(world.db.pool()).await.unwrap();
    ada
}

#[tokio::test]
async fn a_stolen_token_alone_changes_nothing_that_asks_for_the_password() {
    let world = World::start().await;
    let ada = with_factor(&world).await;
    let before = state(world.db.pool(), &ada).await;
    for asked in ASKING {
        ask(&ada, asked, "the wrong one entirely").await.expect_problem(Code::InvalidCredentials);
        assert_eq!(state(world.db.pool(), &ada).await, before, "{asked:?}");
        world.age("DELETE FROM login_backoff").await;
    }
    world.letters_are_out().await;
    assert!(world.mailbox.list().is_empty());
}

/// The password was compared, the account is held by a reset (or by who ends the session), which then commits.
#[tokio::test]
async fn a_password_that_was_right_before_a_reset_does_nothing_after_it() {
    let world = World::start().await;
    let ada = with_factor(&world).await;
    let meanwhile = [
        ("UPDATE users SET password_hash = 'another' WHERE id = $1", Code::InvalidCredentials),
        (END_SESSIONS, Code::SessionEnded),
    ];
    let hash: String = sqlx::query_scalar("SELECT password_hash FROM users WHERE id = $1")
        .bind(ada.id)
        .fetch_one(world.db.pool())
        .await
        .unwrap();
    for (statement, refusal) in meanwhile {
        for asked in ASKING {
            let (answer, after) = overtaken(&world, &ada, statement, ask(&ada, asked, PASSWORD)).await;
            answer.expect_problem(refusal);
            assert_eq!(state(world.db.pool(), &ada).await, after, "{asked:?} {statement}");
            sqlx::query("UPDATE users SET password_hash = $1")
                .bind(&hash)
                .execute(world.db.pool())
                .await
                .unwrap();
            world.age("UPDATE sessions SET revoked_at = NULL, revoke_reason = NULL").await;
        }
    }
    world.letters_are_out().await;
    assert!(world.mailbox.list().is_empty());
}

#[tokio::test]
async fn a_second_factor_is_confirmed_with_the_seed_that_is_there() {
    let world = World::start().await;
    let ada = world.person(Role::Customer).await;
    let begin =
        ada.client.post("/users/me/totp").json(&json!({ "password": PASSWORD })).send().await.expect(200);
    let seed = crate::second_factor::seed(begin.json::<Value>()["secret"].as_str().unwrap());
    let code = json!({ "code": crate::second_factor::code(&seed, 0) });
    for (statement, refusal) in [
        ("UPDATE totp SET sealed_seed = 'another' WHERE user_id = $1", Code::AlreadyExists),
        (END_SESSIONS, Code::SessionEnded),
    ] {
        let sealed: Vec<u8> =
            sqlx::query_scalar("SELECT sealed_seed FROM totp").fetch_one(world.db.pool()).await.unwrap();
        let confirm = ada.client.post("/users/me/totp/confirm").json(&code).send();
        let (answer, _) = overtaken(&world, &ada, statement, confirm).await;
        answer.expect_problem(refusal);
        assert_eq!(world.count("SELECT count(*) FROM totp WHERE confirmed_at IS NOT NULL").await, 0);
        sqlx::query("UPDATE totp SET sealed_seed = $1").bind(sealed).execute(world.db.pool()).await.unwrap();
    }
}

#[tokio::test]
async fn the_old_mailbox_loses_its_links_when_the_account_moves() {
    let world = World::start().await;
    world.sign_up(ADA).await;
    let me = world.anonymous().with_token(&world.login(ADA).await.access_token);
    world.forgot(ADA).await.expect(202);
    let old = world.mailed_token(ADA, RESET).await;
    let move_to = json!({ "email": NEW, "password": SECRET });
    me.post("/users/me/email").json(&move_to).send().await.expect(202);
    let token = world.mailed_token(NEW, "Verify your new e-mail address").await;
    world.verify(&token).await.expect(204);
    world.reset(&old, FRESH).await.expect_problem(Code::TokenUnusable);
    world.try_login(NEW, SECRET).await.expect(200);
}

/// The letter to the newer address waits for its mail server: the one before has no power over the account meanwhile.
#[tokio::test]
async fn the_last_address_that_was_asked_for_counts() {
    let world = World::with(|program| program.env("SMTP_URL", "smtp://127.0.0.1:9")).await;
    let ada = world.person(Role::Customer).await;
    let token = Token::generate();
    let mut tx = world.db.pool().begin().await.unwrap();
    tokens::put(&mut tx, UserId::from(ada.id), Purpose::EmailChange, token.hash(), Some(THIEF))
        .await
        .unwrap();
    tx.commit().await.unwrap();
    let wish = json!({ "email": NEW, "password": PASSWORD });
    ada.client.post("/users/me/email").json(&wish).send().await.expect(202);
    world.verify(token.reveal()).await.expect_problem(Code::TokenUnusable);
}

/// Neither by its link, nor by a letter that is tried again.
#[tokio::test]
async fn a_new_password_ends_the_wish_for_another_address_and_every_link() {
    let world = World::start().await;
    world.sign_up(ADA).await;
    for by_reset in [true, false] {
        let old = if by_reset { SECRET } else { FRESH };
        let me = world.try_login(ADA, old).await.expect(200).json::<Value>();
        let me = world.anonymous().with_token(me["access_token"].as_str().unwrap());
        world.forgot(ADA).await.expect(202);
        let reset = world.mailed_token(ADA, RESET).await;
        let wish = json!({ "email": THIEF, "password": old });
        me.post("/users/me/email").json(&wish).send().await.expect(202);
        let moving = world.mailed_token(THIEF, "Verify your new e-mail address").await;
        assert_eq!(world.count("SELECT count(*) FROM users WHERE pending_email IS NOT NULL").await, 1);

        if by_reset {
            world.reset(&reset, FRESH).await.expect(204);
        } else {
            let change = json!({ "current_password": FRESH, "new_password": "another one for the harbour" });
            me.post("/users/me/password").json(&change).send().await.expect(204);
        }
        assert_eq!(world.count("SELECT count(*) FROM users WHERE pending_email IS NOT NULL").await, 0);
        world.verify(&moving).await.expect_problem(Code::TokenUnusable);
        world.reset(&reset, "one more for the harbour").await.expect_problem(Code::TokenUnusable);
        world.half_an_hour_passes().await;
        world.mailbox.clear().unwrap();
    }
}

/// Nothing personal is left at an account that closes while somebody writes to it.
#[tokio::test]
async fn no_address_is_written_to_an_account_that_is_no_more() {
    let world = World::start().await;
    let ada = world.person(Role::Customer).await;
    let home = json!({ "recipient": "Ada Lovelace", "line1": "1 Square", "city": "London", "country": "GB" });
    let added = ada.client.post("/users/me/addresses").json(&home).send().await.expect(201);
    let at = added.header("location").unwrap();
    let moved = json!({ "recipient": "Ada King", "line1": "2 Square", "city": "London", "country": "GB" });
    let of_addresses = "SELECT string_agg(concat_ws(' ', a), ',') FROM addresses a";
    let before: String = sqlx::query_scalar(of_addresses).fetch_one(world.db.pool()).await.unwrap();
    let disable = "UPDATE users SET status = 'disabled' WHERE id = $1";
    for statement in [disable, END_SESSIONS] {
        let add = ada.client.post("/users/me/addresses").json(&moved).send();
        let write = ada.client.put(at).if_match("*").json(&moved).send();
        let delete = ada.client.delete(at).if_match("*").send();
        for request in [
            Box::pin(add) as std::pin::Pin<Box<dyn Future<Output = Answer>>>,
            Box::pin(write),
            Box::pin(delete),
        ] {
            overtaken(&world, &ada, statement, request).await.0.expect_problem(Code::SessionEnded);
            world.age("UPDATE users SET status = 'active'").await;
            world.age("UPDATE sessions SET revoked_at = NULL, revoke_reason = NULL").await;
        }
    }
    let after: String = sqlx::query_scalar(of_addresses).fetch_one(world.db.pool()).await.unwrap();
    assert_eq!(after, before);
}

/// Whoever changes how one signs in holds the account before anything else: two who do so at once wait for each other in
/// one order, and neither is given up by the database.
#[tokio::test]
async fn the_account_is_held_before_codes_and_links() {
    let world = World::start().await;
    let ada = with_factor(&world).await;
    let code = user_management::domain::totp::RecoveryCode::generate();
    sqlx::query("INSERT INTO recovery_codes (user_id, hash) VALUES ($1, $2)")
        .bind(ada.id)
        .bind(code.hash().as_bytes())
        .execute(world.db.pool())
        .await
        .unwrap();
    let body = json!({ "email": ada.email, "password": PASSWORD, "recovery_code": code.reveal() });
    let renewed = "DELETE FROM recovery_codes WHERE user_id = $1";
    let (answer, _) = overtaken(&world, &ada, renewed, world.login_with(body)).await;
    answer.expect_problem(Code::SecondFactorRequired);

    world.forgot(&ada.email).await.expect(202);
    let token = world.mailed_token(&ada.email, RESET).await;
    let changed = "DELETE FROM mail_tokens WHERE user_id = $1";
    let (answer, _) = overtaken(&world, &ada, changed, world.reset(&token, FRESH)).await;
    answer.expect_problem(Code::TokenUnusable);
}

/// Another service would believe the old roles for a quarter of an hour: no event names a session that begins later.
#[tokio::test]
async fn who_loses_a_role_while_signing_in_signs_in_without_it() {
    let world = World::start().await;
    let admin = world.person(Role::Admin).await;
    let retired = "UPDATE users SET roles = '{customer}' WHERE id = $1";
    let login = world.try_login(&admin.email, PASSWORD);
    let (answer, _) = overtaken(&world, &admin, retired, login).await;
    assert_eq!(roles(&answer.expect(200).json()), json!(["customer"]));
}

/// What ends with the account goes in the order in which a refresh holds it: account, session, token. In two orders each
/// of them would wait for the other, and the database would give one of them up.
#[tokio::test]
async fn a_refresh_waits_for_whoever_closes_the_account() {
    let world = World::start().await;
    world.sign_up(ADA).await;
    let tokens = world.login(ADA).await;
    let ada = sqlx::query_scalar::<_, uuid::Uuid>("SELECT id FROM users").fetch_one(world.db.pool()).await;
    let ada = UserId::from(ada.unwrap());
    let mut tx = world.db.pool().begin().await.unwrap();
    sessions::revoke_all(&mut tx, ada, None, Ended::Deleted).await.unwrap();
    let (answer, ()) = futures::join!(world.refresh(&tokens.refresh_token), async {
        shop_test::until("the refresh waits", || async { world.somebody_waits().await }).await;
        profile::anonymise(&mut tx, ada).await.expect("nobody is given up");
        tx.commit().await.unwrap();
    });
    answer.expect_problem(Code::InvalidToken);
}

/// The same for whoever refreshes: the new access token must not say what is over.
#[tokio::test]
async fn who_loses_a_role_while_refreshing_goes_on_without_it() {
    let world = World::start().await;
    let admin = world.person(Role::Admin).await;
    let tokens: Value = world.try_login(&admin.email, PASSWORD).await.expect(200).json();
    assert_eq!(roles(&tokens), json!(["customer", "admin"]));
    let retired = "UPDATE users SET roles = '{customer}' WHERE id = $1";
    let refresh = world.refresh(tokens["refresh_token"].as_str().unwrap());
    let (answer, _) = overtaken(&world, &admin, retired, refresh).await;
    assert_eq!(roles(&answer.expect(200).json()), json!(["customer"]));
}

/// What the access token of an answer says of its bearer.
fn roles(tokens: &Value) -> Value {
    use base64::Engine as _;
    let payload = tokens["access_token"].as_str().unwrap().split('.').nth(1).unwrap();
    let payload = base64::engine::general_purpose::URL_SAFE_NO_PAD.decode(payload).unwrap();
    serde_json::from_slice::<Value>(&payload).unwrap()["roles"].take()
}

/// The second finds the address taken, instead of running into the rule that it is somebody's.
#[tokio::test]
async fn of_two_accounts_that_move_to_one_address_one_gets_it() {
    let world = World::start().await;
    let (ada, eve) = (world.person(Role::Customer).await, world.person(Role::Customer).await);
    // An index that is written before that of the addresses holds a row between the two.
    let held = "CREATE FUNCTION held(id uuid) RETURNS uuid IMMUTABLE LANGUAGE plpgsql AS
                    $$ BEGIN PERFORM pg_advisory_xact_lock_shared(1); RETURN id; END $$;
                ALTER TABLE users DROP CONSTRAINT users_email_key;
                CREATE INDEX held ON users (held(id));
                ALTER TABLE users ADD CONSTRAINT users_email_key UNIQUE (email)";
    sqlx::raw_sql(held).execute(world.db.pool()).await.unwrap();
    let (mut tx, mut links) = (world.db.pool().begin().await.unwrap(), Vec::new());
    for who in [&ada, &eve] {
        let link = Token::generate();
        let to = Some("free@shop.example");
        tokens::put(&mut tx, who.id.into(), Purpose::EmailChange, link.hash(), to).await.unwrap();
        links.push(link);
    }
    tx.commit().await.unwrap();

    let mut tx = world.db.pool().begin().await.unwrap();
    sqlx::query("SELECT pg_advisory_xact_lock(1)").execute(&mut *tx).await.unwrap();
    let both_wait = "SELECT count(*) FROM pg_locks JOIN pg_stat_activity a USING (pid)
                     WHERE NOT granted AND a.datname = current_database()";
    let (one, other, ()) =
        futures::join!(world.verify(links[0].reveal()), world.verify(links[1].reveal()), async {
            shop_test::until("both wait", || async { world.count(both_wait).await == 2 }).await;
            tx.commit().await.unwrap();
        });
    let (moved, told) = if one.status.is_success() { (one, other) } else { (other, one) };
    moved.expect(204);
    told.expect_problem(Code::AlreadyExists);
}
