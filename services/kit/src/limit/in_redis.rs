//! GCRA in Redis, shared by all replicas. The clock is Redis', so that replicas need not agree on theirs.
//!
//! A request never waits for a connection: while there is none, the caller falls back to its own limits.
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, Client, IntoConnectionInfo, Script, TlsCertificates};

use super::{Decision, Quota};
use crate::config::time_limit;
use crate::error::Chain;
use crate::tls;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(1);
const RECONNECT_FIRST: Duration = Duration::from_millis(100);
const RECONNECT_MOST: Duration = Duration::from_secs(2);

/// In microseconds, which a double holds exactly for 285 years. Answers {allowed, remaining, reset, retry after}.
const GCRA: &str = "
local interval, burst = tonumber(ARGV[1]), tonumber(ARGV[2])
local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000000 + tonumber(time[2])
local arrival = math.max(tonumber(redis.call('GET', KEYS[1])) or now, now)
local room = burst * interval
local after = arrival + interval
if after - room > now then
  return {0, math.floor((room - (arrival - now)) / interval), arrival - now, after - room - now}
end
redis.call('SET', KEYS[1], string.format('%.0f', after), 'PX', math.ceil((after - now) / 1000))
return {1, math.floor((room - (after - now)) / interval), after - now, 0}
";

/// Redis as the service is told of it.
#[derive(Debug, Clone, Default, clap::Args)]
pub struct RedisConfig {
    /// Redis for shared limits: redis://host:6379, rediss:// with TLS; no password inside
    #[arg(long, env = "REDIS_URL", hide_env_values = true, value_name = "URL")]
    pub redis_url: Option<String>,
    /// File with its password; read again at every connect
    #[arg(long, env = "REDIS_PASSWORD_FILE", value_name = "FILE")]
    pub redis_password_file: Option<PathBuf>,
    /// PEM file with the authorities that may sign its certificate
    #[arg(long, env = "REDIS_CA_FILE", value_name = "FILE")]
    pub redis_ca_file: Option<PathBuf>,
    /// Time for an answer of Redis, longer than one that is well takes; then this process decides alone
    #[arg(long, env = "REDIS_TIMEOUT_MS", default_value = "100", value_parser = time_limit, value_name = "MS")]
    pub redis_timeout: Duration,
}

/// What is wrong with the configuration of Redis.
#[derive(Debug, thiserror::Error)]
pub enum RedisConfigError {
    /// Not a URL of Redis.
    #[error("REDIS_URL is not redis://host:6379 or rediss://host:6379: {0}")]
    Malformed(String),
    /// A password in the URL would show in process lists and logs.
    #[error("REDIS_URL holds a password: put it in a file and name that file in REDIS_PASSWORD_FILE")]
    PasswordInside,
    /// A protected environment without TLS.
    #[error("REDIS_URL must be rediss:// in a protected environment")]
    Unprotected,
    /// A part of the URL that would turn the verification of certificates off.
    #[error("REDIS_URL must not end with #…: certificates are always verified")]
    Unverified,
    /// The authorities are not usable.
    #[error("REDIS_CA_FILE {path} holds no usable PEM certificate: {reason}")]
    Authorities {
        /// The file.
        path: PathBuf,
        /// Why not.
        reason: String,
    },
    /// A file that the configuration names.
    #[error("cannot read {path}: {source}")]
    File {
        /// Where it should be.
        path: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
}

#[derive(Clone)]
pub(super) struct Shared(Arc<Inner>);

struct Inner {
    url: String,
    password_file: Option<PathBuf>,
    ca_file: Option<PathBuf>,
    timeout: Duration,
    prefix: String,
    script: Script,
    connection: Mutex<Option<MultiplexedConnection>>,
    connecting: AtomicBool,
}

impl std::fmt::Debug for Shared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Shared").field("prefix", &self.0.prefix).finish_non_exhaustive()
    }
}

impl Shared {
    pub(super) fn new(config: &RedisConfig, prefix: &str, protected: bool) -> Result<Self, RedisConfigError> {
        let url = config.redis_url.clone().unwrap_or_default();
        let parsed = url::Url::parse(&url).map_err(|error| RedisConfigError::Malformed(error.to_string()))?;
        if parsed.password().is_some() {
            return Err(RedisConfigError::PasswordInside);
        }
        if parsed.fragment().is_some() {
            return Err(RedisConfigError::Unverified);
        }
        if protected && parsed.scheme() != "rediss" {
            return Err(RedisConfigError::Unprotected);
        }
        let shared = Shared(Arc::new(Inner {
            url,
            password_file: config.redis_password_file.clone(),
            ca_file: config.redis_ca_file.clone(),
            timeout: config.redis_timeout,
            prefix: format!("limit:{prefix}:"),
            script: Script::new(GCRA),
            connection: Mutex::new(None),
            connecting: AtomicBool::new(false),
        }));
        shared.client()?;
        shared.reconnect();
        Ok(shared)
    }

