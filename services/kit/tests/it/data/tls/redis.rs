//! TLS to a Redis that speaks nothing else.

use shop_kit::limit::RedisConfig;
use shop_kit::{Limiter, Quota};
use shop_testbed::EncryptedRedis;
use tempfile::NamedTempFile;

use super::{Authority, Log, authority, file, issue};
use crate::data::{PATIENCE, until};

const QUOTA: Quota = Quota::new("tls", 1000, 60);

fn config(url: String, authority: &NamedTempFile, password: &NamedTempFile) -> RedisConfig {
    RedisConfig {
        redis_url: Some(url),
        redis_password_file: Some(password.path().into()),
        redis_ca_file: Some(authority.path().into()),
        redis_timeout: PATIENCE,
    }
}

struct Server {
    redis: EncryptedRedis,
    authority: Authority,
    password: NamedTempFile,
}

impl Server {
    fn start() -> Self {
        let authority = authority();
        let (certificate, key) = issue(&authority, "localhost");
        let redis = EncryptedRedis::start(&certificate, &key).unwrap();
        let password = file(redis.password());
        Self { redis, authority, password }
    }

    fn config(&self, host: &str, trusted: &Authority) -> (RedisConfig, NamedTempFile) {
        let trusted = file(&trusted.pem());
        (config(format!("rediss://{host}:{}", self.redis.port()), &trusted, &self.password), trusted)
    }

    /// The server is not used, for a reason that is logged with these words.
    async fn is_refused(&self, host: &str, trusted: &Authority, says: &str) {
        let log = Log::default();
        let _listening = log.listen();
        let (config, _file) = self.config(host, trusted);
        let limiter = Limiter::redis(&config, "refused", true).unwrap();
        until(PATIENCE, async || log.text().contains(says)).await;
        assert!(limiter.check("key", QUOTA).await.allowed, "this process limits alone");
        assert_eq!(self.redis.keys(), 0, "Redis was asked");
        assert_eq!(log.text().matches(says).count(), 1, "once, not at every try: {}", log.text());
        assert!(!log.text().contains(self.redis.password()), "{}", log.text());
    }
}

#[tokio::test]
async fn the_right_authority_and_name_are_trusted_and_no_others() {
    let server = Server::start();
    server.is_refused("localhost", &authority(), "invalid peer certificate").await;
    server.is_refused("127.0.0.1", &server.authority, "certificate not valid for name").await;

    let (config, _file) = server.config("localhost", &server.authority);
    let limiter = Limiter::redis(&config, "trusted", true).unwrap();
    until(PATIENCE, async || {
        limiter.check("key", QUOTA).await;
        server.redis.keys() == 1
    })
    .await;
}

/// A plain Redis cannot answer a greeting of TLS.
#[tokio::test]
async fn a_server_without_tls_is_refused() {
    let plain = shop_testbed::redis().await.unwrap();
    let (trusted, password) = (file(&authority().pem()), file(plain.password().unwrap_or_default()));
    let log = Log::default();
    let _listening = log.listen();
    let url = format!("rediss://localhost:{}", plain.port().unwrap());
    let limiter = Limiter::redis(&config(url, &trusted, &password), "plain", true).unwrap();
    until(PATIENCE, async || log.text().contains("Redis cannot be reached")).await;
    assert!(limiter.check("key", QUOTA).await.allowed);
}

#[tokio::test]
async fn what_would_weaken_it_is_refused_at_the_start() {
    let (trusted, password) = (file(&authority().pem()), file("x"));
    for (url, protected, says) in [
        ("redis://localhost:6379", true, "must be rediss://"),
        ("rediss://localhost:6379/#insecure", true, "verified"),
        ("rediss://localhost:6379/#insecure", false, "verified"),
        ("rediss://:hunter2@localhost:6379", true, "REDIS_PASSWORD_FILE"),
    ] {
        let refused = Limiter::redis(&config(url.into(), &trusted, &password), "x", protected).err().unwrap();
        let text = refused.to_string();
        assert!(text.contains(says) && !text.contains("hunter2"), "{url}: {text}");
    }
    let nonsense = file("no certificate");
    let refused = Limiter::redis(&config("rediss://localhost:1".into(), &nonsense, &password), "x", true);
    assert!(refused.err().unwrap().to_string().contains("REDIS_CA_FILE"), "an unusable file is named");
}
