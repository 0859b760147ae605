//! compose.yaml: what `shopctl dev up` starts, as containers, for those who prefer it.
//!
//! All containers share one network namespace, that of `machine`. So every address is the one that dev has
//! (127.0.0.1 and the ports of shop.toml), inside and outside alike: the issuer of a token is the same for the browser
//! and for the service that checks it, and plain SMTP and PostgreSQL stay on loopback.
mod model;
mod service;

use std::collections::BTreeSet;

use indexmap::IndexMap;
use shop_platform::Resolved;

use self::model::{Compose, Container, Healthcheck, Secret};
use crate::file::{EmitError, File};
use crate::render;

/// The file's place in the repository.
pub const PATH: &str = "compose.yaml";

/// The folder with the secrets' files, relative to the root; ignored by git.
pub const SECRETS: &str = ".shop/compose";

/// Ports of the containers that are not services.
const POSTGRES_PORT: u16 = 5432;
const SMTP_PORT: u16 = 1025;
const MAILBOX_PORT: u16 = 8025;

/// The PostgreSQL that `shopctl dev` takes as well.
const POSTGRES_IMAGE: &str = "postgres:17";
const MAILBOX_IMAGE: &str = "axllent/mailpit:v1.22.3";
/// Holds the network namespace and does nothing.
const MACHINE_IMAGE: &str = "registry.k8s.io/pause:3.10";

/// Writes compose.yaml for an environment without a cluster.
///
/// # Errors
/// The environment has a cluster, or a service's port is one that the file needs itself.
pub fn emit(resolved: &Resolved) -> Result<File, EmitError> {
    let refused = |reason: String| EmitError::Refused { target: PATH, reason };
    if resolved.cluster.is_some() {
        let reason =
            format!("`{}` runs in a cluster; compose is for a developer's machine", resolved.environment);
        return Err(refused(reason));
    }
    for service in resolved.services.values() {
        let ports = [service.port.get(), service.admin_port.get()];
        if let Some(port) = ports.iter().find(|port| [POSTGRES_PORT, SMTP_PORT, MAILBOX_PORT].contains(port))
        {
            let reason = format!("port {port} of `{}` is taken by PostgreSQL or the mailbox", service.name);
            return Err(refused(reason));
        }
    }
    Ok(File { path: PATH.to_owned(), text: render::yaml("compose.yaml", &model(resolved))? })
}

/// The files that compose.yaml takes secrets from, relative to the root. Each holds one secret and nothing else.
#[must_use]
pub fn secret_files(resolved: &Resolved) -> BTreeSet<String> {
    model(resolved).secrets.into_values().map(|secret| secret.path()).collect()
}

fn model(resolved: &Resolved) -> Compose {
    let mut services = IndexMap::new();
    services.insert("machine".to_owned(), machine(resolved));
    services.insert("mail".to_owned(), mail());
    if resolved.services.values().any(|service| service.database.is_some()) {
        services.insert("postgres".to_owned(), postgres());
    }
    for service in resolved.in_dependency_order() {
        services.extend(service::containers(resolved, service));
    }
    let all =
        |of: fn(&Container) -> Vec<String>| -> BTreeSet<String> { services.values().flat_map(of).collect() };
    let secrets = all(|container| container.secrets.clone());
    let volumes = all(Container::named_volumes);
    Compose {
        secrets: secrets.into_iter().map(|name| (name.clone(), Secret::named(&name))).collect(),
        volumes: volumes.into_iter().map(|name| (name, IndexMap::new())).collect(),
        services,
    }
}

fn machine(resolved: &Resolved) -> Container {
    let services = resolved.services.values().flat_map(|one| [one.port.get(), one.admin_port.get()]);
    let ports = services.chain([POSTGRES_PORT, MAILBOX_PORT]).map(|port| format!("127.0.0.1:{port}:{port}"));
    Container { network_mode: None, ports: Some(ports.collect()), ..Container::of_image(MACHINE_IMAGE) }
}

fn mail() -> Container {
    let environment = [
        ("MP_SMTP_BIND_ADDR", format!("127.0.0.1:{SMTP_PORT}")),
        ("MP_UI_BIND_ADDR", format!("0.0.0.0:{MAILBOX_PORT}")),
    ];
    Container { environment: model::variables(environment), ..Container::of_image(MAILBOX_IMAGE) }
}

/// The image's own entrypoint reads a password file as the user `postgres`, who may not read ours.
const START_POSTGRES: &str =
    "POSTGRES_PASSWORD=\"$(cat /run/secrets/postgres-password)\" exec docker-entrypoint.sh postgres";

fn postgres() -> Container {
    Container {
        entrypoint: model::words(["sh", "-euc", START_POSTGRES]),
        secrets: vec!["postgres-password".to_owned()],
        volumes: vec!["postgres:/var/lib/postgresql/data".to_owned()],
        healthcheck: Some(Healthcheck {
            test: model::words(["CMD", "pg_isready", "--host", "127.0.0.1", "--username", "postgres"]),
            interval: "1s",
            timeout: "3s",
            retries: "60",
        }),
        ..Container::of_image(POSTGRES_IMAGE)
    }
}
