//! The address of a database server as a URL: read once, checked, turned into what the driver takes and into what the
//! services are handed, so that both mean the same server. Connects to nothing.

use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use secrecy::ExposeSecret as _;
use tokio_postgres::Config;
use url::Url;

use crate::trouble::{Result, Trouble};

/// The name that [`Trouble::Unconfirmed`] asks for, if this URL needs one typed.
pub fn needs_confirmation(url: &str) -> Option<(String, String)> {
    let url = ServerUrl::parse(url).ok()?;
    (!url.is_local()).then(|| (url.address(), url.database))
}

/// A URL that names a server and holds no password. Whatever could mean another server than its host does is refused:
/// the services obey such parameters as well.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ServerUrl {
    url: Url,
    place: Place,
    user: String,
    database: String,
    tls: Tls,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Place {
    Tcp(String),
    /// The folder of a Unix socket.
    Socket(PathBuf),
}

/// What the URL says about TLS.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Tls {
    Unsaid,
    Disabled,
    /// Verified in full, against the authorities in the file.
    Verified(PathBuf),
}

impl ServerUrl {
    pub(crate) fn parse(text: &str) -> Result<Self> {
        let Ok(mut url) = Url::parse(text) else {
            return Err(wrong("is no URL; it looks like postgres://user@host:5432/postgres"));
        };
        if !matches!(url.scheme(), "postgres" | "postgresql") {
            return Err(wrong("does not begin with postgres://"));
        }
        if url.password().is_some() {
            return Err(holds_password("before the @"));
        }
        if url.host_str().is_none_or(str::is_empty) || url.username().is_empty() {
            return Err(wrong("needs a user and a host: postgres://user@host:5432/postgres"));
        }
        // Nobody reads it, so it is not kept either.
        url.set_fragment(None);
        let host = percent_decoded(url.host_str().unwrap_or_default());
        let Parameters { socket, tls } = Parameters::of(&url)?;
        let place = match socket {
            Some(folder) => Place::Socket(folder),
            None if host.starts_with('/') => Place::Socket(host.into()),
            None => Place::Tcp(host.trim_matches(['[', ']']).to_owned()),
        };
        let database = match url.path().trim_start_matches('/') {
            "" => "postgres".to_owned(),
            name => percent_decoded(name),
        };
        let user = percent_decoded(url.username());
        let mut read = Self { url, place, user, database, tls };
        if read.tls == Tls::Unsaid && !read.is_local() {
            return Err(wrong(
                "means another machine and says nothing of TLS: add ?sslrootcert=/path/of/authorities.pem, or, where \
                 the network is yours alone, ?sslmode=disable",
            ));
        }
        read.url = read.with_parameters(read.authorities());
        Ok(read)
    }

    /// The URL with nothing after the question mark but what was understood, each once.
    fn with_parameters(&self, authorities: Option<&Path>) -> Url {
        let mut url = self.url.clone();
        url.set_query(None);
        let socket = match &self.place {
            Place::Tcp(_) => None,
            Place::Socket(folder) => Some(("host", folder.display().to_string())),
        };
        let mode = match self.tls {
            Tls::Unsaid => None,
            Tls::Disabled => Some(("sslmode", "disable".to_owned())),
            Tls::Verified(_) => Some(("sslmode", "verify-full".to_owned())),
        };
        let authorities = authorities.map(|file| ("sslrootcert", file.display().to_string()));
        for (name, value) in [socket, mode, authorities].into_iter().flatten() {
            url.query_pairs_mut().append_pair(name, &value);
        }
        url
    }

    /// What the driver takes, with the password as the file holds it now.
    pub(crate) fn config(&self, password_file: Option<&Path>) -> Result<Config> {
        let mut config = Config::new();
        match &self.place {
            Place::Tcp(host) => config.host(host),
            Place::Socket(folder) => config.host_path(folder),
        };
        config
            .port(self.port())
            .user(&self.user)
            .dbname(&self.database)
            .application_name("shopctl dev")
            .connect_timeout(Duration::from_secs(5));
        if let Some(file) = password_file {
            let unreadable = |error: std::io::Error| Trouble::PasswordFile {
                file: file.to_owned(),
                reason: error.to_string(),
            };
            let text = std::fs::read_to_string(file).map_err(unreadable)?;
            let password = secrecy::SecretString::from(text.trim_end());
            config.password(password.expose_secret());
        }
        Ok(config)
    }

