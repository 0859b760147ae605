//! The address of a database server as a URL: read, checked, turned into what the driver takes. Connects to nothing.

use std::path::Path;
use std::time::Duration;

use secrecy::ExposeSecret as _;
use tokio_postgres::Config;
use url::Url;

use crate::trouble::{Result, Trouble, at};

/// The name that [`Trouble::Unconfirmed`] asks for, if this URL needs one typed.
pub fn needs_confirmation(url: &str) -> Option<(String, String)> {
    let url = parse(url).ok()?;
    (!is_loopback(&url)).then(|| (address(&url), database_of(&url).to_owned()))
}

pub(crate) fn parse(url: &str) -> Result<Url> {
    let wrong = |what: &str| Err(Trouble::Usage(format!("the database URL {what}")));
    let Ok(url) = Url::parse(url) else {
        return wrong("is no URL; it looks like postgres://user@host:5432/postgres");
    };
    if !matches!(url.scheme(), "postgres" | "postgresql") {
        return wrong("does not begin with postgres://");
    }
    if url.password().is_some() {
        return wrong("holds a password: put it into a file and name that in DATABASE_PASSWORD_FILE");
    }
    if url.host_str().is_none_or(str::is_empty) || url.username().is_empty() {
        return wrong("needs a user and a host: postgres://user@host:5432/postgres");
    }
    Ok(url)
}

pub(crate) fn config(url: &Url, password_file: Option<&Path>) -> Result<Config> {
    let mut config = Config::new();
    config
        .host(url.host_str().unwrap_or_default().trim_matches(['[', ']']))
        .port(url.port().unwrap_or(5432))
        .user(&*percent_decoded(url.username()))
        .dbname(database_of(url))
        .application_name("shopctl dev")
        .connect_timeout(Duration::from_secs(5));
    if let Some(file) = password_file {
        let text = std::fs::read_to_string(file).map_err(at(file))?;
        let password = secrecy::SecretString::from(text.trim_end());
        config.password(password.expose_secret());
    }
    Ok(config)
}

fn percent_decoded(text: &str) -> String {
    // A query of one value is the one decoder that `url` exposes.
    let plus_kept = text.replace('+', "%2B");
    url::form_urlencoded::parse(plus_kept.as_bytes())
        .next()
        .map(|(name, _)| name.into_owned())
        .unwrap_or_default()
}

pub(crate) fn database_of(url: &Url) -> &str {
    match url.path().trim_start_matches('/') {
        "" => "postgres",
        name => name,
    }
}

pub(crate) fn address(url: &Url) -> String {
    format!("{}:{}", url.host_str().unwrap_or_default(), url.port().unwrap_or(5432))
}

pub(crate) fn is_loopback(url: &Url) -> bool {
    match url.host_str() {
        Some("localhost") => true,
        Some(host) => host
            .trim_matches(['[', ']'])
            .parse::<std::net::IpAddr>()
            .is_ok_and(|address| address.is_loopback()),
        None => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_this_machine_needs_no_typed_name() {
        for url in ["postgres://a@127.0.0.1/x", "postgres://a@localhost:1/x", "postgres://a@[::1]/x"] {
            assert_eq!(needs_confirmation(url), None, "{url}");
        }
        let asked = needs_confirmation("postgres://a@db.example.com/shop");
        assert_eq!(asked, Some(("db.example.com:5432".into(), "shop".into())));
        assert!(needs_confirmation("postgres://a@localhost.example.com/x").is_some());
    }

    #[test]
    fn a_password_in_the_url_is_refused() {
        let error = parse("postgres://a:b@127.0.0.1/x").unwrap_err().to_string();
        assert!(error.contains("DATABASE_PASSWORD_FILE") && !error.contains(":b@"), "{error}");
    }

    #[test]
    fn a_user_with_unusual_letters_is_read() {
        assert_eq!(percent_decoded("a%40b+c"), "a@b+c");
    }
}
