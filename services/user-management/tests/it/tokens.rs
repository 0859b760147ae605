//! Forged, stale and foreign access tokens on a real endpoint: each is refused, and for its own flaw.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use serde_json::{Value, json};
use shop_api::{Code, Role};
use shop_test::Answer;
use time::OffsetDateTime;
use user_management::keys::{SigningKeys, folder};

use crate::world::{Person, World};

struct Forge {
    world: World,
    ada: Person,
    pem: Vec<u8>,
    kid: String,
}

impl Forge {
    async fn new() -> Self {
        let world = World::start().await;
        let ada = world.person(Role::Customer).await;
        let path = folder::path(&world.keys_dir(), folder::Role::Current);
        let kid = SigningKeys::open(world.keys_dir()).unwrap().jwks().keys[0].kid.clone();
        Self { ada, pem: std::fs::read(path).unwrap(), kid, world }
    }

    /// Claims that are good in every way.
    fn claims(&self) -> Value {
        let now = OffsetDateTime::now_utc().unix_timestamp();
        json!({
            "iss": "https://shop.example", "aud": "shop", "sub": self.ada.id, "sid": self.ada.session,
            "roles": ["customer"], "iat": now, "nbf": now, "exp": now + 900, "jti": uuid::Uuid::now_v7(),
        })
    }

    fn header(&self) -> Header {
        Header {
            typ: Some("at+jwt".to_owned()),
            kid: Some(self.kid.clone()),
            ..Header::new(Algorithm::EdDSA)
        }
    }

    fn sign(&self, header: &Header, claims: &Value) -> String {
        jsonwebtoken::encode(header, claims, &EncodingKey::from_ed_pem(&self.pem).unwrap()).unwrap()
    }

    /// Signed with the right key after one claim was changed; `null` takes it out.
    fn with(&self, claim: &str, value: Value) -> String {
        let mut claims = self.claims();
        if value.is_null() {
            claims.as_object_mut().unwrap().remove(claim);
        } else {
            claims[claim] = value;
        }
        self.sign(&self.header(), &claims)
    }

    async fn present(&self, token: &str) -> Answer {
        self.world.anonymous().with_token(token).get("/users/me").send().await
    }

    async fn refused(&self, token: &str) {
        self.present(token).await.expect_problem(Code::InvalidToken);
    }
}

fn part(value: &Value) -> String {
    URL_SAFE_NO_PAD.encode(value.to_string())
}

#[tokio::test]
async fn the_forge_itself_makes_good_tokens() {
    let forge = Forge::new().await;
    let token = forge.sign(&forge.header(), &forge.claims());
    forge.present(&token).await.expect(200);
}

#[tokio::test]
async fn a_token_without_a_signature_is_refused() {
    let forge = Forge::new().await;
    for alg in ["none", "None", "NONE", "nOnE"] {
        let header = json!({ "alg": alg, "typ": "at+jwt", "kid": forge.kid });
        forge.refused(&format!("{}.{}.", part(&header), part(&forge.claims()))).await;
    }
    let good = forge.sign(&forge.header(), &forge.claims());
    let unsigned = good.rsplit_once('.').unwrap().0;
    forge.refused(&format!("{unsigned}.")).await;
    forge.refused(unsigned).await;
}

#[tokio::test]
async fn the_algorithm_is_not_taken_from_the_token() {
    let forge = Forge::new().await;
    let jwks = SigningKeys::open(forge.world.keys_dir()).unwrap().jwks();
    let public = URL_SAFE_NO_PAD.decode(&jwks.keys[0].x).unwrap();
    for secret in [public.as_slice(), jwks.keys[0].x.as_bytes()] {
        let header = Header { alg: Algorithm::HS256, ..forge.header() };
        let token =
            jsonwebtoken::encode(&header, &forge.claims(), &EncodingKey::from_secret(secret)).unwrap();
        forge.refused(&token).await;
    }
}

