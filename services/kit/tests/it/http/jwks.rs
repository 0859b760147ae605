//! Following an issuer's keys: rotation, floods of invented key ids, an issuer that is away.
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use axum::Router;
use axum::routing::get;
use serde_json::{Value, json};
use shop_api::Code;
use shop_kit::{JwksClient, KeySource, Verifier};
use tokio::net::TcpListener;
use tokio::sync::RwLock;

use super::tokens::{AUDIENCE, ISSUER, Signer, good};

/// Longer than any of these tests takes.
const LONG: Duration = Duration::from_secs(3600);

/// An issuer whose keys, and health, a test decides on.
struct Issuer {
    url: url::Url,
    keys: Arc<RwLock<Value>>,
    away: Arc<AtomicBool>,
    asked: Arc<AtomicUsize>,
}

impl Issuer {
    async fn with(signers: &[&Signer]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/jwks", listener.local_addr().unwrap()).parse().unwrap();
        let keys = Arc::new(RwLock::new(set(signers)));
        let (away, asked) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
        let (theirs, down, count) = (Arc::clone(&keys), Arc::clone(&away), Arc::clone(&asked));
        let answer = async move || {
            count.fetch_add(1, Ordering::SeqCst);
            let status = if down.load(Ordering::SeqCst) { 500 } else { 200 };
            (http::StatusCode::from_u16(status).unwrap(), theirs.read().await.to_string())
        };
        let router = Router::new().route("/jwks", get(answer));
        tokio::spawn(async move { axum::serve(listener, router).await });
        Issuer { url, keys, away, asked }
    }

    fn client(&self, cooldown: Duration) -> JwksClient {
        JwksClient::new(reqwest::Client::new(), self.url.clone(), cooldown)
    }

    fn asked(&self) -> usize {
        self.asked.load(Ordering::SeqCst)
    }
}

fn set(signers: &[&Signer]) -> Value {
    let mut keys: Vec<_> = signers.iter().map(|signer| signer.jwk()).collect();
    // What an issuer may publish for others.
    keys.push(json!({ "kty": "RSA", "kid": "other", "n": "AQAB", "e": "AQAB" }));
    json!({ "keys": keys })
}

fn verifier(client: &JwksClient) -> Verifier {
    Verifier::new(ISSUER, AUDIENCE, Arc::new(client.clone()))
}

#[tokio::test]
async fn a_new_key_is_fetched_when_it_is_first_seen() {
    let (old, new) = (Signer::new("old"), Signer::new("new"));
    let issuer = Issuer::with(&[&old]).await;
    let verifier = verifier(&issuer.client(Duration::ZERO));
    assert!(verifier.verify(&old.sign(&good())).await.is_ok());
    *issuer.keys.write().await = set(&[&old, &new]);
    assert!(verifier.verify(&new.sign(&good())).await.is_ok());
    assert!(verifier.verify(&old.sign(&good())).await.is_ok());
}

#[tokio::test]
async fn a_flood_of_invented_keys_asks_the_issuer_once() {
    let real = Signer::new("real");
    let issuer = Issuer::with(&[&real]).await;
    let verifier = verifier(&issuer.client(LONG));
    assert!(verifier.verify(&real.sign(&good())).await.is_ok());
    let before = issuer.asked();
    let floods = (0..500).map(|_| {
        let verifier = verifier.clone();
        tokio::spawn(async move {
            verifier.verify(&Signer::new("invented").sign(&good())).await.unwrap_err().kind()
        })
    });
    for flood in floods.collect::<Vec<_>>() {
        assert_eq!(flood.await.unwrap(), Code::InvalidToken);
    }
    assert!(issuer.asked() <= before + 1, "asked {} times", issuer.asked());
    assert!(verifier.verify(&real.sign(&good())).await.is_ok());
}

/// Else a key would live on under any other name after it was withdrawn.
#[tokio::test]
async fn a_key_counts_under_its_own_id_only() {
    let real = Signer::new("real");
    let issuer = Issuer::with(&[&real]).await;
    let client = issuer.client(Duration::ZERO);
    let verifier = verifier(&client);
    assert!(verifier.verify(&real.sign(&good())).await.is_ok());
    let mut renamed = real.clone();
    renamed.kid = "invented";
    assert!(client.key(renamed.kid).await.unwrap().is_none());
    assert_eq!(verifier.verify(&renamed.sign(&good())).await.unwrap_err().kind(), Code::InvalidToken);
}

#[tokio::test]
async fn known_keys_outlive_the_issuer() {
    let (old, new) = (Signer::new("old"), Signer::new("new"));
    let issuer = Issuer::with(&[&old]).await;
    let verifier = verifier(&issuer.client(Duration::ZERO));
    assert!(verifier.verify(&old.sign(&good())).await.is_ok());
    issuer.away.store(true, Ordering::SeqCst);
    assert!(verifier.verify(&old.sign(&good())).await.is_ok());
    // Perhaps it is a good one: not the caller's fault.
    assert_eq!(verifier.verify(&new.sign(&good())).await.unwrap_err().kind(), Code::Unavailable);
    assert!(verifier.verify(&old.sign(&good())).await.is_ok());
    issuer.away.store(false, Ordering::SeqCst);
    *issuer.keys.write().await = set(&[&new]);
    assert!(verifier.verify(&new.sign(&good())).await.is_ok());
}

#[tokio::test]
async fn a_withdrawn_key_is_forgotten() {
    let (old, new) = (Signer::new("old"), Signer::new("new"));
    let issuer = Issuer::with(&[&old, &new]).await;
    let client = issuer.client(Duration::ZERO);
    let verifier = verifier(&client);
    let token = old.sign(&good());
    assert!(verifier.verify(&token).await.is_ok());
    let before = client.generation();
    *issuer.keys.write().await = set(&[&new]);
    // Any unknown key id makes it look again.
    assert_eq!(
        verifier.verify(&Signer::new("x").sign(&good())).await.unwrap_err().kind(),
        Code::InvalidToken
    );
    assert!(client.generation() > before);
    assert_eq!(verifier.verify(&token).await.unwrap_err().kind(), Code::InvalidToken);
}

#[tokio::test]
async fn an_answer_without_a_usable_key_takes_no_key_away() {
    let real = Signer::new("real");
    let issuer = Issuer::with(&[&real]).await;
    let client = issuer.client(Duration::ZERO);
    let verifier = verifier(&client);
    assert!(verifier.verify(&real.sign(&good())).await.is_ok());
    for nonsense in
        [json!({ "keys": [] }), json!("x"), json!({ "keys": [{ "kid": 7 }] }), json!("x".repeat(100_000))]
    {
        *issuer.keys.write().await = nonsense;
        assert!(client.key("unknown").await.is_err());
        assert!(client.key("real").await.unwrap().is_some());
    }
}