    /// The same server as services take it: another role and database, and no parameter beyond those that they know.
    pub(crate) fn for_role(&self, role: &str, database: &str) -> String {
        // They have a variable of their own for the authorities.
        let mut url = self.with_parameters(None);
        // Only fails on addresses without a host, which `parse` refuses.
        let _always = url.set_username(role);
        url.set_path(database);
        url.into()
    }

    /// The authorities that the services have to trust, where the URL names some.
    pub(crate) fn authorities(&self) -> Option<&Path> {
        match &self.tls {
            Tls::Verified(file) => Some(file),
            Tls::Unsaid | Tls::Disabled => None,
        }
    }

    /// How a connection is protected. A socket has no name that a certificate could bear.
    pub(crate) fn tls(&self) -> &Tls {
        match self.place {
            Place::Tcp(_) => &self.tls,
            Place::Socket(_) => &Tls::Disabled,
        }
    }

    pub(crate) fn database(&self) -> &str {
        &self.database
    }

    /// `host:port`, or `/folder:port` for a socket.
    pub(crate) fn address(&self) -> String {
        match &self.place {
            Place::Tcp(host) if host.contains(':') => format!("[{host}]:{}", self.port()),
            Place::Tcp(host) => format!("{host}:{}", self.port()),
            Place::Socket(folder) => format!("{}:{}", folder.display(), self.port()),
        }
    }

    /// Whether the server is on this machine.
    pub(crate) fn is_local(&self) -> bool {
        match &self.place {
            Place::Socket(_) => true,
            Place::Tcp(host) if host == "localhost" => true,
            Place::Tcp(host) => host.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback()),
        }
    }

    fn port(&self) -> u16 {
        self.url.port().unwrap_or(5432)
    }
}

impl fmt::Display for ServerUrl {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.url.fmt(formatter)
    }
}

/// What stands after the question mark.
struct Parameters {
    socket: Option<PathBuf>,
    tls: Tls,
}

impl Parameters {
    /// Only what the services understand as well may stand there.
    fn of(url: &Url) -> Result<Self> {
        let (mut socket, mut mode, mut authorities) = (None, None, None);
        for (name, value) in url.query_pairs() {
            match (&*name, &*value) {
                ("host", folder) if folder.starts_with('/') => socket = Some(folder.into()),
                ("sslmode", "disable") => mode = Some(false),
                ("sslmode", "require" | "verify-ca" | "verify-full") => mode = Some(true),
                ("sslmode", _) => {
                    return Err(wrong("has an unknown `sslmode=`: write verify-full or disable"));
                }
                // The services work in another folder than the one in which the path was typed.
                ("sslrootcert", file) => authorities = Some(std::path::absolute(file)?),
                ("password" | "passfile", _) => return Err(holds_password(&format!("in `{name}=`"))),
                ("host" | "hostaddr" | "port" | "dbname" | "user", _) => return Err(named_by(&name)),
                _ => {
                    return Err(wrong(&format!(
                        "has the parameter `{name}=`, which the services do not take: take it out (host=/folder, \
                         sslmode and sslrootcert may stay)"
                    )));
                }
            }
        }
        let tls = match (mode, authorities) {
            (Some(false), _) => Tls::Disabled,
            (None, None) => Tls::Unsaid,
            (_, Some(file)) => Tls::Verified(file),
            (Some(true), None) => {
                return Err(wrong(
                    "asks for TLS and does not say whom to trust: add sslrootcert=/path/of/authorities.pem",
                ));
            }
        };
        Ok(Self { socket, tls })
    }
}

fn wrong(what: &str) -> Trouble {
    Trouble::Usage(format!("the database URL {what}"))
}

fn holds_password(place: &str) -> Trouble {
    wrong(&format!(
        "holds a password {place}: put it into a file and name that with --database-password-file or \
         DATABASE_PASSWORD_FILE"
    ))
}

fn named_by(parameter: &str) -> Trouble {
    wrong(&format!(
        "says where to connect by `{parameter}=`: write it before the question mark, as in \
         postgres://user@host:5432/postgres"
    ))
}

