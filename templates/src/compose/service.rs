//! The containers of one service: its database made, its keys made, its schema migrated, its first
//! data, its client at the issuer, then itself.
//! Mirrors what shop-devstack does with processes; must not add anything of its own.
use indexmap::IndexMap;
use shop_platform::{Resolved, Service};

use super::model::{Build, Condition, Container, literal, variables, words};
use super::{POSTGRES_IMAGE, POSTGRES_PORT, SMTP_PORT};

/// Who has it, issues the access tokens.
const SIGNING_KEYS: &str = "SIGNING_KEYS_DIR";
/// The service's own client at the issuer: who has it, follows the issuer's events.
const ISSUER_CLIENT: &str = "ISSUER_CLIENT_FILE";
const SEED_PASSWORD: &str = "seed-password";
/// Where volumes of secrets are mounted.
const VOLUMES: &str = "/var/lib/shop";
const DOCKERFILE: &str = "infra/compose/Dockerfile";

/// Makes the database and its two roles: the owner migrates, the other cannot alter the schema.
const MAKE_DATABASE: &str = "infra/compose/database.sql";

pub(super) fn containers(resolved: &Resolved, service: &Service) -> Vec<(String, Container)> {
    let mut made = Vec::new();
    let mut needs: Vec<(String, &'static str)> = vec![("mail".to_owned(), "service_started")];
    let mut once = |suffix: &str, container: Container, needs: &mut Vec<(String, &'static str)>| {
        let name = format!("{}-{suffix}", service.name);
        needs.push((name.clone(), "service_completed_successfully"));
        made.push((name, Container { restart: "no", ..container }));
    };
    if service.secrets.contains_key(SIGNING_KEYS) {
        let keys = Container {
            command: words(["keys", "init", "--dir", &path_of(service, SIGNING_KEYS)]),
            ..program(resolved, service, &[])
        };
        once("keys", keys, &mut needs);
    }
    if service.database.is_some() {
        once("database", database(service), &mut needs);
        let migrate = Container {
            command: words(["migrate"]),
            depends_on: conditions(&needs),
            ..program(resolved, service, &[SERVE, OWNER])
        };
        once("migrate", migrate, &mut needs);
        once("seed", seed(resolved, service, &needs), &mut needs);
    }
    if let Some(client) = client(resolved, service) {
        once("client", client, &mut needs);
    }
    needs.extend(service.depends_on.iter().map(|name| (name.to_string(), "service_started")));
    let serve = Container {
        command: words(["serve"]),
        depends_on: conditions(&needs),
        ..program(resolved, service, &[SERVE])
    };
    made.push((service.name.to_string(), serve));
    made
}

/// First data, with the password that the seeded accounts share. A `seed` leaves what is there as it is, so that it
/// may run at each start.
fn seed(resolved: &Resolved, service: &Service, needs: &[(String, &'static str)]) -> Container {
    let mut seed = Container {
        command: words(["seed"]),
        depends_on: conditions(needs),
        ..program(resolved, service, &[SERVE])
    };
    seed.environment.insert("SEED_PASSWORD_FILE".to_owned(), format!("/run/secrets/{SEED_PASSWORD}"));
    seed.secrets.push(SEED_PASSWORD.to_owned());
    seed
}

/// The issuer's program, which makes the service's client in a volume that both share. At each start, as it leaves a
/// client that works as it is.
fn client(resolved: &Resolved, service: &Service) -> Option<Container> {
    service.secrets.get(ISSUER_CLIENT)?;
    let issuer = issuer(resolved)?;
    let mut client = Container {
        command: words([
            "clients",
            "create",
            "--name",
            service.name.as_str(),
            "--to",
            &path_of(service, ISSUER_CLIENT),
        ]),
        ..program(resolved, issuer, &[SERVE])
    };
    client.volumes.extend(volume_of(service, ISSUER_CLIENT));
    if issuer.database.is_some() {
        client.depends_on =
            conditions(&[(format!("{}-migrate", issuer.name), "service_completed_successfully")]);
    }
    Some(client)
}

/// The service that issues access tokens.
fn issuer(resolved: &Resolved) -> Option<&Service> {
    resolved.services.values().find(|one| one.secrets.contains_key(SIGNING_KEYS))
}

fn conditions(needs: &[(String, &'static str)]) -> IndexMap<String, Condition> {
    needs.iter().map(|(name, condition)| (name.clone(), Condition { condition })).collect()
}

/// How a container logs in to the database: the prefix of its variables and the role.
type Login = (&'static str, &'static str);
const SERVE: Login = ("DATABASE", "serve");
const OWNER: Login = ("MIGRATE_DATABASE", "owner");

/// The service's executable with its environment and these logins; the command is still to be said.
fn program(resolved: &Resolved, service: &Service, logins: &[Login]) -> Container {
    let mut args = IndexMap::new();
    args.insert("PACKAGE".to_owned(), service.package.to_string());
    let mut secrets: Vec<String> = mounted(service).map(|(_, secret)| secret_name(service, secret)).collect();
    let mut environment = environment(resolved, service);
    for (prefix, role) in logins {
        let Some(database) = &service.database else { continue };
        let (secret, host) = (password(service, role), format!("127.0.0.1:{POSTGRES_PORT}"));
        let url = format!("postgres://{database}_{role}@{host}/{database}");
        environment.insert(format!("{prefix}_URL"), literal(&url));
        environment.insert(format!("{prefix}_PASSWORD_FILE"), format!("/run/secrets/{secret}"));
        secrets.push(secret);
    }
    let volumes = service.secrets.keys().filter_map(|variable| volume_of(service, variable.as_str()));
    Container {
        build: Some(Build { context: ".", dockerfile: DOCKERFILE, args }),
        // The mounted secrets belong to the developer and only to them; inside, that is root.
        user: Some("0:0"),
        environment,
        volumes: volumes.collect(),
        secrets,
        ..Container::of_image(&format!("{}:dev", service.name))
    }
}

fn environment(resolved: &Resolved, service: &Service) -> IndexMap<String, String> {
    let mut all = IndexMap::new();
    let mut set = |name: &str, value: &str| all.insert(name.to_owned(), literal(value));
    set("LOG_FORMAT", "text");
    for (name, value) in &service.env.value {
        set(name.as_str(), value.as_str());
    }
    // From here on: how this machine is wired, whatever shop.toml says.
    set("SHOP_ENV", resolved.environment.as_str());
    set("PROTECTED", "false");
    set("PUBLIC_ADDR", &format!("0.0.0.0:{}", *service.port));
    set("ADMIN_ADDR", &format!("0.0.0.0:{}", *service.admin_port));
    set("PUBLIC_BASE_URL", &url(service));
    set("SMTP_URL", &format!("smtp://127.0.0.1:{SMTP_PORT}"));
    if let Some(issuer) = issuer(resolved) {
        set("ISSUER", &url(issuer));
        set("ISSUER_URL", &url(issuer));
    }
    for dependency in service.depends_on.iter().filter_map(|name| resolved.services.get(name)) {
        let variable = dependency.name.as_str().to_uppercase().replace('-', "_");
        set(&format!("{variable}_URL"), &url(dependency));
    }
    // Passwords of servers come with their addresses.
    let all_but_passwords =
        service.secrets.keys().filter(|variable| !variable.as_str().ends_with("_PASSWORD_FILE"));
    for variable in all_but_passwords {
        set(variable.as_str(), &path_of(service, variable.as_str()));
    }
    all
}

/// The secrets that are files of their own; passwords of servers come with their addresses.
fn mounted(service: &Service) -> impl Iterator<Item = (&str, &str)> {
    let all = service.secrets.iter().map(|(variable, secret)| (variable.as_str(), secret.as_str()));
    all.filter(|(variable, _)| {
        variable.ends_with("_FILE")
            && !variable.ends_with("_PASSWORD_FILE")
            && !is_made_by_a_service(variable)
    })
}

/// Whether a service makes what is in it, in a volume that is kept: folders, and what an issuer hands out.
fn is_made_by_a_service(variable: &str) -> bool {
    variable.ends_with("_DIR") || variable == ISSUER_CLIENT
}

fn path_of(service: &Service, variable: &str) -> String {
    let secret = service.secrets.get(variable).expect("asked for a secret that the service has");
    let name = secret_name(service, secret.as_str());
    match variable {
        // A volume is a folder.
        ISSUER_CLIENT => format!("{VOLUMES}/{name}/client.json"),
        _ if is_made_by_a_service(variable) => format!("{VOLUMES}/{name}"),
        _ => format!("/run/secrets/{name}"),
    }
}

/// The volume that keeps what a service makes, and where it is mounted.
fn volume_of(service: &Service, variable: &str) -> Option<String> {
    let secret = service.secrets.get(variable).filter(|_| is_made_by_a_service(variable))?;
    let name = secret_name(service, secret.as_str());
    Some(format!("{name}:{VOLUMES}/{name}"))
}

fn secret_name(service: &Service, secret: &str) -> String {
    format!("{}-{secret}", service.name)
}

fn password(service: &Service, role: &str) -> String {
    format!("{}-database-{role}-password", service.name)
}

fn url(service: &Service) -> String {
    format!("http://127.0.0.1:{}", *service.port)
}

fn database(service: &Service) -> Container {
    let (owner, serve) = (password(service, "owner"), password(service, "serve"));
    let script = "export PGPASSWORD=\"$(cat /run/secrets/postgres-password)\"; exec psql --quiet --no-psqlrc \
                  --host 127.0.0.1 --username postgres --set ON_ERROR_STOP=1 --set name=\"$DATABASE\" \
                  --file /database.sql";
    let environment = variables([
        ("DATABASE", service.database.as_ref().map(ToString::to_string).unwrap_or_default()),
        ("OWNER", format!("/run/secrets/{owner}")),
        ("SERVE", format!("/run/secrets/{serve}")),
    ]);
    Container {
        entrypoint: words(["sh", "-euc", script]),
        environment,
        secrets: vec!["postgres-password".to_owned(), owner, serve],
        volumes: vec![format!("./{MAKE_DATABASE}:/database.sql:ro")],
        depends_on: conditions(&[("postgres".to_owned(), "service_healthy")]),
        ..Container::of_image(POSTGRES_IMAGE)
    }
}
