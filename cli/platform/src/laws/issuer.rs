//! The law about services that take the issuer's tokens: what each needs to know of it where nobody wires it.
//! Must not know what a service does with these variables.
use super::{Findings, everywhere};
use crate::resolved::{Resolved, Service};

/// Who has it, issues the access tokens.
const SIGNING_KEYS: &str = "SIGNING_KEYS_DIR";
/// The service's own client at the issuer.
const CLIENT: &str = "ISSUER_CLIENT_FILE";
/// Where the issuer is reached, and what stands in its tokens, which is compared letter by letter.
const URL: &str = "ISSUER_URL";
const IN_TOKENS: [&str; 2] = ["ISSUER", "AUDIENCE"];

pub(super) fn dependents_know_the_issuer(environments: &[Resolved], found: &mut Findings<'_>) {
    // Without a cluster the environment is a developer's machine, where dev and compose wire all of it.
    for (environment, service) in everywhere(environments).filter(|(one, _)| one.cluster.is_some()) {
        let issuer = environment.services.values().find(|one| one.secrets.contains_key(SIGNING_KEYS));
        let Some(issuer) = issuer.filter(|issuer| service.depends_on.contains(&issuer.name)) else {
            continue;
        };
        if service.name == issuer.name {
            continue; // a circle, which has been said
        }
        let here = format!("`{}` depends on the issuer `{}`", service.name, issuer.name);
        if !service.secrets.contains_key(CLIENT) && !service.unsure.contains(&"secrets") {
            let place =
                if service.secrets.is_default() { service.depends_on.span() } else { service.secrets.span() };
            let hint = format!(
                "add {CLIENT} = \"issuer-client\" to its `secrets`: `{} clients create --name {}` makes what is in it",
                issuer.name, service.name
            );
            found.broken(place, format!("{here} and has no {CLIENT}"), "no client at the issuer", hint);
        }
        if !service.unsure.contains(&"env") {
            env_names_the_issuer(environment, service, issuer, &here, found);
        }
    }
}

fn env_names_the_issuer(
    environment: &Resolved,
    service: &Service,
    issuer: &Service,
    here: &str,
    found: &mut Findings<'_>,
) {
    let place = || if service.env.is_default() { service.depends_on.span() } else { service.env.span() };
    let table = format!("[service.{}.environment.{}.env]", service.name, environment.environment);
    let url = service.env.get(URL).map(|url| url.as_str());
    if url.is_some_and(|url| *environment.protected && !url.starts_with("https://")) {
        let message = format!(
            "{here}, which it would reach without TLS in the protected `{}`",
            environment.environment
        );
        found.broken(
            place(),
            message,
            &format!("{URL} is not https"),
            format!("write an https:// {URL} into {table}"),
        );
    }
    if url.is_none() {
        let message = format!("{here} and does not know where it is in `{}`", environment.environment);
        let hint = format!("add {URL}, such as \"https://users.shop.example\", to {table}");
        found.broken(place(), message, &format!("no {URL}"), hint);
    }
    for variable in IN_TOKENS {
        let (own, its) = (service.env.get(variable), issuer.env.get(variable));
        if own.is_some() && own == its {
            continue;
        }
        let hint = match its {
            Some(its) => format!("write {variable} = \"{}\" into {table}", its.as_str()),
            None if issuer.unsure.contains(&"env") => continue,
            None => format!(
                "write the same {variable} into the env of `{}` and of `{}`",
                issuer.name, service.name
            ),
        };
        let message = match own {
            Some(own) => format!(
                "`{}` takes tokens whose {variable} is \"{}\", and those of `{}` are others in `{}`",
                service.name,
                own.as_str(),
                issuer.name,
                environment.environment
            ),
            None => format!(
                "{here} and does not know the {variable} of its tokens in `{}`",
                environment.environment
            ),
        };
        found.broken(place(), message, &format!("not the issuer's {variable}"), hint);
    }
}
