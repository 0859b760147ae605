//! What is going to run: the services of shop.toml in the order of their dependencies, each replica with its ports.
//! Starts nothing; looks at ports, since a used one has to be said before anything is started.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{Ipv4Addr, SocketAddr};

use shop_platform::{Resolved, Service};

use crate::port;
use crate::trouble::{Result, Trouble};

/// The variable of the folder with the keys that sign access tokens: who has it, issues them.
const SIGNING_KEYS: &str = "SIGNING_KEYS_DIR";

/// The variable of the file with a service's own client at the issuer: who has it, follows the issuer's events.
pub(crate) const ISSUER_CLIENT: &str = "ISSUER_CLIENT_FILE";

/// What of a service of shop.toml matters here.
#[derive(Debug, Clone)]
pub struct ServiceSpec {
    pub name: String,
    /// The cargo package with its executable.
    pub package: String,
    pub database: Option<String>,
    /// Services that must be ready first.
    pub depends_on: Vec<String>,
    /// Plain variables from shop.toml.
    pub environment: Vec<(String, String)>,
    pub public_port: u16,
    pub admin_port: u16,
    /// The variable that names a file or folder, and the secret that is in it.
    pub secrets: Vec<(String, String)>,
}

impl ServiceSpec {
    /// The services of an environment of shop.toml.
    pub fn of(resolved: &Resolved) -> Vec<Self> {
        let pairs = |service: &Service| {
            let env = service.env.value.iter();
            env.map(|(name, value)| (name.to_string(), value.as_str().to_owned())).collect()
        };
        let secrets = |service: &Service| {
            let secrets = service.secrets.value.iter();
            secrets.map(|(variable, name)| (variable.to_string(), name.to_string())).collect()
        };
        let spec = |service: &Service| Self {
            name: service.name.to_string(),
            package: service.package.value.to_string(),
            database: service.database.as_ref().map(|database| database.value.to_string()),
            depends_on: service.depends_on.value.iter().map(ToString::to_string).collect(),
            environment: pairs(service),
            public_port: service.port.value.get(),
            admin_port: service.admin_port.value.get(),
            secrets: secrets(service),
        };
        resolved.services.values().map(spec).collect()
    }

    /// The secret with the keys that sign access tokens, if this service issues them.
    pub(crate) fn signing_keys(&self) -> Option<&str> {
        self.secret(SIGNING_KEYS)
    }

    /// The secret with its client at the issuer, if it follows the issuer's events.
    pub(crate) fn issuer_client(&self) -> Option<&str> {
        self.secret(ISSUER_CLIENT)
    }

    fn secret(&self, variable: &str) -> Option<&str> {
        self.secrets.iter().find(|(one, _)| one == variable).map(|(_, name)| name.as_str())
    }
}

/// Where ports are from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Ports {
    /// Those of shop.toml for each service's first replica, free ones for the others.
    #[default]
    Fixed,
    /// Free ones for all.
    Auto,
}

/// The services in the order in which they are started.
#[derive(Debug, Clone)]
pub(crate) struct Plan {
    pub services: Vec<Planned>,
}

/// A service with the places of its replicas.
#[derive(Debug, Clone)]
pub(crate) struct Planned {
    pub spec: ServiceSpec,
    pub replicas: Vec<Place>,
}

/// Where a replica listens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Place {
    /// From 1.
    pub index: u32,
    pub public: SocketAddr,
    pub admin: SocketAddr,
}

impl Plan {
    /// Fails on a replica count of an unknown service, on a circle of dependencies, and on a port in use.
    pub(crate) fn new(
        services: Vec<ServiceSpec>,
        replicas: &BTreeMap<String, u32>,
        ports: Ports,
    ) -> Result<Self> {
        let names: BTreeSet<&str> = services.iter().map(|service| service.name.as_str()).collect();
        if let Some(unknown) = replicas.keys().find(|name| !names.contains(name.as_str())) {
            let known = names.iter().copied().collect::<Vec<_>>().join(", ");
            return Err(Trouble::NoSuchService { name: unknown.clone(), known });
        }
        let mut chooser = Chooser::default();
        let planned = in_order(services)?.into_iter().map(|spec| {
            let count = replicas.get(&spec.name).copied().unwrap_or(1);
            let places =
                (1..=count).map(|index| chooser.place(&spec, index, ports)).collect::<Result<_>>()?;
            Ok(Planned { spec, replicas: places })
        });
        Ok(Self { services: planned.collect::<Result<_>>()? })
    }

    /// The service that issues access tokens.
    pub(crate) fn issuer(&self) -> Option<&Planned> {
        self.services.iter().find(|planned| planned.spec.signing_keys().is_some())
    }