fn percent_decoded(text: &str) -> String {
    // A query of one value is the one decoder that `url` exposes.
    let pair = format!("x={}", text.replace('+', "%2B").replace('&', "%26"));
    url::form_urlencoded::parse(pair.as_bytes())
        .next()
        .map(|(_, value)| value.into_owned())
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_this_machine_needs_no_typed_name() {
        let local = [
            "postgres://a@127.0.0.1/x",
            "postgres://a@localhost:1/x",
            "postgres://a@[::1]/x",
            "postgres://a@db.example.com/x?host=/run/postgresql",
            "postgres://a@%2Frun%2Fpostgresql/x",
        ];
        for url in local {
            assert!(ServerUrl::parse(url).is_ok(), "{url}");
            assert_eq!(needs_confirmation(url), None, "{url}");
        }
        let asked = needs_confirmation("postgres://a@db.example.com/shop?sslmode=disable");
        assert_eq!(asked, Some(("db.example.com:5432".into(), "shop".into())));
        assert!(needs_confirmation("postgres://a@localhost.example.com/x?sslrootcert=/ca.pem").is_some());
        let asked = needs_confirmation("postgres://a@db%2Eexample.com/sh%6fp?sslmode=disable");
        assert_eq!(asked, Some(("db.example.com:5432".into(), "shop".into())), "as the services read it");
    }

    #[test]
    fn another_machine_is_not_spoken_to_in_plain_text_by_oversight() {
        let refused = |url: &str| ServerUrl::parse(url).unwrap_err().to_string();
        for url in ["postgres://a@db.example.com/x", "postgres://a@127.0.0.1/x?sslmode=verify-full"] {
            assert!(refused(url).contains("sslrootcert="), "{}", refused(url));
        }
    }

    #[test]
    fn a_password_in_the_url_is_refused() {
        for url in
            ["a:s3ntinel@127.0.0.1/x", "a@127.0.0.1/x?password=s3ntinel", "a@127.0.0.1/x?passfile=s3ntinel"]
        {
            let error = ServerUrl::parse(&format!("postgres://{url}")).unwrap_err().to_string();
            assert!(error.contains("DATABASE_PASSWORD_FILE") && !error.contains("s3ntinel"), "{error}");
        }
    }

    #[test]
    fn a_parameter_that_means_another_server_is_refused_by_its_name() {
        for name in ["host", "hostaddr", "port", "dbname", "user", "options", "target_session_attrs", "Host"]
        {
            let url = format!("postgres://a@127.0.0.1/x?sslmode=disable&{name}=192.0.2.7");
            let error = ServerUrl::parse(&url).unwrap_err();
            assert!(
                matches!(error, Trouble::Usage(_)) && error.to_string().contains(&format!("`{name}=`")),
                "{error}"
            );
        }
    }

    #[test]
    fn the_services_are_handed_the_place_that_was_judged() {
        let handed = |url: &str| ServerUrl::parse(url).unwrap().for_role("r", "d");
        assert_eq!(handed("postgres://a@[::1]:7/x#s3ntinel"), "postgres://r@[::1]:7/d");
        let socket = "postgres://r@db:7/d?host=%2Frun%2Fa+b";
        assert_eq!(handed("postgres://a@db:7/x?host=/tmp&host=/run/a%20b"), socket);
        let verified = "postgres://r@db/d?sslmode=verify-full";
        assert_eq!(handed("postgres://a@db/x?sslmode=require&sslrootcert=/ca.pem"), verified);
        assert_eq!(handed("postgres://a@db/x?sslmode=disable"), "postgres://r@db/d?sslmode=disable");
        let url = ServerUrl::parse("postgres://a@db/x?sslrootcert=/ca.pem").unwrap();
        assert_eq!(url.authorities(), Some(Path::new("/ca.pem")));
        assert_eq!(ServerUrl::parse(&url.to_string()).unwrap(), url, "what is written down means the same");
    }

    #[test]
    fn the_driver_goes_to_the_place_that_was_judged() {
        let hosts = |url: &str| ServerUrl::parse(url).unwrap().config(None).unwrap().get_hosts().to_vec();
        for socket in ["postgres://a@db.example.com/x?host=/run/x", "postgres://a@%2Frun%2Fx/x"] {
            assert_eq!(hosts(socket), [tokio_postgres::config::Host::Unix("/run/x".into())]);
        }
        assert_eq!(hosts("postgres://a@[::1]/x"), [tokio_postgres::config::Host::Tcp("::1".into())]);
    }

    #[test]
    fn a_user_with_unusual_letters_is_read() {
        assert_eq!(percent_decoded("a%40b+c"), "a@b+c");
    }
}
