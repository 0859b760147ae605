//! The variables that a service gets in dev, and the files some of them name. Whatever else the developer's shell
//! holds stays out, so that every start is the same. No variable holds a secret: only the path of its file.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{self, Read as _};
use std::path::PathBuf;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;

use crate::database::{Database, Login};
use crate::plan::{ISSUER_CLIENT, Place, Plan, Planned};
use crate::postgres::random_password;
use crate::stack::Stack;
use crate::state::{read_or_create, write_private};

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

/// The secrets of a stack, each in a file readable by its owner alone and named after the service that it belongs to,
/// as in compose: two services may call theirs alike. They are made here and never leave the machine.
#[derive(Debug, Clone)]
pub(crate) struct Secrets(PathBuf);

impl Secrets {
    /// Makes what the services name and what is not there yet. A folder is left to the service itself to fill, and a
    /// client to its issuer to make.
    pub(crate) fn make(stack: &Stack, plan: &Plan) -> io::Result<Self> {
        let secrets = Self(stack.folder().folder("secrets")?.path().to_owned());
        secrets.take_over(plan)?;
        for (service, variable, name) in named(plan) {
            if variable.ends_with("_FILE") && !is_wired(variable) && variable != ISSUER_CLIENT {
                let mut key = [0; 32];
                File::open("/dev/urandom")?.read_exact(&mut key)?;
                read_or_create(&secrets.of(service, name), || BASE64_STANDARD.encode(key))?;
            }
        }
        // Long enough to be no use to a guesser, short enough to be typed.
        read_or_create(&secrets.seed_password(), || random_password().chars().take(20).collect())?;
        Ok(secrets)
    }

    /// Gives each service what stacks of before called by the secret's name alone: data may be encrypted with it.
    fn take_over(&self, plan: &Plan) -> io::Result<()> {
        let kept: BTreeSet<PathBuf> = named(plan).map(|(service, _, name)| self.of(service, name)).collect();
        let mut left = BTreeSet::new();
        for (service, _, name) in named(plan) {
            let (old, new) = (self.0.join(name), self.of(service, name));
            let is_anothers = kept.contains(&old) || old == self.seed_password();
            if is_anothers || new.exists() || !old.exists() {
                continue;
            }
            if old.is_dir() {
                fs::rename(&old, &new)?;
            } else {
                write_private(&new, &fs::read(&old)?)?;
                left.insert(old);
            }
        }
        left.into_iter().try_for_each(fs::remove_file)
    }

    /// Where the secret `name` of a service lies.
    pub(crate) fn of(&self, service: &str, name: &str) -> PathBuf {
        self.0.join(format!("{service}-{name}"))
    }

    /// The password of the seeded accounts.
    pub(crate) fn seed_password(&self) -> PathBuf {
        self.0.join("seed-password")
    }
}

/// Every secret of the plan: its service, its variable and its name.
fn named(plan: &Plan) -> impl Iterator<Item = (&str, &str, &str)> {
    plan.services.iter().map(|planned| &planned.spec).flat_map(|spec| {
        let all = spec.secrets.iter();
        all.map(|(variable, name)| (spec.name.as_str(), variable.as_str(), name.as_str()))
    })
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
            add(variable.clone(), Some(self.secrets.of(&planned.spec.name, name).display().to_string()));
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
