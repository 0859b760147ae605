//! One call: built, sent within its deadline, tried again where that does no harm, and decoded.

use std::time::Duration;

use reqwest::header::{
    ACCEPT, AUTHORIZATION, CONTENT_TYPE, ETAG, HeaderMap, HeaderName, HeaderValue, IF_MATCH,
};
use reqwest::{Method, Response, StatusCode};
use secrecy::{ExposeSecret, SecretString};
use serde::Serialize;
use serde::de::DeserializeOwned;
use shop_api::{Code, Problem};
use tokio::time::{Instant, timeout_at};
use uuid::Uuid;

use crate::error::innermost;
use crate::{Client, ClientError, Result, retry};

/// Largest answer that is read. A page of a list is far below it.
const MAX_ANSWER: usize = 16 << 20;

/// A call that is being built.
#[must_use = "a call does nothing until it is sent"]
pub struct Call<'a> {
    client: &'a Client,
    method: Method,
    url: url::Url,
    headers: HeaderMap,
    body: Option<Vec<u8>>,
    repeatable: bool,
    anonymous: bool,
    flaw: Option<String>,
}

impl<'a> Call<'a> {
    pub(crate) fn new(client: &'a Client, method: Method, path: &str) -> Self {
        let mut url = client.base.clone();
        url.set_path(&format!("{}{path}", client.base.path().trim_end_matches('/')));
        let repeatable = retry::is_idempotent(&method);
        let headers = HeaderMap::from_iter([(ACCEPT, HeaderValue::from_static("application/json"))]);
        Self { client, method, url, headers, body: None, repeatable, anonymous: false, flaw: None }
    }

    /// Adds parameters to the query; a field that is `None` is left out.
    pub fn query(mut self, parameters: &impl Serialize) -> Self {
        let parsed = serde_json::to_value(parameters);
        match parsed {
            Ok(serde_json::Value::Object(fields)) => {
                let mut pairs = self.url.query_pairs_mut();
                for (name, value) in fields.iter().filter(|(_, value)| !value.is_null()) {
                    match value {
                        serde_json::Value::String(text) => pairs.append_pair(name, text),
                        other => pairs.append_pair(name, &other.to_string()),
                    };
                }
            }
            Ok(_) => self.flaw = Some("a query must have named fields".to_owned()),
            Err(error) => self.flaw = Some(error.to_string()),
        }
        self
    }

    /// A JSON body.
    pub fn json(mut self, body: &impl Serialize) -> Self {
        match serde_json::to_vec(body) {
            Ok(bytes) => self.body = Some(bytes),
            Err(error) => self.flaw = Some(error.to_string()),
        }
        self.headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        self
    }

    /// A form, as OAuth wants it.
    pub(crate) fn form(mut self, pairs: &[(&str, &str)]) -> Self {
        let body = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(pairs).finish();
        self.body = Some(body.into_bytes());
        self.headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/x-www-form-urlencoded"));
        self
    }

    /// Names the effect, so that the call may be repeated: the service does it once.
    pub fn idempotency_key(self, key: &str) -> Self {
        self.header(HeaderName::from_static("idempotency-key"), key).repeatable()
    }

    /// Changes only the version that was read (`ETag`).
    pub fn if_match(self, etag: &str) -> Self {
        self.header(IF_MATCH, etag)
    }

    /// Sends no token.
    pub fn anonymous(mut self) -> Self {
        self.anonymous = true;
        self
    }

    pub(crate) fn repeatable(mut self) -> Self {
        self.repeatable = true;
        self
    }

    /// RFC 6749 §2.3.1: both parts are form-encoded first, as they may hold a colon.
    pub(crate) fn basic(self, user: &str, password: &str) -> Self {
        use base64::Engine;
        let encoded = |part: &str| url::form_urlencoded::byte_serialize(part.as_bytes()).collect::<String>();
        let pair = format!("{}:{}", encoded(user), encoded(password));
        let value = format!("Basic {}", base64::engine::general_purpose::STANDARD.encode(pair));
        self.header(AUTHORIZATION, &value)
    }

    fn header(mut self, name: HeaderName, value: &str) -> Self {
        match HeaderValue::from_str(value) {
            Ok(mut value) => {
                value.set_sensitive(name == AUTHORIZATION);
                self.headers.insert(name, value);
            }
            Err(_) => self.flaw = Some(format!("{name} has characters that no header may hold")),
        }
        self
    }

