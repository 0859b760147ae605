//! The variables that a service gets in dev, and the files some of them name. Whatever else the developer's shell
//! holds stays out, so that every start is the same. No variable holds a secret: only the path of its file.

use std::fs::File;
use std::io::{self, Read as _};
use std::path::PathBuf;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;

use crate::database::{Database, Login};
use crate::plan::{ISSUER_CLIENT, Place, Plan, Planned};
use crate::postgres::random_password;
use crate::stack::Stack;
use crate::state::read_or_create;

/// What a service may take over from the shell: where things are, and how much it logs.
const INHERITED: [&str; 13] = [
    "PATH",
    "HOME",
    "USER",
    "LANG",
    "LC_ALL",
    "TZ",
    "TMPDIR",
    "LOG",
    "LOG_FORMAT",
    "RUST_BACKTRACE",
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
    "LD_LIBRARY_PATH",
];

/// The variables of this process that a service inherits.
pub(crate) fn inherited() -> impl Iterator<Item = (&'static str, std::ffi::OsString)> {
    INHERITED.into_iter().filter_map(|name| Some((name, std::env::var_os(name)?)))
}

/// A list of variables.
pub(crate) type Variables = Vec<(String, String)>;

/// What services share: the plan, the secret files of the stack, and the variables of Redis, the mailbox, …
#[derive(Debug)]
pub(crate) struct Environment<'a> {
    pub(crate) plan: &'a Plan,
    pub(crate) secrets: Secrets,
    pub(crate) parts: Variables,
}

/// The secrets of a stack, each in a file readable by its owner alone. They are made here and never leave the machine.
#[derive(Debug, Clone)]
pub(crate) struct Secrets(PathBuf);

impl Secrets {
    /// Makes what the services name and what is not there yet. A folder is left to the service itself to fill, and a
    /// client to its issuer to make.
    pub(crate) fn make(stack: &Stack, plan: &Plan) -> io::Result<Self> {
        let secrets = Self(stack.folder().folder("secrets")?.path().to_owned());
        for (variable, name) in plan.services.iter().flat_map(|planned| &planned.spec.secrets) {
            if variable.ends_with("_FILE") && !is_wired(variable) && variable != ISSUER_CLIENT {
                let mut key = [0; 32];
                File::open("/dev/urandom")?.read_exact(&mut key)?;
                read_or_create(&secrets.path(name), || BASE64_STANDARD.encode(key))?;
            }
        }
        // Long enough to be no use to a guesser, short enough to be typed.
        read_or_create(&secrets.seed_password(), || random_password().chars().take(20).collect())?;
        Ok(secrets)
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    /// The password of the seeded accounts.
    pub(crate) fn seed_password(&self) -> PathBuf {
        self.path("seed-password")
    }
}

/// Passwords of servers come with their addresses.
fn is_wired(variable: &str) -> bool {
    variable.ends_with("_PASSWORD_FILE")
}

impl Environment<'_> {
    /// Of a replica, for `serve`.
    pub(crate) fn serve(&self, planned: &Planned, place: &Place, database: Option<&Database>) -> Variables {
        // shop.toml may change the first ones; what follows it is how this machine is wired.
        let mut variables = pairs([
            ("LOG_FORMAT", "text"),
            ("AUDIENCE", "shop"),
            ("MAIL_FROM", "Shop <shop@localhost>"),
            // No load balancer has to forget us first, and nobody likes to wait for a restart.
            ("DRAIN_MS", "0"),
            ("SHUTDOWN_MS", "5000"),
        ]);
        variables.retain(|(name, _)| !inherited().any(|(inherited, _)| inherited == name));
        variables.extend(planned.spec.environment.iter().cloned());
        variables.extend(pairs([
            ("SHOP_ENV", "dev"),
            ("PROTECTED", "false"),
            ("PUBLIC_ADDR", &place.public.to_string()),
            ("ADMIN_ADDR", &place.admin.to_string()),
        ]));
        variables.extend(self.addresses(planned));
        variables.extend(self.parts.iter().cloned());
        if let Some(database) = database {
            variables.extend(login("DATABASE", &database.serve));
            let authorities = database.serve.authorities.as_ref();
            variables.extend(authorities.map(|file| ("DATABASE_CA_FILE".into(), file.display().to_string())));
        }
        variables
    }

    /// For `migrate`: as the owner of the schema.
    pub(crate) fn migrate(&self, planned: &Planned, database: Option<&Database>) -> Variables {
        let mut variables = self.command(planned, database);
        if let Some(database) = database {
            variables.extend(login("MIGRATE_DATABASE", &database.owner));
        }
        variables
    }

    /// For the other commands: what `serve` has, and where the accounts' password lies.
    pub(crate) fn command(&self, planned: &Planned, database: Option<&Database>) -> Variables {
        let place = planned.replicas.first();
        let mut variables = place.map(|place| self.serve(planned, place, database)).unwrap_or_default();
        variables.push(("SEED_PASSWORD_FILE".into(), self.secrets.seed_password().display().to_string()));
        variables
    }

    /// Where the service itself, the issuer of tokens and the services it depends on are reached.
    fn addresses(&self, planned: &Planned) -> Variables {
        let mut variables = Variables::new();
        let mut add = |name: String, url: Option<String>| variables.extend(url.map(|url| (name, url)));
        add("PUBLIC_BASE_URL".into(), self.plan.url(&planned.spec.name));
        if let Some(url) = self.plan.issuer().and_then(|issuer| self.plan.url(&issuer.spec.name)) {
            add("ISSUER_URL".into(), Some(url.clone()));
            add("ISSUER".into(), Some(url));
        }
        for name in &planned.spec.depends_on {
            add(format!("{}_URL", name.to_uppercase().replace('-', "_")), self.plan.url(name));
        }
        for (variable, name) in planned.spec.secrets.iter().filter(|(variable, _)| !is_wired(variable)) {
            add(variable.clone(), Some(self.secrets.path(name).display().to_string()));
        }
        variables
    }
}

fn login(prefix: &str, login: &Login) -> Variables {
    vec![
        (format!("{prefix}_URL"), login.url.clone()),
        (format!("{prefix}_PASSWORD_FILE"), login.password_file.display().to_string()),
    ]
}

fn pairs<const N: usize>(pairs: [(&str, &str); N]) -> Variables {
    pairs.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
}
