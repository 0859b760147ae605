//! How the values of settings are read. What cannot be meant is refused, with what would be right: a service that
//! starts and then refuses every request costs a night to understand.
use std::str::FromStr;
use std::time::Duration;

use http::HeaderValue;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::LevelFilter;

/// A time that may be none at all.
pub(crate) fn milliseconds(text: &str) -> Result<Duration, String> {
    let number: Result<u64, _> = text.parse();
    number.map(Duration::from_millis).map_err(|_| "must be a whole number of milliseconds".to_owned())
}

/// A time in which something has to happen: in none at all nothing would.
pub(crate) fn time_limit(text: &str) -> Result<Duration, String> {
    match milliseconds(text)? {
        Duration::ZERO => {
            Err("must be at least 1 millisecond: with 0 everything would come too late".to_owned())
        }
        limit => Ok(limit),
    }
}

/// A text that must not be empty: a variable that is set to nothing is a mistake of a template, and no wish.
pub(super) fn filled(
    name: &'static str,
) -> impl Fn(&str) -> Result<String, String> + Clone + Send + Sync + 'static {
    move |text| match text.trim() {
        "" => Err(format!("{name} is empty: give it a value, or leave it unset for its default")),
        _ => Ok(text.to_owned()),
    }
}

/// Who issues tokens, as RFC 8414 (2) and OpenID Connect name it: an address that a client can ask for more. It is kept
/// as it is written, since `iss` is compared letter by letter.
pub(super) fn issuer(text: &str) -> Result<String, String> {
    let text = filled("ISSUER")(text)?;
    let rest = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://"));
    let bare = rest.is_some_and(|rest| {
        !rest.starts_with('/')
            && rest.chars().all(|c| c.is_ascii_graphic() && !matches!(c, '?' | '#' | '@' | '\\'))
    });
    if bare && url::Url::parse(&text).is_ok() {
        return Ok(text);
    }
    Err("must be a URL such as https://shop.example: http:// or https://, a host, and no user, query or fragment".to_owned())
}

/// What the log is to hold, as tracing reads it. A word that is no level would be the name of a target to it, of
/// which there is none: the log would be empty, and nobody told.
pub(super) fn filter(text: &str) -> Result<String, String> {
    const SHAPE: &str =
        "give a level (off, error, warn, info, debug, trace), or levels by target as info,sqlx=warn";
    let parts: Vec<&str> = text.split(',').map(str::trim).collect();
    for part in &parts {
        let level = part.rsplit_once('=').map_or(*part, |(_, level)| level);
        if level.is_empty() || level.parse::<LevelFilter>().is_err() {
            return Err(format!("{part:?} has no level: {SHAPE}"));
        }
    }
    let filter = parts.join(",");
    match EnvFilter::try_new(&filter) {
        Ok(_) => Ok(filter),
        Err(error) => Err(format!("{error}: {SHAPE}")),
    }
}

/// Where a page comes from, as browsers write it into `Origin` (RFC 6454, 6.1).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Origin(HeaderValue);

impl Origin {
    pub(crate) fn header(&self) -> &HeaderValue {
        &self.0
    }
}

impl FromStr for Origin {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        const SHAPE: &str = "must be an origin, scheme://host or scheme://host:port such as https://shop.example: \
                             one of its own for each host (there is no *), and no user, path, query or fragment";
        let url = url::Url::parse(text).map_err(|_| SHAPE)?;
        let host = url.host_str().filter(|host| !host.is_empty() && !host.contains('*')).ok_or(SHAPE)?;
        // The slash that people write after a host is no path of theirs.
        let bare = matches!(url.path(), "" | "/") && url.query().is_none() && url.fragment().is_none();
        if !bare || !url.username().is_empty() || url.password().is_some() {
            return Err(SHAPE);
        }
        // Put together anew: a browser never writes the scheme's own port, nor capital letters.
        let port = url.port().map(|port| format!(":{port}")).unwrap_or_default();
        let origin = format!("{}://{host}{port}", url.scheme());
        HeaderValue::try_from(origin).map(Origin).map_err(|_| SHAPE)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_limit_is_not_zero() {
        assert_eq!(milliseconds("0"), Ok(Duration::ZERO));
        assert_eq!(time_limit("1"), Ok(Duration::from_millis(1)));
        assert!(time_limit("0").unwrap_err().contains("at least 1"));
        for bad in ["", "-1", "1s", "0.5"] {
            assert!(milliseconds(bad).unwrap_err().contains("milliseconds"), "{bad}");
        }
    }

    #[test]
    fn an_issuer_is_an_address_and_stays_as_it_is_written() {
        for good in
            ["https://shop.example", "http://127.0.0.1:8080", "http://[::1]:8080/", "https://a.test/users"]
        {
            assert_eq!(issuer(good).as_deref(), Ok(good));
        }
        for bad in [
            "foo bar",
            "notaurl",
            "shop.example:443",
            "https://",
            "https:///shop",
            "https:shop.example",
            "ftp://shop.example",
            "https://shop.example?tenant=1",
            "https://shop.example/#a",
            "https://ada:hunter2@shop.example",
            " https://shop.example",
            "https://shop.example ",
            "https://shop.example:port",
        ] {
            assert!(issuer(bad).unwrap_err().contains("such as https://shop.example"), "{bad}");
        }
        assert!(issuer(" ").unwrap_err().contains("ISSUER is empty"));
    }

    #[test]
    fn an_origin_is_what_a_browser_would_write() {
        for (text, origin) in [
            ("https://shop.example", "https://shop.example"),
            ("https://Shop.Example/", "https://shop.example"),
            ("https://shop.example:443", "https://shop.example"),
            (" http://127.0.0.1:5173", "http://127.0.0.1:5173"),
            ("http://[::1]:5173", "http://[::1]:5173"),
            ("capacitor://localhost", "capacitor://localhost"),
        ] {
            assert_eq!(text.parse(), Ok(Origin(HeaderValue::from_static(origin))), "{text}");
        }
        for bad in [
            "",
            "*",
            "null",
            "shop.example",
            "shop.example:443",
            "//shop.example",
            "https://",
            "https://*.shop.example",
            "https://shop.example/path",
            "https://shop.example?",
            "https://shop.example#a",
            "https://user@shop.example",
            "https://:secret@shop.example",
            "file:///index.html",
        ] {
            assert!(bad.parse::<Origin>().is_err(), "{bad}");
        }
    }

    #[test]
    fn a_filter_names_levels() {
        for good in ["info", "OFF", "info,sqlx=warn", "shop_kit::outbox=debug", "[request]=trace"] {
            assert_eq!(filter(good).as_deref(), Ok(good));
        }
        // tracing would take the blank for a part of the name.
        assert_eq!(filter("info, sqlx=warn").as_deref(), Ok("info,sqlx=warn"));
        for bad in
            ["", " ", "garbage", "warning", "info,sqlx", "sqlx=", "sqlx=loud", "info,,warn", "[request=info"]
        {
            assert!(filter(bad).unwrap_err().contains("off, error, warn"), "{bad}");
        }
    }
}
