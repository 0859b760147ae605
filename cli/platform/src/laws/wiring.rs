//! Laws about how services fit together: dependencies, ports, databases, hosts, variables.
use std::collections::{HashMap, HashSet, VecDeque};
use std::fmt::Display;
use std::hash::Hash;
use std::ops::Range;

use super::{Findings, everywhere};
use crate::problem::did_you_mean;
use crate::resolved::Resolved;
use crate::types::ServiceName;

pub(super) fn dependencies_exist(environments: &[Resolved], found: &mut Findings<'_>) {
    for (environment, service) in everywhere(environments) {
        let known = || environment.services.keys().map(ServiceName::as_str);
        for missing in service.depends_on.iter().filter(|name| !environment.services.contains_key(*name)) {
            let hint = match did_you_mean(missing.as_str(), known()) {
                Some(meant) => format!("did you mean `{meant}`?"),
                None => format!("known: {}", known().collect::<Vec<_>>().join(", ")),
            };
            let message = format!("`{}` depends on `{missing}`, which does not exist", service.name);
            found.broken(service.depends_on.span(), message, "unknown service", hint);
        }
    }
}

pub(super) fn dependencies_have_no_cycle(environments: &[Resolved], found: &mut Findings<'_>) {
    for (environment, service) in everywhere(environments) {
        // Every edge that lies on a circle is told with a shortest one, so that no circle of a knot stays unsaid.
        // Circles of the same services are told once, by their first name in the alphabet.
        let mut told = HashSet::new();
        for next in &service.depends_on.value {
            let Some(circle) = circle_through(environment, &service.name, next) else { continue };
            let edge_is_told_elsewhere =
                circle.iter().min() != Some(&&service.name) && is_told_from_its_first(environment, &circle);
            if edge_is_told_elsewhere || !told.insert(circle.clone()) {
                continue;
            }
            let names: Vec<&str> = circle.iter().chain(circle.first()).map(|name| name.as_str()).collect();
            let message = format!("services depend on each other in a circle: {}", names.join(" → "));
            let hint = "take one edge away; events carry what must flow back".to_owned();
            found.broken(service.depends_on.span(), message, "a circle", hint);
        }
    }
}

/// Whether the same circle is what its first service in the alphabet is told of.
fn is_told_from_its_first(environment: &Resolved, circle: &[&ServiceName]) -> bool {
    let Some(first) = (0..circle.len()).min_by_key(|at| circle[*at]) else { return false };
    let turned: Vec<&ServiceName> = circle[first..].iter().chain(&circle[..first]).copied().collect();
    let next = turned.get(1).unwrap_or(&turned[0]);
    circle_through(environment, turned[0], next).as_ref() == Some(&turned)
}

/// A shortest circle that begins with this edge.
fn circle_through<'a>(
    environment: &'a Resolved,
    from: &'a ServiceName,
    next: &'a ServiceName,
) -> Option<Vec<&'a ServiceName>> {
    if from == next {
        return Some(vec![from]);
    }
    let mut came_from = HashMap::from([(next, from)]);
    let mut to_see = VecDeque::from([next]);
    while let Some(at) = to_see.pop_front() {
        for reached in environment.services.get(at).into_iter().flat_map(|service| &service.depends_on.value)
        {
            if reached == from {
                let mut back: Vec<_> = std::iter::successors(Some(at), |one| {
                    came_from.get(one).copied().filter(|one| *one != from)
                })
                .collect();
                back.push(from);
                back.reverse();
                return Some(back);
            }
            if !came_from.contains_key(reached) {
                came_from.insert(reached, at);
                to_see.push_back(reached);
            }
        }
    }
    None
}

pub(super) fn ports_are_distinct(environments: &[Resolved], found: &mut Findings<'_>) {
    for environment in environments {
        let mut taken = Taken::default();
        for service in environment.services.values() {
            for (key, port) in [("port", &service.port), ("admin_port", &service.admin_port)] {
                if port.is_default() {
                    continue; // absent, which has been said
                }
                let owner = format!("`{key}` of `{}`", service.name);
                taken.claim(port.value, owner, port.span(), "choose a free port", found);
            }
        }
    }
}

pub(super) fn databases_are_distinct(environments: &[Resolved], found: &mut Findings<'_>) {
    for environment in environments {
        let mut taken = Taken::default();
        for service in environment.services.values() {
            if let Some(database) = &service.database {
                let owner = format!("`database` of `{}`", service.name);
                let hint = "each service owns its data; others ask it";
                taken.claim(&database.value, owner, database.span(), hint, found);
            }
        }
    }
}

pub(super) fn paths_are_distinct(environments: &[Resolved], found: &mut Findings<'_>) {
    for environment in environments {
        let mut taken = Taken::default();
        // One that is written and not understood may lie anywhere.
        for service in environment.services.values().filter(|service| !service.unsure.contains(&"path")) {
            let owner = format!("`path` of `{}`", service.name);
            taken.claim(&service.path.value, owner, service.path.span(), "one folder is one service", found);
        }
    }
}

pub(super) fn hosts_are_unique(environments: &[Resolved], found: &mut Findings<'_>) {
    let mut taken = Taken::default();
    for (environment, service) in everywhere(environments) {
        if let Some(host) = &service.host {
            let owner = format!("`host` of `{}` in `{}`", service.name, environment.environment);
            let hint = "set host in [service.<name>.environment.<name>]";
            taken.claim(&host.value, owner, host.span(), hint, found);
        }
    }
}

