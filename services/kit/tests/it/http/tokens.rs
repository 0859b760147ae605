//! Tokens that must not be believed, one by one, and the memory of verified ones.
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{DecodingKey, EncodingKey, Header};
use serde_json::{Value, json};
use shop_api::{Code, Role, Roles, SessionId};
use shop_kit::{Claims, Gate, KeyError, KeySource, Verifier};
use time::OffsetDateTime;
use uuid::Uuid;

pub(crate) const ISSUER: &str = "https://issuer.test";
pub(crate) const AUDIENCE: &str = "shop";

/// A signing key of a test.
#[derive(Clone)]
pub(crate) struct Signer {
    pub(crate) kid: &'static str,
    private: Vec<u8>,
    pub(crate) public: Vec<u8>,
}

impl Signer {
    pub(crate) fn new(kid: &'static str) -> Self {
        let random = aws_lc_rs::rand::SystemRandom::new();
        let document = Ed25519KeyPair::generate_pkcs8v1(&random).unwrap();
        let pair = Ed25519KeyPair::from_pkcs8(document.as_ref()).unwrap();
        Signer { kid, private: document.as_ref().to_vec(), public: pair.public_key().as_ref().to_vec() }
    }

    pub(crate) fn sign(&self, claims: &Value) -> String {
        self.sign_with(&Claims::header(self.kid), claims)
    }

    fn sign_with(&self, header: &Header, claims: &Value) -> String {
        jsonwebtoken::encode(header, claims, &EncodingKey::from_ed_der(&self.private)).unwrap()
    }

    pub(crate) fn jwk(&self) -> Value {
        let x = URL_SAFE_NO_PAD.encode(&self.public);
        json!({ "kty": "OKP", "crv": "Ed25519", "use": "sig", "alg": "EdDSA", "kid": self.kid, "x": x })
    }
}

/// Keys in memory.
struct Keys {
    known: Mutex<Vec<Signer>>,
    asked: AtomicUsize,
    generation: AtomicU64,
}

#[async_trait]
impl KeySource for Keys {
    async fn key(&self, kid: &str) -> Result<Option<DecodingKey>, KeyError> {
        self.asked.fetch_add(1, Ordering::Relaxed);
        let known = self.known.lock().unwrap();
        let signer = known.iter().find(|signer| signer.kid == kid);
        Ok(signer
            .map(|signer| DecodingKey::from_ed_components(&URL_SAFE_NO_PAD.encode(&signer.public)).unwrap()))
    }

    fn generation(&self) -> u64 {
        self.generation.load(Ordering::Relaxed)
    }
}

fn keys(signer: &Signer) -> (Arc<Keys>, Verifier) {
    let known = Mutex::new(vec![signer.clone()]);
    let keys = Arc::new(Keys { known, asked: AtomicUsize::new(0), generation: AtomicU64::new(0) });
    (Arc::clone(&keys), Verifier::new(ISSUER, AUDIENCE, keys))
}

/// The claims of somebody who is signed in.
pub(crate) fn claims(roles: &[Role]) -> Claims {
    let roles: Roles = roles.iter().copied().collect();
    let now = OffsetDateTime::now_utc();
    Claims::new(ISSUER, AUDIENCE, Uuid::now_v7(), roles, now, Duration::from_secs(900))
        .session(SessionId::new())
}

pub(crate) fn good() -> Value {
    serde_json::to_value(claims(&[Role::Customer])).unwrap()
}

/// One signer for all services of this test program.
pub(crate) fn signer() -> Signer {
    static SIGNER: std::sync::OnceLock<Signer> = std::sync::OnceLock::new();
    SIGNER.get_or_init(|| Signer::new("test")).clone()
}

pub(crate) fn gate() -> Gate {
    Gate::new(keys(&signer()).1)
}

pub(crate) fn token(roles: &[Role]) -> String {
    signer().sign(&serde_json::to_value(claims(roles)).unwrap())
}

fn with(name: &str, value: Value) -> Value {
    let mut claims = good();
    claims[name] = value;
    claims
}

fn without(name: &str) -> Value {
    let mut claims = good();
    claims.as_object_mut().unwrap().remove(name);
    claims
}

async fn refused(verifier: &Verifier, token: &str, why: &str) {
    match verifier.verify(token).await {
        Ok(caller) => panic!("{why}: believed as {caller:?}"),
        Err(error) => assert_eq!(error.kind(), Code::InvalidToken, "{why}: {error}"),
    }
}

fn now() -> i64 {
    OffsetDateTime::now_utc().unix_timestamp()
}

#[tokio::test]
async fn a_good_token_says_who_calls() {
    let signer = Signer::new("a");
    let (_, verifier) = keys(&signer);
    let claims = claims(&[Role::Customer, Role::Admin]);
    let caller = verifier.verify(&signer.sign(&serde_json::to_value(&claims).unwrap())).await.unwrap();
    assert_eq!((caller.subject, caller.session), (claims.sub, claims.sid));
    assert_eq!(caller.roles, [Role::Customer, Role::Admin].into_iter().collect());
    let several = with("aud", json!(["other", AUDIENCE]));
    assert!(verifier.verify(&signer.sign(&several)).await.is_ok());
    let future = with("roles", json!(["customer", "a-role-of-tomorrow"]));
    let roles = verifier.verify(&signer.sign(&future)).await.unwrap().roles;
    assert_eq!(roles, [Role::Customer].into_iter().collect());
}

