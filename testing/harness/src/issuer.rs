//! Whoever issues access tokens, for tests of services that only verify them: a key of its own, published on a port of its
//! own, and people of each role by their types. Knows no account: user-management's tests make real ones.

use std::marker::PhantomData;
use std::ops::Deref;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair as _};
use axum::routing::get;
use axum::{Json, Router};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{DecodingKey, EncodingKey};
use serde_json::json;
use shop_api::{Role, Roles, SessionId};
use shop_kit::{Claims, Gate, KeyError, KeySource, Verifier};
use time::OffsetDateTime;
use tokio::task::JoinHandle;
use uuid::Uuid;

use crate::{Client, ServiceProgram};

const KID: &str = "test-issuer";
const NAME: &str = "https://issuer.test";
const AUDIENCE: &str = "shop";

/// An issuer; it ends when it is dropped.
#[derive(Debug)]
pub struct Issuer {
    key: Vec<u8>,
    /// As a JWK has it.
    public: String,
    url: String,
    serving: JoinHandle<()>,
}

impl Issuer {
    /// One whose keys can be fetched.
    pub async fn start() -> Self {
        let random = aws_lc_rs::rand::SystemRandom::new();
        let document = Ed25519KeyPair::generate_pkcs8v1(&random).expect("a key");
        let pair = Ed25519KeyPair::from_pkcs8(document.as_ref()).expect("the key just made");
        let public = URL_SAFE_NO_PAD.encode(pair.public_key());
        let jwk = json!({
            "kty": "OKP", "crv": "Ed25519", "use": "sig", "alg": "EdDSA", "kid": KID, "x": public,
        });
        let router = Router::new()
            .route("/.well-known/jwks.json", get(move || async move { Json(json!({ "keys": [jwk] })) }));
        let listener = tokio::net::TcpListener::bind(("127.0.0.1", 0)).await.expect("a port");
        let url = format!("http://{}", listener.local_addr().expect("it is bound"));
        let serving = tokio::spawn(async move {
            let ended = axum::serve(listener, router).await;
            ended.expect("the issuer serves until it is dropped");
        });
        Self { key: document.as_ref().to_vec(), public, url, serving }
    }

    /// What stands before the routes of a router in this process that believes this issuer.
    pub fn gate(&self) -> Gate {
        let key = DecodingKey::from_ed_components(&self.public).expect("the key just made");
        Gate::new(Verifier::new(NAME, AUDIENCE, Arc::new(OneKey(key))))
    }

    /// The service, believing this issuer.
    pub fn of(&self, program: ServiceProgram) -> ServiceProgram {
        program.env("ISSUER", NAME).env("AUDIENCE", AUDIENCE).env("ISSUER_URL", &self.url)
    }

    /// A token to be made: of somebody new, without a role, signed in for a quarter of an hour.
    pub fn token(&self) -> Token<'_> {
        let (life, subject) = (Duration::from_secs(900), Uuid::now_v7());
        let claims = Claims::new(NAME, AUDIENCE, subject, Roles::NONE, OffsetDateTime::now_utc(), life);
        Token { issuer: self, claims: claims.session(SessionId::new()) }
    }

    /// Somebody new of this role, who calls what `service` calls.
    pub fn sign_in<R: HasRole>(&self, service: &Client) -> As<R> {
        let mut token = self.token().role(R::ROLE);
        if R::ROLE == Role::Service {
            token = token.without_session();
        }
        let (id, session) = (token.claims.sub, token.claims.sid);
        As { id, session, client: service.with_token(token.sign()), role: PhantomData }
    }
}

impl Drop for Issuer {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

struct OneKey(DecodingKey);

#[async_trait]
impl KeySource for OneKey {
    async fn key(&self, kid: &str) -> Result<Option<DecodingKey>, KeyError> {
        Ok((kid == KID).then(|| self.0.clone()))
    }

    fn generation(&self) -> u64 {
        0
    }
}

/// A token to be made.
#[must_use]
#[derive(Debug)]
pub struct Token<'a> {
    issuer: &'a Issuer,
    claims: Claims,
}

impl Token<'_> {
    /// With one role more.
    pub fn role(mut self, role: Role) -> Self {
        self.claims.roles = self.claims.roles.with(role);
        self
    }

    /// Of this account, or of this service client.
    pub fn subject(mut self, subject: Uuid) -> Self {
        self.claims.sub = subject;
        self
    }

    /// Of this session.
    pub fn session(mut self, session: SessionId) -> Self {
        self.claims.sid = Some(session);
        self
    }

    /// Of no session, as those of services are.
    pub fn without_session(mut self) -> Self {
        self.claims.sid = None;
        self
    }

    /// Over for so long.
    pub fn expired_for(mut self, past: Duration) -> Self {
        self.claims.exp = OffsetDateTime::now_utc().unix_timestamp() - past.as_secs().cast_signed();
        self
    }

    /// For another audience.
    pub fn audience(mut self, audience: &str) -> Self {
        self.claims.aud = shop_kit::token::Audience::One(audience.to_owned());
        self
    }

    /// The token itself.
    pub fn sign(self) -> String {
        let key = EncodingKey::from_ed_der(&self.issuer.key);
        jsonwebtoken::encode(&Claims::header(KID), &self.claims, &key).expect("claims can be signed")
    }
}

/// A role as a type, so that a test that wants an administrator is handed no customer.
pub trait HasRole {
    /// Which one.
    const ROLE: Role;
}

/// Whoever shops.
#[derive(Debug, Clone, Copy)]
pub struct Customer;
/// Whoever helps.
#[derive(Debug, Clone, Copy)]
pub struct Support;
/// Whoever runs the shop.
#[derive(Debug, Clone, Copy)]
pub struct Admin;
/// Another service.
#[derive(Debug, Clone, Copy)]
pub struct Service;

impl HasRole for Customer {
    const ROLE: Role = Role::Customer;
}
impl HasRole for Support {
    const ROLE: Role = Role::Support;
}
impl HasRole for Admin {
    const ROLE: Role = Role::Admin;
}
impl HasRole for Service {
    const ROLE: Role = Role::Service;
}

/// A client that calls as somebody of a role.
#[derive(Debug, Clone)]
pub struct As<R> {
    /// The account, or the service client.
    pub id: Uuid,
    /// Of a person.
    pub session: Option<SessionId>,
    client: Client,
    role: PhantomData<R>,
}

impl<R> Deref for As<R> {
    type Target = Client;
    fn deref(&self) -> &Client {
        &self.client
    }
}