/// Who has claimed what may be claimed once.
#[derive(Debug)]
struct Taken<T>(HashMap<T, String>);

impl<T> Default for Taken<T> {
    fn default() -> Self {
        Self(HashMap::new())
    }
}

impl<T: Hash + Eq + Display> Taken<T> {
    fn claim(&mut self, what: T, owner: String, span: Range<usize>, hint: &str, found: &mut Findings<'_>) {
        match self.0.get(&what) {
            Some(first) => {
                let message = format!("{what} is both the {first} and the {owner}").replace("the `", "`");
                found.broken(span, message, "already taken", hint.to_owned());
            }
            None => {
                self.0.insert(what, owner);
            }
        }
    }
}

pub(super) fn secrets_are_files(environments: &[Resolved], found: &mut Findings<'_>) {
    for (_, service) in everywhere(environments) {
        for (variable, secret) in &service.secrets.value {
            if !variable.as_str().ends_with("_FILE") && !variable.as_str().ends_with("_DIR") {
                let message =
                    format!("the secret `{secret}` would be handed over in the variable {variable}");
                let hint = format!("secrets are files: name the variable {variable}_FILE");
                found.broken(service.secrets.span(), message, "not a file", hint);
            }
        }
    }
}

pub(super) fn env_holds_no_secret(environments: &[Resolved], found: &mut Findings<'_>) {
    for (_, service) in everywhere(environments) {
        for (variable, value) in &service.env.value {
            let named_like_one = is_named_like_a_secret(variable.as_str());
            if named_like_one || has_password(value.as_str()) || is_a_key(value.as_str()) {
                let message = format!("`env.{variable}` looks like a secret");
                let hint =
                    "list it under `secrets` as a file; the value never stands in this file".to_owned();
                found.broken(service.env.span(), message, "holds a secret", hint);
            }
        }
    }
}

/// Whether a word of the name says that the value is secret. Whole words only: AUTHOR, PASSENGER and COMPASS are none.
fn is_named_like_a_secret(name: &str) -> bool {
    const WORDS: [&str; 13] = [
        "PASSWORD",
        "PASSWORDS",
        "PASSWD",
        "PASSPHRASE",
        "PWD",
        "SECRET",
        "SECRETS",
        "TOKEN",
        "PRIVATE",
        "CREDENTIAL",
        "CREDENTIALS",
        "CREDS",
        "APIKEY",
    ];
    // AUTH_MODE and PASS_THROUGH say how, and hold nothing: as SMTP_PASS does, such a word ends the name of a secret.
    const ONLY_LAST: [&str; 3] = ["PASS", "AUTH", "KEY"];
    let last = name.rsplit('_').next().unwrap_or_default();
    name.split('_').any(|word| WORDS.contains(&word)) || ONLY_LAST.contains(&last)
}

/// Whether `value` is a URL with a password: `scheme://user:password@host`, or in a parameter as PostgreSQL takes it.
fn has_password(value: &str) -> bool {
    let after_scheme = value.split_once("://").map_or("", |(_, rest)| rest);
    let authority = after_scheme.split(['/', '?', '#']).next().unwrap_or_default();
    let query = after_scheme.split_once('?').map_or("", |(_, query)| query);
    let names = query.split('&').filter_map(|pair| pair.split('=').next());
    authority.rsplit_once('@').is_some_and(|(user, _)| user.contains(':'))
        || names.map(str::to_ascii_lowercase).any(|name| name.contains("password"))
}

/// Whether `value` begins as keys of well-known makers do: Stripe, AWS, GitHub, GitLab, Slack, and PEM files.
fn is_a_key(value: &str) -> bool {
    const BEGINNINGS: [&str; 10] = [
        "sk_live_",
        "sk_test_",
        "rk_live_",
        "AKIA",
        "ASIA",
        "ghp_",
        "github_pat_",
        "glpat-",
        "xoxb-",
        "-----BEGIN",
    ];
    BEGINNINGS.iter().any(|beginning| value.starts_with(beginning))
}

pub(super) fn env_sets_nothing_of_ours(environments: &[Resolved], found: &mut Findings<'_>) {
    /// What dev, compose and Kubernetes set for every service from the rest of the file.
    const OURS: [&str; 7] = [
        "PUBLIC_ADDR",
        "ADMIN_ADDR",
        "ADDR_FILE",
        "DATABASE_URL",
        "MIGRATE_DATABASE_URL",
        "SHOP_ENV",
        "PROTECTED",
    ];
    for (_, service) in everywhere(environments) {
        for variable in service.env.keys().filter(|variable| OURS.contains(&variable.as_str())) {
            let message = format!("`env.{variable}` is set by the platform");
            let hint = "take it away: it follows from port, database and environment".to_owned();
            found.broken(service.env.span(), message, "not yours to set", hint);
        }
        for variable in service.env.keys().filter(|variable| service.secrets.contains_key(*variable)) {
            let message = format!("`env.{variable}` is also the name of a secret's file");
            let hint = "take it away: the platform sets it to where the secret is mounted".to_owned();
            found.broken(service.env.span(), message, "set twice", hint);
        }
    }
}