#[tokio::test]
async fn another_key_and_an_unknown_one_are_refused() {
    let forge = Forge::new().await;
    let elsewhere = tempfile::tempdir().unwrap();
    folder::init(elsewhere.path()).unwrap();
    let foreign = std::fs::read(folder::path(elsewhere.path(), folder::Role::Current)).unwrap();
    let foreign = EncodingKey::from_ed_pem(&foreign).unwrap();
    let theirs = SigningKeys::open(elsewhere.path()).unwrap().jwks().keys[0].kid.clone();
    for kid in [Some(forge.kid.clone()), Some(theirs), Some("../../current".to_owned()), None] {
        let header = Header { kid, ..forge.header() };
        forge.refused(&jsonwebtoken::encode(&header, &forge.claims(), &foreign).unwrap()).await;
    }
}

#[tokio::test]
async fn a_changed_token_is_refused() {
    let forge = Forge::new().await;
    let good = forge.sign(&forge.header(), &forge.claims());
    let [header, _, signature] = good.split('.').collect::<Vec<_>>().try_into().unwrap();
    let mut claims = forge.claims();
    claims["roles"] = json!(["admin"]);
    forge.refused(&format!("{header}.{}.{signature}", part(&claims))).await;
}

#[tokio::test]
async fn a_foreign_issuer_is_refused() {
    let forge = Forge::new().await;
    forge.refused(&forge.with("iss", json!("https://evil.example"))).await;
    forge.refused(&forge.with("iss", Value::Null)).await;
}

#[tokio::test]
async fn a_foreign_audience_is_refused() {
    let forge = Forge::new().await;
    forge.refused(&forge.with("aud", json!("another-shop"))).await;
    forge.refused(&forge.with("aud", Value::Null)).await;
    forge.present(&forge.with("aud", json!(["another-shop", "shop"]))).await.expect(200);
}

#[tokio::test]
async fn an_expired_token_is_refused_also_after_it_was_seen_alive() {
    let forge = Forge::new().await;
    let now = OffsetDateTime::now_utc().unix_timestamp();
    forge.refused(&forge.with("exp", json!(now - 6))).await;
    forge.refused(&forge.with("exp", Value::Null)).await;
    // Within the five seconds that clocks may differ it is good; then its time is up, though it is remembered.
    let dying = forge.with("exp", json!(now - 3));
    forge.present(&dying).await.expect(200);
    shop_test::until("the remembered token is refused", || async {
        let answer = forge.present(&dying).await;
        answer.status.as_u16() == 401 && answer.text().contains("\"invalid_token\"")
    })
    .await;
}

#[tokio::test]
async fn a_token_of_the_future_is_refused() {
    let forge = Forge::new().await;
    let now = OffsetDateTime::now_utc().unix_timestamp();
    forge.refused(&forge.with("nbf", json!(now + 60))).await;
    forge.refused(&forge.with("nbf", Value::Null)).await;
}

#[tokio::test]
async fn another_kind_of_token_is_refused() {
    let forge = Forge::new().await;
    for typ in [Some("JWT"), Some("id+jwt"), None] {
        let header = Header { typ: typ.map(str::to_owned), ..forge.header() };
        forge.refused(&forge.sign(&header, &forge.claims())).await;
    }
}

#[tokio::test]
async fn a_session_of_somebody_else_is_refused() {
    let forge = Forge::new().await;
    let eve = forge.world.person(Role::Customer).await;
    let token = forge.with("sub", json!(eve.id));
    forge.present(&token).await.expect_problem(Code::SessionEnded);
    let token = forge.with("sid", json!(uuid::Uuid::now_v7()));
    forge.present(&token).await.expect_problem(Code::SessionEnded);
}

/// A token that says more than the account has: the database decides here.
#[tokio::test]
async fn roles_in_the_token_do_not_count_here() {
    let forge = Forge::new().await;
    let token = forge.with("roles", json!(["admin"]));
    let answer = forge.world.anonymous().with_token(&token).get("/users").send().await;
    answer.expect_problem(Code::Forbidden);
}

#[tokio::test]
async fn what_is_no_token_at_all_is_refused() {
    let forge = Forge::new().await;
    for text in ["x", "a.b.c", "....", &"A".repeat(5000), "e30.e30.e30"] {
        forge.refused(text).await;
    }
    let two = forge.world.anonymous().get("/users/me").header("authorization", "Basic YTpi").send().await;
    two.expect_problem(Code::Unauthenticated);
    forge.world.anonymous().get("/users/me").send().await.expect_problem(Code::Unauthenticated);
}