    /// With the files as they are now.
    fn client(&self) -> Result<Client, RedisConfigError> {
        let malformed = |error: redis::RedisError| RedisConfigError::Malformed(error.to_string());
        let mut info = self.0.url.as_str().into_connection_info().map_err(malformed)?;
        if let Some(path) = &self.0.password_file {
            let password = String::from_utf8_lossy(&read(path)?).trim_end().to_owned();
            let settings = info.redis_settings().clone().set_password(password);
            info = info.set_redis_settings(settings);
        }
        let Some(path) = &self.0.ca_file else { return Client::open(info).map_err(malformed) };
        let pem = read(path)?;
        let unusable = |reason: String| RedisConfigError::Authorities { path: path.clone(), reason };
        tls::authorities(&pem).map_err(unusable)?;
        let certificates = TlsCertificates { client_tls: None, root_cert: Some(pem) };
        Client::build_with_tls(info, certificates).map_err(|error| unusable(error.to_string()))
    }

    pub(super) async fn check(&self, key: &str, quota: Quota) -> Option<Decision> {
        let connection = self.0.connection.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let Some(mut connection) = connection else {
            metrics::counter!("rate_limit_fallback_total").increment(1);
            return None;
        };
        let mut call = self.0.script.key(format!("{}{}:{key}", self.0.prefix, quota.name));
        call.arg(quota.interval_ns() / 1000).arg(quota.burst.max(1));
        let answer =
            tokio::time::timeout(self.0.timeout, call.invoke_async::<(u8, u32, u64, u64)>(&mut connection));
        let cause = match answer.await {
            Ok(Ok((allowed, remaining, reset, retry_after))) => {
                return Some(Decision {
                    allowed: allowed == 1,
                    remaining,
                    reset: Duration::from_micros(reset),
                    retry_after: Duration::from_micros(retry_after),
                });
            }
            Ok(Err(error)) => error.to_string(),
            Err(_) => "no answer in time".to_owned(),
        };
        metrics::counter!("rate_limit_fallback_total").increment(1);
        tracing::warn!(
            error.message = cause,
            "Redis does not answer: limits are those of this process for now"
        );
        *self.0.connection.lock().unwrap_or_else(PoisonError::into_inner) = None;
        self.reconnect();
        None
    }

    /// One task at a time tries until it has a connection or the limiter is gone.
    fn reconnect(&self) {
        metrics::gauge!("dependency_up", "dependency" => "redis").set(0.0);
        if self.0.connecting.swap(true, Ordering::AcqRel) {
            return;
        }
        let weak = Arc::downgrade(&self.0);
        tokio::spawn(async move {
            let mut pause = RECONNECT_FIRST;
            let mut said = String::new();
            while let Some(inner) = weak.upgrade() {
                let shared = Shared(inner);
                let connected = shared.connect().await;
                if let Err(cause) = &connected
                    && *cause != said
                {
                    // Once for each cause: it is tried every other second.
                    tracing::warn!(error.message = cause, "Redis cannot be reached");
                    said.clone_from(cause);
                }
                if let Ok(connection) = connected {
                    *shared.0.connection.lock().unwrap_or_else(PoisonError::into_inner) = Some(connection);
                    shared.0.connecting.store(false, Ordering::Release);
                    metrics::gauge!("dependency_up", "dependency" => "redis").set(1.0);
                    return;
                }
                drop(shared);
                tokio::time::sleep(pause).await;
                pause = (pause * 2).min(RECONNECT_MOST);
            }
        });
    }

    async fn connect(&self) -> Result<MultiplexedConnection, String> {
        let client = self.client().map_err(|error| error.to_string())?;
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(CONNECT_TIMEOUT))
            .set_response_timeout(Some(self.0.timeout));
        let connected = client.get_multiplexed_async_connection_with_config(&config).await;
        connected.map_err(|error| Chain(&error).to_string())
    }
}

fn read(path: &Path) -> Result<Vec<u8>, RedisConfigError> {
    crate::config::read_file(path).map_err(|source| RedisConfigError::File { path: path.to_owned(), source })
}