    /// Sends it and decodes the answer.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn send<T: DeserializeOwned>(self) -> Result<T> {
        let (_, body) = self.answer().await?;
        serde_json::from_slice(&body).map_err(|error| ClientError::Undecodable(error.to_string()))
    }

    /// Sends it and decodes the answer with its `ETag`.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn send_tagged<T: DeserializeOwned>(self) -> Result<(T, Option<String>)> {
        let (headers, body) = self.answer().await?;
        let etag = headers.get(ETAG).and_then(|tag| tag.to_str().ok()).map(str::to_owned);
        let value =
            serde_json::from_slice(&body).map_err(|error| ClientError::Undecodable(error.to_string()))?;
        Ok((value, etag))
    }

    /// Sends it; what a success says is of no interest.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn done(self) -> Result<()> {
        self.answer().await.map(drop)
    }

    async fn answer(mut self) -> Result<(HeaderMap, Vec<u8>)> {
        if let Some(flaw) = self.flaw.take() {
            return Err(ClientError::Request(flaw));
        }
        let limit = self.client.settings.deadline;
        let deadline = Instant::now() + limit;
        timeout_at(deadline, self.persist(deadline)).await.unwrap_or(Err(ClientError::Deadline(limit)))
    }

    /// Tries until an answer stands, the tries are used up, or the next pause would pass the deadline.
    async fn persist(&self, deadline: Instant) -> Result<(HeaderMap, Vec<u8>)> {
        let mut renewed = false;
        let mut tries = 0;
        loop {
            let token = if self.anonymous { None } else { self.client.tokens.token().await? };
            let failure = match self.once(token.as_ref()).await {
                Ok(answer) => return Ok(answer),
                Err(failure) => failure,
            };
            // The service refused the token before it did anything: with a new one the call may be made again.
            if let Some(token) = token.filter(|_| failure.token_refused() && !renewed) {
                renewed = true;
                if self.client.tokens.rejected(&token).await {
                    continue;
                }
            }
            let pause = failure.asked.unwrap_or_else(|| retry::pause(tries));
            let again = self.repeatable && failure.passing && tries < self.client.settings.retries;
            if !again || Instant::now() + pause >= deadline {
                return Err(failure.error);
            }
            tracing::debug!(try = tries + 1, pause_ms = pause.as_millis() as u64, error = %failure.error, "a call is tried again");
            tokio::time::sleep(pause).await;
            tries += 1;
        }
    }

    async fn once(&self, token: Option<&SecretString>) -> std::result::Result<(HeaderMap, Vec<u8>), Failure> {
        let mut request = self
            .client
            .http
            .request(self.method.clone(), self.url.clone())
            .headers(self.headers.clone())
            .header("traceparent", (self.client.settings.traceparent)().unwrap_or_else(new_trace));
        if let Some(token) = token {
            request = request.bearer_auth(token.expose_secret());
        }
        if let Some(body) = &self.body {
            request = request.body(body.clone());
        }
        let response = request.send().await.map_err(|error| self.unreachable(error))?;
        let (status, headers) = (response.status(), response.headers().clone());
        let body = self.read(response).await?;
        if status.is_success() {
            return Ok((headers, body));
        }
        Err(Failure {
            error: problem(status, &body),
            passing: retry::is_passing(status),
            asked: retry::asked_pause(&headers),
        })
    }

    async fn read(&self, mut response: Response) -> std::result::Result<Vec<u8>, Failure> {
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(|error| self.unreachable(error))? {
            if body.len() + chunk.len() > MAX_ANSWER {
                let error = ClientError::Undecodable(format!("it is larger than {MAX_ANSWER} bytes"));
                return Err(Failure { error, passing: false, asked: None });
            }
            body.extend_from_slice(&chunk);
        }
        Ok(body)
    }

    fn unreachable(&self, error: reqwest::Error) -> Failure {
        let cause = innermost(&error.without_url());
        let service = self.client.base.origin().ascii_serialization();
        Failure { error: ClientError::Unreachable { service, cause }, passing: true, asked: None }
    }
}

/// Why one try failed.
struct Failure {
    error: ClientError,
    /// The same may succeed later.
    passing: bool,
    /// The pause that the service asked for.
    asked: Option<Duration>,
}

impl Failure {
    fn token_refused(&self) -> bool {
        matches!(self.error.code(), Some(Code::InvalidToken | Code::Unauthenticated))
    }
}

fn problem(status: StatusCode, body: &[u8]) -> ClientError {
    match serde_json::from_slice::<Problem>(body) {
        Ok(problem) => ClientError::Problem(Box::new(problem)),
        Err(_) => ClientError::Unexpected(status.as_u16()),
    }
}

/// A new trace (W3C Trace Context), so that the service's log lines of this call can be found.
fn new_trace() -> String {
    let span = Uuid::now_v7().as_u64_pair().1;
    format!("00-{}-{span:016x}-01", Uuid::now_v7().simple())
}
