//! What every service is told by its environment. `<service> --help` is the reference.
//!
//! A secret has no flag and no variable: only the name of a file that holds it.
mod file;
mod values;

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use crate::db::DbConfig;
use crate::limit::{Quota, RedisConfig};
use crate::outbox::AmqpConfig;
use crate::telemetry::{AccessLog, LogFormat};
pub use file::{read_file, read_text};
pub use values::Origin;
use values::{filled, filter, issuer};
pub(crate) use values::{milliseconds, time_limit};

/// The part of the configuration that all services share.
#[derive(Debug, Clone, clap::Args)]
pub struct KitConfig {
    /// Where clients connect; port 0 takes a free one
    #[arg(long, env = "PUBLIC_ADDR", default_value = "0.0.0.0:8080", value_name = "ADDR")]
    pub public_addr: SocketAddr,
    /// Where probes and Prometheus connect; never exposed
    #[arg(long, env = "ADMIN_ADDR", default_value = "0.0.0.0:9080", value_name = "ADDR")]
    pub admin_addr: SocketAddr,
    /// File that gets the two addresses as JSON once they are bound
    #[arg(long, env = "ADDR_FILE", value_name = "FILE")]
    pub addr_file: Option<PathBuf>,
    /// Name of the environment, for logs
    #[arg(long, env = "SHOP_ENV", default_value = "dev", value_parser = filled("SHOP_ENV"), value_name = "NAME")]
    pub shop_env: String,
    /// Require verified TLS to every dependency
    #[arg(long, env = "PROTECTED", default_value_t = false, action = clap::ArgAction::Set, value_name = "BOOL")]
    pub protected: bool,
    /// Time for PostgreSQL to be there at the start; then the service ends and says so
    #[arg(long, env = "START_TIMEOUT_MS", default_value = "60000", value_parser = time_limit, value_name = "MS")]
    pub start_timeout: Duration,
    #[command(flatten)]
    #[expect(missing_docs, reason = "a doc comment would replace the help's heading")]
    pub db: DbConfig,
    #[command(flatten)]
    #[expect(missing_docs, reason = "a doc comment would replace the help's heading")]
    pub redis: RedisConfig,
    #[command(flatten)]
    #[expect(missing_docs, reason = "a doc comment would replace the help's heading")]
    pub amqp: AmqpConfig,
    #[command(flatten)]
    #[expect(missing_docs, reason = "a doc comment would replace the help's heading")]
    pub tokens: TokenConfig,
    #[command(flatten)]
    #[expect(missing_docs, reason = "a doc comment would replace the help's heading")]
    pub limits: Limits,
    #[command(flatten)]
    #[expect(missing_docs, reason = "a doc comment would replace the help's heading")]
    pub log: LogConfig,
}

/// Whose access tokens are believed.
#[derive(Debug, Clone, clap::Args)]
pub struct TokenConfig {
    /// `iss` of access tokens
    #[arg(long, env = "ISSUER", default_value = "https://shop.example", value_parser = issuer, value_name = "URL")]
    pub issuer: String,
    /// `aud` of access tokens
    #[arg(long, env = "AUDIENCE", default_value = "shop", value_parser = filled("AUDIENCE"), value_name = "NAME")]
    pub audience: String,
    /// Where the issuer is reached for its public keys and its events
    #[arg(long, env = "ISSUER_URL", value_name = "URL")]
    pub issuer_url: Option<String>,
    /// PEM file with the authorities that may sign its certificate; the system's when not given
    #[arg(long, env = "ISSUER_CA_FILE", value_name = "FILE")]
    pub issuer_ca_file: Option<PathBuf>,
    /// File with this service's client there, as `user-management clients create` prints it; read again at each use
    #[arg(long, env = "ISSUER_CLIENT_FILE", value_name = "FILE")]
    pub issuer_client_file: Option<PathBuf>,
}

