//! Typed HTTP clients of the services, with a deadline, retries and decoded problems.
//! It decides nothing about what an answer means, keeps nothing on disk, and never logs a token.

mod call;
mod error;
mod events;
mod retry;
mod token;
pub mod users;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use reqwest::{Method, redirect};
use url::{Host, Url};

pub use call::Call;
pub use error::{ClientError, Result};
pub use token::{Anonymous, ClientCredentials, Fixed, TokenSource};

/// How a client behaves. The defaults suit a call made while somebody waits.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Limit of one call with all its retries and pauses.
    pub deadline: Duration,
    /// Tries after the first one.
    pub retries: u32,
    /// PEM of the authorities that may sign the server's certificate, instead of the system's.
    pub authorities: Option<Vec<u8>>,
    /// Gives the `traceparent` of the work on whose behalf a call is made; without one a call starts a trace.
    pub traceparent: fn() -> Option<String>,
}

impl Default for Settings {
    fn default() -> Self {
        Self { deadline: Duration::from_secs(10), retries: 3, authorities: None, traceparent: || None }
    }
}

/// A client of one service. Cheap to clone; clones share their connections.
#[derive(Clone)]
pub struct Client {
    http: reqwest::Client,
    base: Url,
    tokens: Arc<dyn TokenSource>,
    settings: Arc<Settings>,
}

impl Client {
    /// A client of the service at `base_url`, with the default settings.
    ///
    /// # Errors
    /// As [`Client::with`].
    pub fn new(base_url: &str, tokens: impl TokenSource) -> Result<Self> {
        Self::with(base_url, tokens, Settings::default())
    }

    /// A client of the service at `base_url`.
    ///
    /// # Errors
    /// When the URL is not `https`, or plain `http` to this machine; when the authorities are no PEM.
    pub fn with(base_url: &str, tokens: impl TokenSource, settings: Settings) -> Result<Self> {
        let base = base(base_url)?;
        let mut http = reqwest::Client::builder()
            .user_agent(concat!("shop-client/", env!("CARGO_PKG_VERSION")))
            .connect_timeout(Duration::from_secs(2).min(settings.deadline))
            // A redirect would take the token to a place that nobody configured.
            .redirect(redirect::Policy::none())
            .tcp_nodelay(true);
        if is_loopback(&base) {
            http = http.no_proxy();
        }
        if let Some(pem) = &settings.authorities {
            http =
                http.tls_certs_only(reqwest::Certificate::from_pem_bundle(pem).map_err(ClientError::Setup)?);
        }
        let http = http.build().map_err(ClientError::Setup)?;
        Ok(Self { http, base, tokens: Arc::new(tokens), settings: Arc::new(settings) })
    }

    /// The same connections with other tokens.
    #[must_use]
    pub fn with_tokens(&self, tokens: impl TokenSource) -> Self {
        Self { tokens: Arc::new(tokens), ..self.clone() }
    }

    /// Where the service is.
    pub fn base_url(&self) -> &Url {
        &self.base
    }

    /// A call to build and send. `path` starts with a slash; ids in it are already encoded.
    pub fn call(&self, method: Method, path: &str) -> Call<'_> {
        Call::new(self, method, path)
    }

    /// `GET`.
    pub fn get(&self, path: &str) -> Call<'_> {
        self.call(Method::GET, path)
    }

    /// `POST`.
    pub fn post(&self, path: &str) -> Call<'_> {
        self.call(Method::POST, path)
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client").field("base", &self.base.as_str()).finish_non_exhaustive()
    }
}

fn base(text: &str) -> Result<Url> {
    let refuse = |why| ClientError::BaseUrl { url: text.to_owned(), why };
    let mut url = Url::parse(text).map_err(|_| refuse("it is no URL"))?;
    match url.scheme() {
        _ if !url.username().is_empty() || url.password().is_some() => {
            return Err(refuse("it holds credentials"));
        }
        _ if url.query().is_some() || url.fragment().is_some() => {
            return Err(refuse("it has a query or a fragment"));
        }
        "https" => {}
        "http" if is_loopback(&url) => {}
        "http" => return Err(refuse("plain http is for this machine only; use https")),
        _ => return Err(refuse("the scheme must be https")),
    }
    let path = url.path().trim_end_matches('/').to_owned();
    url.set_path(&path);
    Ok(url)
}

fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(ip)) => ip.is_loopback(),
        Some(Host::Ipv6(ip)) => ip.is_loopback(),
        None => false,
    }
}
