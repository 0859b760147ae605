//! The way to Elasticsearch, for a service that searches with it: one HTTP client, its certificates verified in full.
//! What is asked is the service's business. Without ELASTICSEARCH_URL the service searches in PostgreSQL.

use std::path::PathBuf;
use std::time::Duration;

use http::Method;
use url::Url;

use crate::config::read_text;
use crate::db::decoded;
use crate::tls;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(1);

/// Longer than a search that is well takes, and well below the deadline of a request.
const TIMEOUT: Duration = Duration::from_secs(5);

/// Elasticsearch as the service is told of it.
#[derive(Debug, Clone, Default, clap::Args)]
pub struct SearchConfig {
    /// Elasticsearch: http://host:9200, https:// with TLS, a user before the @ if it wants one; no password inside
    #[arg(long, env = "ELASTICSEARCH_URL", hide_env_values = true, value_name = "URL")]
    pub elasticsearch_url: Option<String>,
    /// File with the user's password; read again at every call
    #[arg(long, env = "ELASTICSEARCH_PASSWORD_FILE", value_name = "FILE")]
    pub elasticsearch_password_file: Option<PathBuf>,
    /// PEM file with the authorities that may sign its certificate; the system's when not given
    #[arg(long, env = "ELASTICSEARCH_CA_FILE", value_name = "FILE")]
    pub elasticsearch_ca_file: Option<PathBuf>,
}

/// What is wrong with the configuration of Elasticsearch.
#[derive(Debug, thiserror::Error)]
pub enum SearchConfigError {
    /// Not a URL of it.
    #[error("ELASTICSEARCH_URL is not http://host:9200 or https://host:9200")]
    Malformed,
    /// A password in the URL would show in process lists and logs.
    #[error(
        "ELASTICSEARCH_URL holds a password: put it in a file and name that file in ELASTICSEARCH_PASSWORD_FILE"
    )]
    PasswordInside,
    /// A user who could not prove it.
    #[error(
        "ELASTICSEARCH_URL names a user: name the file with their password in ELASTICSEARCH_PASSWORD_FILE"
    )]
    NoPassword,
    /// A protected environment without TLS.
    #[error("ELASTICSEARCH_URL must be https:// in a protected environment")]
    Unprotected,
    /// The authorities are not usable.
    #[error("ELASTICSEARCH_CA_FILE {path} holds no usable PEM certificate: {reason}")]
    Authorities {
        /// The file.
        path: PathBuf,
        /// Why not.
        reason: String,
    },
    /// No client can be made.
    #[error("no client of Elasticsearch can be made: {0}")]
    Client(#[from] reqwest::Error),
}

/// A client of Elasticsearch. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Elasticsearch {
    http: reqwest::Client,
    base: Url,
    user: String,
    password_file: Option<PathBuf>,
}

impl SearchConfig {
    /// The client; `None` where no Elasticsearch is configured.
    ///
    /// # Errors
    /// [`SearchConfigError`].
    pub fn client(&self, protected: bool) -> Result<Option<Elasticsearch>, SearchConfigError> {
        let Some(url) = &self.elasticsearch_url else { return Ok(None) };
        let mut base = Url::parse(url).map_err(|_| SearchConfigError::Malformed)?;
        if base.password().is_some() {
            return Err(SearchConfigError::PasswordInside);
        }
        match base.scheme() {
            "https" => {}
            "http" if protected => return Err(SearchConfigError::Unprotected),
            "http" => {}
            _ => return Err(SearchConfigError::Malformed),
        }
        let mut http = reqwest::Client::builder()
            .connect_timeout(CONNECT_TIMEOUT)
            .timeout(TIMEOUT)
            // A redirect would take the password to a place that nobody configured.
            .redirect(reqwest::redirect::Policy::none());
        if let Some(path) = &self.elasticsearch_ca_file {
            let unusable = |reason: String| SearchConfigError::Authorities { path: path.clone(), reason };
            let pem = tls::authorities_file(path).map_err(unusable)?;
            http = http.tls_certs_only(reqwest::Certificate::from_pem_bundle(&pem)?);
        }
        let user = decoded(base.username());
        if !user.is_empty() && self.elasticsearch_password_file.is_none() {
            return Err(SearchConfigError::NoPassword);
        }
        base.set_username("").map_err(|()| SearchConfigError::Malformed)?;
        let password_file = self.elasticsearch_password_file.clone();
        Ok(Some(Elasticsearch { http: http.build()?, base, user, password_file }))
    }
}

impl Elasticsearch {
    /// A call to build and send. `path` starts with a slash.
    ///
    /// # Errors
    /// When the file with the password cannot be read.
    pub fn call(&self, method: Method, path: &str) -> std::io::Result<reqwest::RequestBuilder> {
        let mut url = self.base.clone();
        url.set_path(&format!("{}{path}", self.base.path().trim_end_matches('/')));
        let call = self.http.request(method, url);
        let Some(file) = &self.password_file else { return Ok(call) };
        let password = read_text(file).map_err(|error| {
            std::io::Error::new(
                error.kind(),
                format!("ELASTICSEARCH_PASSWORD_FILE {}: {error}", file.display()),
            )
        })?;
        Ok(call.basic_auth(&self.user, Some(password.trim_end())))
    }
}