/// What one client, and all together, may take.
#[derive(Debug, Clone, clap::Args)]
pub struct Limits {
    /// Networks of proxies whose X-Forwarded-For is believed, such as 10.0.0.0/8, separated by commas
    #[arg(long, env = "TRUSTED_PROXIES", value_delimiter = ',', value_name = "CIDR")]
    pub trusted_proxies: Vec<Network>,
    /// Origins whose pages may call, such as https://shop.example, separated by commas
    #[arg(long, env = "CORS_ORIGINS", value_delimiter = ',', value_name = "ORIGIN")]
    pub cors_origins: Vec<Origin>,
    /// Requests of one client in so many seconds, as 6000/60; off for none
    #[arg(long, env = "RATE_LIMIT", default_value = "6000/60", value_name = "N/SECONDS")]
    pub rate_limit: Rate,
    /// Requests being worked on at once; more are answered 503
    #[arg(long, env = "MAX_IN_FLIGHT", default_value_t = 1024, value_parser = clap::value_parser!(u32).range(1..), value_name = "N")]
    pub max_in_flight: u32,
    /// Connections open at once; more wait. One client has a quarter of them but not less than 16, and proxies of TRUSTED_PROXIES have any number. Where the limit of open files is too low for so many it counts instead
    #[arg(long, env = "MAX_CONNECTIONS", default_value_t = 16_384, value_parser = clap::value_parser!(u32).range(1..), value_name = "N")]
    pub max_connections: u32,
    /// Largest body in bytes
    #[arg(long, env = "MAX_BODY_BYTES", default_value_t = 256 * 1024, value_parser = clap::value_parser!(u64).range(1..), value_name = "BYTES")]
    pub max_body_bytes: u64,
    /// Time for the headers of a request to arrive
    #[arg(long, env = "HEADER_TIMEOUT_MS", default_value = "5000", value_parser = time_limit, value_name = "MS")]
    pub header_timeout: Duration,
    /// Time for the body of a request to arrive
    #[arg(long, env = "BODY_TIMEOUT_MS", default_value = "10000", value_parser = time_limit, value_name = "MS")]
    pub body_timeout: Duration,
    /// Time for a request to be answered, its body included
    #[arg(long, env = "DEADLINE_MS", default_value = "15000", value_parser = time_limit, value_name = "MS")]
    pub deadline: Duration,
    /// Time for an answer that is made while it is sent, such as an export, after its head
    #[arg(long, env = "STREAM_DEADLINE_MS", default_value = "600000", value_parser = time_limit, value_name = "MS")]
    pub stream_deadline: Duration,
    /// Time that a connection may stay idle; longer than that of the load balancer in front
    #[arg(long, env = "IDLE_TIMEOUT_MS", default_value = "75000", value_parser = time_limit, value_name = "MS")]
    pub idle_timeout: Duration,
    /// Time that new connections are still taken after SIGTERM, while readyz already says no; 0 for none
    #[arg(long, env = "DRAIN_MS", default_value = "1000", value_parser = milliseconds, value_name = "MS")]
    pub drain: Duration,
    /// Time for the requests in flight to end after that; 0 cuts them off at once
    #[arg(long, env = "SHUTDOWN_MS", default_value = "20000", value_parser = milliseconds, value_name = "MS")]
    pub shutdown: Duration,
}

impl Limits {
    /// Whether others come from this address, and say so.
    pub(crate) fn is_proxy(&self, address: IpAddr) -> bool {
        self.trusted_proxies.iter().any(|network| network.contains(address))
    }
}

/// What is written to the log, and how.
#[derive(Debug, Clone, clap::Args)]
pub struct LogConfig {
    /// Levels by target, as info,sqlx=warn
    #[arg(long = "log", env = "LOG", default_value = "info", value_parser = filter, value_name = "FILTER")]
    pub filter: String,
    /// json or text; text on a terminal, json elsewhere
    #[arg(long = "log-format", env = "LOG_FORMAT", value_enum, value_name = "FORMAT")]
    pub format: Option<LogFormat>,
    /// Access lines of successful requests: all, none, or one of so many; others are always written
    #[arg(long = "log-access", env = "LOG_ACCESS", default_value = "all", value_name = "all|none|N")]
    pub access: AccessLog,
}

/// A quota as configuration writes it: `6000/60`, or `off`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate(pub Option<Quota>);

impl FromStr for Rate {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        const SHAPE: &str = "must be <number>/<seconds>, both at least 1, or off";
        if text == "off" {
            return Ok(Rate(None));
        }
        let (burst, seconds) = text.split_once('/').ok_or(SHAPE)?;
        match (burst.parse(), seconds.parse()) {
            (Ok(burst @ 1..), Ok(seconds @ 1..)) => Ok(Rate(Some(Quota::new("client", burst, seconds)))),
            _ => Err(SHAPE),
        }
    }
}

/// An IP network in CIDR notation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Network {
    address: IpAddr,
    prefix: u8,
}

impl Network {
    /// Whether the address is in it. An IPv4 address in IPv6 clothes counts as IPv4.
    #[must_use]
    pub fn contains(&self, address: IpAddr) -> bool {
        match (self.address, address.to_canonical()) {
            (IpAddr::V4(network), IpAddr::V4(address)) => {
                let differing = u32::from(network) ^ u32::from(address);
                differing.checked_shr(32 - u32::from(self.prefix)).unwrap_or(0) == 0
            }
            (IpAddr::V6(network), IpAddr::V6(address)) => {
                let differing = u128::from(network) ^ u128::from(address);
                differing.checked_shr(128 - u32::from(self.prefix)).unwrap_or(0) == 0
            }
            _ => false,
        }
    }
}