    /// Where the first replica of `service` is reached.
    pub(crate) fn url(&self, service: &str) -> Option<String> {
        let found = self.services.iter().find(|planned| planned.spec.name == service)?;
        found.replicas.first().map(|place| format!("http://{}", place.public))
    }
}

/// Those that need nobody come first; otherwise the order of shop.toml is kept.
fn in_order(mut rest: Vec<ServiceSpec>) -> Result<Vec<ServiceSpec>> {
    let mut ordered: Vec<ServiceSpec> = Vec::new();
    while !rest.is_empty() {
        let known = |name: &String| ordered.iter().any(|service| service.name == *name);
        let Some(next) = rest.iter().position(|service| service.depends_on.iter().all(known)) else {
            let circle = rest.iter().map(|service| service.name.as_str()).collect::<Vec<_>>().join(", ");
            return Err(Trouble::Usage(format!(
                "these services depend on each other or on an unknown one: {circle}"
            )));
        };
        ordered.push(rest.remove(next));
    }
    Ok(ordered)
}

#[derive(Default)]
struct Chooser {
    /// Chosen and not yet in use, so that the system may offer them again.
    taken: BTreeSet<u16>,
}

impl Chooser {
    fn place(&mut self, spec: &ServiceSpec, index: u32, ports: Ports) -> Result<Place> {
        let fixed = ports == Ports::Fixed && index == 1;
        let (public, admin) = if fixed {
            let public = self.claim(spec.public_port, format!("{}, public", spec.name))?;
            (public, self.claim(spec.admin_port, format!("{}, admin", spec.name))?)
        } else {
            (self.free()?, self.free()?)
        };
        Ok(Place { index, public: loopback(public), admin: loopback(admin) })
    }

    fn claim(&mut self, port: u16, what: String) -> Result<u16> {
        if !port::is_free(port) || !self.taken.insert(port) {
            return Err(Trouble::PortTaken { what, port, holder: port::holder(port) });
        }
        Ok(port)
    }

    fn free(&mut self) -> Result<u16> {
        loop {
            let port = port::free()?;
            if self.taken.insert(port) {
                return Ok(port);
            }
        }
    }
}

fn loopback(port: u16) -> SocketAddr {
    (Ipv4Addr::LOCALHOST, port).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn service(name: &str, depends_on: &[&str], port: u16) -> ServiceSpec {
        ServiceSpec {
            name: name.into(),
            package: name.into(),
            database: None,
            depends_on: depends_on.iter().map(ToString::to_string).collect(),
            environment: Vec::new(),
            public_port: port,
            admin_port: port + 1,
            secrets: Vec::new(),
        }
    }

    #[test]
    fn dependencies_come_first_and_circles_are_refused() {
        let plan = |services| Plan::new(services, &BTreeMap::new(), Ports::Auto);
        let services = vec![service("c", &["b", "a"], 1), service("b", &["a"], 1), service("a", &[], 1)];
        let names: Vec<String> =
            plan(services).unwrap().services.into_iter().map(|one| one.spec.name).collect();
        assert_eq!(names, ["a", "b", "c"]);
        let circle = plan(vec![service("a", &["b"], 1), service("b", &["a"], 1)]).unwrap_err();
        assert!(circle.to_string().ends_with(": a, b"), "{circle}");
    }

    #[test]
    fn every_replica_has_ports_of_its_own() {
        let replicas = BTreeMap::from([("a".to_owned(), 40)]);
        let plan = Plan::new(vec![service("a", &[], 1)], &replicas, Ports::Auto).unwrap();
        let places = &plan.services[0].replicas;
        let ports: BTreeSet<SocketAddr> =
            places.iter().flat_map(|place| [place.public, place.admin]).collect();
        assert_eq!(ports.len(), 80);
        assert_eq!(places.last().unwrap().index, 40);
    }

    #[test]
    fn a_used_port_is_named_with_its_holder() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let error =
            Plan::new(vec![service("a", &[], port)], &BTreeMap::new(), Ports::Fixed).unwrap_err().to_string();
        let me = format!("(pid {})", std::process::id());
        assert!(
            error.contains(&port.to_string()) && error.contains("a, public") && error.ends_with(&me),
            "{error}"
        );
    }

    #[test]
    fn replicas_of_an_unknown_service_are_refused() {
        let replicas = BTreeMap::from([("z".to_owned(), 2)]);
        let error = Plan::new(vec![service("a", &[], 1)], &replicas, Ports::Auto).unwrap_err();
        assert_eq!(error.to_string(), "no service z in shop.toml (it has a)");
    }
}