#[tokio::test]
async fn flawed_claims_are_refused() {
    let signer = Signer::new("a");
    let (_, verifier) = keys(&signer);
    for (why, claims) in [
        ("wrong issuer", with("iss", json!("https://other.test"))),
        ("wrong audience", with("aud", json!("other"))),
        ("empty audience", with("aud", json!([]))),
        ("expired", with("exp", json!(now() - 60))),
        ("expired long ago", with("exp", json!(0))),
        ("not yet valid", with("nbf", json!(now() + 60))),
        ("no issuer", without("iss")),
        ("no audience", without("aud")),
        ("no expiry", without("exp")),
        ("no not-before", without("nbf")),
        ("no subject", without("sub")),
        ("no token id", without("jti")),
        ("no roles", without("roles")),
        ("subject is no id", with("sub", json!("admin"))),
        ("expiry is text", with("exp", json!("tomorrow"))),
    ] {
        refused(&verifier, &signer.sign(&claims), why).await;
    }
}

#[tokio::test]
async fn flawed_headers_are_refused() {
    let signer = Signer::new("a");
    let (_, verifier) = keys(&signer);
    let header = Claims::header("a");
    let changed = |change: fn(&mut Header)| {
        let mut header = header.clone();
        change(&mut header);
        header
    };
    for (why, header) in [
        ("an ID token", changed(|header| header.typ = Some("JWT".to_owned()))),
        ("no type", changed(|header| header.typ = None)),
        ("no key id", changed(|header| header.kid = None)),
        ("unknown key id", changed(|header| header.kid = Some("b".to_owned()))),
        ("a demanded extension", changed(|header| header.crit = Some(vec!["exp".to_owned()]))),
    ] {
        refused(&verifier, &signer.sign_with(&header, &good()), why).await;
    }
    let long_form = changed(|header| header.typ = Some("application/AT+JWT".to_owned()));
    assert!(verifier.verify(&signer.sign_with(&long_form, &good())).await.is_ok());
}

#[tokio::test]
async fn the_algorithm_is_never_the_tokens_choice() {
    let signer = Signer::new("a");
    let (_, verifier) = keys(&signer);
    let encode = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    for algorithm in ["none", "None", "NONE", ""] {
        let header = encode(&json!({ "alg": algorithm, "typ": "at+jwt", "kid": "a" }));
        for signature in ["", "AAAA"] {
            refused(&verifier, &format!("{header}.{}.{signature}", encode(&good())), algorithm).await;
        }
    }
    // The public key is known to all: as the secret of an HMAC it must prove nothing.
    let pem = format!(
        "-----BEGIN PUBLIC KEY-----\n{}\n-----END PUBLIC KEY-----\n",
        URL_SAFE_NO_PAD.encode(&signer.public)
    );
    for secret in
        [signer.public.clone(), URL_SAFE_NO_PAD.encode(&signer.public).into_bytes(), pem.into_bytes()]
    {
        let mut header = Claims::header("a");
        header.alg = jsonwebtoken::Algorithm::HS256;
        let token = jsonwebtoken::encode(&header, &good(), &EncodingKey::from_secret(&secret)).unwrap();
        refused(&verifier, &token, "HS256 with the public key").await;
    }
}

#[tokio::test]
async fn only_the_issuers_signature_counts() {
    let signer = Signer::new("a");
    let (_, verifier) = keys(&signer);
    refused(&verifier, &Signer::new("a").sign(&good()), "another key under the same id").await;
    let token = signer.sign(&good());
    let (head, signature) = token.rsplit_once('.').unwrap();
    let (header, _) = head.split_once('.').unwrap();
    let mut admin = good();
    admin["roles"] = json!(["admin"]);
    let other = URL_SAFE_NO_PAD.encode(admin.to_string());
    refused(&verifier, &format!("{header}.{other}.{signature}"), "other claims under a good signature").await;
    refused(&verifier, &format!("{head}."), "no signature").await;
    refused(&verifier, head, "two parts").await;
    refused(&verifier, "", "nothing").await;
    refused(&verifier, "a.b.c", "rubbish").await;
    refused(&verifier, &"a".repeat(100_000), "a megabyte of rubbish").await;
    assert!(verifier.verify(&token).await.is_ok());
}

#[tokio::test]
async fn a_remembered_token_is_not_verified_again_but_its_expiry_is_checked() {
    let signer = Signer::new("a");
    let (keys, verifier) = keys(&signer);
    // Five seconds of leeway: this one lives for one more.
    let token = signer.sign(&with("exp", json!(now() - 4)));
    assert!(verifier.verify(&token).await.is_ok());
    assert!(verifier.verify(&token).await.is_ok());
    assert!(verifier.remembered(&token).is_some());
    assert_eq!(keys.asked.load(Ordering::Relaxed), 1, "verified once");
    let mut beat = tokio::time::interval(Duration::from_millis(50));
    let expires = async {
        while verifier.verify(&token).await.is_ok() {
            beat.tick().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), expires).await.expect("the remembered token expires");
    refused(&verifier, &token, "expired while remembered").await;
    assert!(verifier.remembered(&token).is_none());
}

#[tokio::test]
async fn a_withdrawn_key_ends_the_memory_of_its_tokens() {
    let signer = Signer::new("a");
    let (keys, verifier) = keys(&signer);
    let token = signer.sign(&good());
    assert!(verifier.verify(&token).await.is_ok());
    keys.known.lock().unwrap().clear();
    keys.generation.fetch_add(1, Ordering::Relaxed);
    assert!(verifier.remembered(&token).is_none());
    refused(&verifier, &token, "its key was withdrawn").await;
}