impl FromStr for Network {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        const SHAPE: &str = "must be a network such as 10.0.0.0/8 or fd00::/8";
        const ALL: &str = "would believe everybody about their own address: name the networks of the proxies alone, such as 10.0.0.0/8";
        let (address, prefix) =
            text.split_once('/').map_or((text, None), |(address, prefix)| (address, Some(prefix)));
        let address: IpAddr = address.parse().map_err(|_| SHAPE)?;
        let longest = if address.is_ipv4() { 32 } else { 128 };
        let prefix = prefix.map_or(Ok(longest), str::parse).map_err(|_| SHAPE)?;
        match prefix {
            0 => Err(ALL),
            _ if prefix > longest => Err(SHAPE),
            _ => Ok(Network { address, prefix }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_network_holds_its_addresses_only() {
        let inside = |network: &str, address: &str| {
            network.parse::<Network>().unwrap().contains(address.parse().unwrap())
        };
        assert!(inside("10.0.0.0/8", "10.255.0.1"));
        assert!(!inside("10.0.0.0/8", "11.0.0.1"));
        assert!(inside("10.0.0.0/8", "::ffff:10.1.2.3"));
        assert!(inside("127.0.0.1", "127.0.0.1"));
        assert!(!inside("127.0.0.1", "127.0.0.2"));
        assert!(inside("128.0.0.0/1", "203.0.113.9"));
        assert!(inside("fd00::/8", "fdff::1"));
        assert!(!inside("fd00::/8", "fe00::1"));
        assert!(!inside("::/1", "10.0.0.1"));
        for bad in ["10.0.0.0/33", "fd00::/129", "10.0.0/8", "", "10.0.0.0/x"] {
            assert!(bad.parse::<Network>().is_err(), "{bad}");
        }
        for all in ["0.0.0.0/0", "::/0", "10.0.0.0/0"] {
            assert!(all.parse::<Network>().unwrap_err().contains("would believe everybody"), "{all}");
        }
    }

    #[derive(Debug, clap::Parser)]
    struct Arguments {
        #[command(flatten)]
        kit: KitConfig,
    }

    fn parse(argument: &str) -> Result<Arguments, clap::Error> {
        <Arguments as clap::Parser>::try_parse_from(["test", argument])
    }

    #[test]
    fn a_setting_that_is_needed_is_not_empty() {
        for (flag, variable) in
            [("--issuer", "ISSUER"), ("--audience", "AUDIENCE"), ("--shop-env", "SHOP_ENV")]
        {
            for empty in ["", " "] {
                let error = parse(&format!("{flag}={empty}")).unwrap_err();
                assert_eq!(error.exit_code(), 2);
                assert!(
                    error.to_string().contains(&format!("{variable} is empty: give it a value")),
                    "{error}"
                );
            }
        }
        assert_eq!(parse("--issuer=https://a.test").unwrap().kit.tokens.issuer, "https://a.test");
    }

    #[test]
    fn a_bound_that_would_refuse_everything_is_refused_itself() {
        let mut flags = ["start-timeout", "header-timeout", "body-timeout", "deadline"].to_vec();
        flags.extend(["stream-deadline", "idle-timeout", "redis-timeout"]);
        flags.extend(["max-in-flight", "max-connections", "max-body-bytes"]);
        flags.extend([
            "database-connections",
            "database-statement-timeout-ms",
            "database-acquire-timeout-ms",
        ]);
        for flag in flags {
            let error = parse(&format!("--{flag}=0")).expect_err(flag);
            assert_eq!(error.exit_code(), 2, "{error}");
        }
        // These mean something: no time to drain, and none to end.
        let command = <Arguments as clap::CommandFactory>::command();
        for flag in ["drain", "shutdown"] {
            assert!(parse(&format!("--{flag}=0")).is_ok(), "{flag}");
            let mut arguments = command.get_arguments();
            let about = arguments.find(|argument| argument.get_long() == Some(flag)).unwrap().get_help();
            assert!(about.unwrap().to_string().contains("; 0 "), "--help says what 0 means: {about:?}");
        }
    }

    #[test]
    fn a_rate_needs_both_numbers() {
        assert_eq!("6000/60".parse(), Ok(Rate(Some(Quota::new("client", 6000, 60)))));
        assert_eq!("off".parse(), Ok(Rate(None)));
        for bad in ["", "0/60", "1/0", "10", "-1/5", "a/b"] {
            assert!(bad.parse::<Rate>().is_err(), "{bad}");
        }
    }
}
