//! What user-management is told by its environment, beside what every service is. Secrets are files, named here.

use std::num::NonZero;
use std::path::{Path, PathBuf};
use std::thread;

use shop_kit::Quota;
use shop_kit::boot::BootError;
use shop_kit::config::Rate;
use shop_kit::mail::MailConfig;
use url::Url;

use crate::hashing::Hasher;
use crate::sealing::KeyFile;
use crate::state::Quotas;

/// Settings of this service.
#[derive(Debug, Clone, clap::Args)]
pub struct Config {
    /// Folder with the keys that sign access tokens, as `keys init` makes it; read again when it changes
    #[arg(long, env = "SIGNING_KEYS_DIR", value_name = "DIR")]
    pub signing_keys_dir: Option<PathBuf>,
    /// File with the keys that seal second-factor seeds: base64 of 32 bytes a line, the newest first
    #[arg(long, env = "TOTP_KEY_FILE", value_name = "FILE")]
    pub totp_key_file: Option<PathBuf>,
    /// Where people see the shop: links in mails go below it
    #[arg(long, env = "PUBLIC_BASE_URL", default_value = "http://127.0.0.1:8080", value_parser = url, value_name = "URL")]
    pub public_base_url: Url,
    /// Threads that hash passwords, each with 19 MiB while it works; as many as there are cores by default
    #[arg(long, env = "HASHING_THREADS", value_parser = clap::value_parser!(u16).range(1..=256), value_name = "N")]
    pub hashing_threads: Option<u16>,
    /// Passwords that may wait to be hashed; more are answered 503
    #[arg(long, env = "HASHING_QUEUE", default_value = "128", value_name = "N")]
    pub hashing_queue: NonZero<usize>,
    /// Attempts of one address to sign in, in so many seconds, as 60/60; off for any number
    #[arg(long, env = "SIGN_IN_LIMIT", default_value = "60/60", value_name = "N/SECONDS")]
    pub sign_in_limit: Rate,
    /// Mails that one address may ask for in so many seconds, as 20/600; off for any number
    #[arg(long, env = "MAIL_LIMIT", default_value = "20/600", value_name = "N/SECONDS")]
    pub mail_limit: Rate,
    /// Renewals of the tokens of one session in so many seconds, as 60/900; off for any number
    #[arg(long, env = "REFRESH_LIMIT", default_value = "60/900", value_name = "N/SECONDS")]
    pub refresh_limit: Rate,
    /// Days that entries of the audit log are kept: more than the year that auditors ask for (PCI DSS 10.5.1)
    #[arg(long, env = "AUDIT_RETENTION_DAYS", default_value = "400", value_parser = clap::value_parser!(u16).range(91..), value_name = "DAYS")]
    pub audit_retention_days: u16,
    /// File with the password of the people that `seed` makes; made with a good one when it is missing
    #[arg(long, env = "SEED_PASSWORD_FILE", value_name = "FILE")]
    pub seed_password_file: Option<PathBuf>,
    #[command(flatten)]
    #[expect(missing_docs, reason = "a doc comment would replace the help's heading")]
    pub mail: MailConfig,
}

impl Config {
    /// Starts the hashing threads.
    ///
    /// # Errors
    /// When the system gives no thread.
    pub fn hasher(&self) -> Result<Hasher, BootError> {
        let cores = || thread::available_parallelism().map_or(1, NonZero::get);
        let threads = self.hashing_threads.map_or_else(cores, usize::from);
        Hasher::start(threads, self.hashing_queue.get()).map_err(BootError::unexpected)
    }

    /// Reads the keys that seal second-factor seeds.
    ///
    /// # Errors
    /// Names the file and what is wrong with it.
    pub fn totp_keys(&self) -> Result<KeyFile, BootError> {
        let path = required(self.totp_key_file.as_deref(), "TOTP_KEY_FILE", "openssl rand -base64 32")?;
        KeyFile::open(path.to_owned())
            .map_err(|error| BootError::usage(format_args!("TOTP_KEY_FILE {} {error}", path.display())))
    }

    /// Where links in mails go below. They carry what opens an account: in a protected environment by https alone.
    ///
    /// # Errors
    /// When no link could be made of it, or none that is safe. The text never repeats it: it could hold a secret.
    pub fn base_url(&self, protected: bool) -> Result<&Url, BootError> {
        let url = &self.public_base_url;
        let wrong = if !matches!(url.scheme(), "http" | "https") {
            "is neither http:// nor https://"
        } else if !url.username().is_empty() || url.password().is_some() {
            "holds a user or a password, which every mail would show"
        } else if url.query().is_some() || url.fragment().is_some() {
            "holds a query or a fragment, which the links have of their own"
        } else if protected && url.scheme() != "https" {
            "must be set to https:// in a protected environment"
        } else {
            return Ok(url);
        };
        Err(BootError::usage(format_args!(
            "PUBLIC_BASE_URL {wrong}: give the address where people see the shop, such as https://shop.example"
        )))
    }

    /// The folder of the signing keys.
    ///
    /// # Errors
    /// When none is named.
    pub fn keys_dir(&self) -> Result<&Path, BootError> {
        required(self.signing_keys_dir.as_deref(), "SIGNING_KEYS_DIR", "user-management keys init --dir")
    }

    /// How long an entry of the audit log is kept. Never less than ninety days: the table gives none up before.
    #[must_use]
    pub fn audit_retention(&self) -> time::Duration {
        time::Duration::days(self.audit_retention_days.into())
    }

    /// The limits by client address and by session.
    #[must_use]
    pub fn quotas(&self) -> Quotas {
        let named = |rate: Rate, name| rate.0.map(|quota| Quota { name, ..quota });
        Quotas {
            sign_in: named(self.sign_in_limit, "sign-in"),
            mail: named(self.mail_limit, "mail"),
            refresh: named(self.refresh_limit, "refresh"),
        }
    }
}

/// What is wrong is said where it is used, by [`Config::base_url`]: whatever is refused here is repeated.
fn url(text: &str) -> Result<Url, &'static str> {
    Url::parse(text).map_err(|_| "must be a URL such as https://shop.example")
}

fn required<'a>(path: Option<&'a Path>, name: &str, made_by: &str) -> Result<&'a Path, BootError> {
    path.ok_or_else(|| {
        BootError::usage(format_args!("{name} is not set: make what it names with `{made_by}`"))
    })
}
