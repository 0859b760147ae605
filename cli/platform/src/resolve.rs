//! The merge of the layers, later wins: defaults, environment, service, service in that environment.
//! A key replaces a key whole; lists and tables never merge. Must not check what binds two values: `laws` do.
use std::ops::Range;

use crate::document::{Document, Layer, ServiceLayer, ServiceTable};
use crate::located::Located;
use crate::problem::{Collector, Problem};
use crate::resolved::{Cluster, Resolved, Service, Setting};
use crate::settings::{EnvironmentSettings, IdentitySettings, WorkloadSettings};
use crate::types::{EnvironmentName, ServiceName};

/// Every environment that has all it needs; what is missing is reported.
pub(crate) fn resolve(document: &Document, problems: &mut Collector) -> Vec<Resolved> {
    let mut resolved = Vec::new();
    for (name, layer) in &document.environments {
        resolved.extend(resolve_one(document, name, layer, problems));
    }
    resolved
}

fn resolve_one(
    document: &Document,
    name: &EnvironmentName,
    layer: &Layer,
    problems: &mut Collector,
) -> Option<Resolved> {
    let settings =
        EnvironmentSettings::builtin().under(&document.defaults.environment).under(&layer.environment);
    let mut listed = Vec::new();
    Setting::parts("date", &document.date, &mut listed);
    settings.list("", &mut listed);
    let cluster = cluster(name, &settings, layer, problems);
    let mut services = Vec::new();
    for (service, table) in &document.services {
        let in_environment = table.environments.get(name);
        let identity = identity(service, table, in_environment);
        let workload = workload(&document.defaults, layer, &table.base, in_environment);
        identity.list(&format!("service.{service}."), &mut listed);
        workload.list(&format!("service.{service}."), &mut listed);
        services.push(decide(service, identity, workload, &table.base.span, problems));
    }
    let services: Option<Vec<Service>> = services.into_iter().collect();
    Some(Resolved {
        environment: name.clone(),
        date: document.date.clone(),
        protected: settings.protected?,
        after: settings.after,
        cluster: cluster.ok()?,
        change_window: settings.change_window,
        scan: settings.scan,
        metrics: settings.metrics,
        services: services?.into_iter().map(|service| (service.name.clone(), service)).collect(),
        settings: listed,
    })
}

fn identity(name: &ServiceName, table: &ServiceTable, here: Option<&ServiceLayer>) -> IdentitySettings {
    let base = IdentitySettings::builtin(name).under(&table.base.identity);
    here.map_or_else(|| base.clone(), |layer| base.clone().under(&layer.identity))
}

fn workload(
    defaults: &Layer,
    environment: &Layer,
    base: &ServiceLayer,
    here: Option<&ServiceLayer>,
) -> WorkloadSettings {
    let layers = [Some(&defaults.workload), Some(&environment.workload), Some(&base.workload)];
    let all = layers.into_iter().chain([here.map(|layer| &layer.workload)]).flatten();
    all.fold(WorkloadSettings::builtin(), WorkloadSettings::under)
}

/// The cluster with all that belongs to one, `None` on a developer's machine, an error where a part is missing.
fn cluster(
    name: &EnvironmentName,
    settings: &EnvironmentSettings,
    layer: &Layer,
    problems: &mut Collector,
) -> Result<Option<Cluster>, Missing> {
    let Some(pin) = settings.cluster.clone() else { return Ok(None) };
    let owner = format!("the environment `{name}`");
    let mut need = Need { owner, place: format!("environment.{name}"), span: layer.span.clone(), problems };
    let namespace = need.value("namespace", settings.namespace.clone());
    let registry = need.value("registry", settings.registry.clone());
    let region = need.value("region", settings.region.clone());
    let zones = need.value("zones", settings.zones.clone());
    let kubernetes = need.value("kubernetes", settings.kubernetes.clone());
    let ingress = need.value("ingress", settings.ingress.clone());
    Ok(Some(Cluster {
        pin,
        namespace: namespace?,
        registry: registry?,
        region: region?,
        zones: zones?,
        kubernetes: kubernetes?,
        ingress: ingress?,
    }))
}

fn decide(
    name: &ServiceName,
    identity: IdentitySettings,
    workload: WorkloadSettings,
    span: &Range<usize>,
    problems: &mut Collector,
) -> Option<Service> {
    let owner = format!("the service `{name}`");
    let mut need = Need { owner, place: format!("service.{name}"), span: span.clone(), problems };
    let port = need.value("port", identity.port).unwrap_or_else(stand_in::port);
    let admin_port = need.value("admin_port", identity.admin_port).unwrap_or_else(stand_in::port);
    let replicas = need.value("replicas", workload.replicas).unwrap_or_else(stand_in::replicas);
    let cpu = need.value("cpu", workload.cpu).unwrap_or_else(stand_in::cpu);
    let memory = need.value("memory", workload.memory).unwrap_or_else(stand_in::memory);
    let shutdown = need.value("shutdown", workload.shutdown).unwrap_or_else(stand_in::shutdown);
    let objectives = need.value("objectives", workload.objectives).unwrap_or_else(stand_in::objectives);
    let team = need.value("team", workload.team).unwrap_or_else(stand_in::team);
    Some(Service {
        name: name.clone(),
        package: identity.package?,
        path: identity.path?,
        port,
        admin_port,
        depends_on: identity.depends_on?,
        database: identity.database,
        migrations: identity.migrations,
        secrets: identity.secrets?,
        host: identity.host,
        payments: identity.payments,
        replicas,
        cpu,
        memory,
        shutdown,
        objectives,
        env: workload.env?,
        team,
    })
}

/// A needed value is absent and that has been reported.
#[derive(Debug)]
struct Missing;

/// Takes what must be there, and says so where it is not.
struct Need<'a> {
    owner: String,
    place: String,
    span: Range<usize>,
    problems: &'a mut Collector,
}

impl Need<'_> {
    fn value<T>(&mut self, key: &str, found: Option<Located<T>>) -> Result<Located<T>, Missing> {
        found.ok_or_else(|| {
            if self.problems.malformed.contains(key) {
                return Missing;
            }
            let message = format!("{} has no `{key}`", self.owner);
            let hint = match IdentitySettings::KEYS.contains(&key) {
                true => format!("add `{key} = …` to [{}]", self.place),
                false => format!("add `{key} = …` to [{}], or to [defaults] for all", self.place),
            };
            let problem = Problem::new("missing-key", self.span.clone(), message);
            self.problems.add(problem.label(format!("`{key}` is missing")).hint(hint));
            Missing
        })
    }
}

/// Values that break no law, for those that are missing: the laws can then speak of all the others in the same
/// run. They never leave the crate, since a missing value is a problem and a file with one gives no platform.
mod stand_in {
    use super::Missing;
    use crate::located::Located;
    use crate::settings::{CpuRange, MemoryRange, Objectives, Replicas, Shutdown};
    use crate::types::{DnsLabel, Port};

    fn of<T: std::str::FromStr<Err = String>>(text: &str) -> T {
        text.parse().expect("a constant of this module, tested")
    }

    /// Not distinct: the law on ports passes over values that stand in no file.
    pub(super) fn port(_: Missing) -> Located<Port> {
        Located::default_of(Port::LOWEST)
    }

    pub(super) fn replicas(_: Missing) -> Located<Replicas> {
        Located::default_of(Replicas { min: 3, max: 10, target_cpu: of("70%") })
    }

    pub(super) fn cpu(_: Missing) -> Located<CpuRange> {
        Located::default_of(CpuRange { request: of("1"), limit: of("1") })
    }

    pub(super) fn memory(_: Missing) -> Located<MemoryRange> {
        Located::default_of(MemoryRange { request: of("1Gi"), limit: of("1Gi") })
    }

    pub(super) fn shutdown(_: Missing) -> Located<Shutdown> {
        Located::default_of(Shutdown { pre_stop: of("1s"), drain: of("1s"), grace: of("3s") })
    }

    pub(super) fn objectives(_: Missing) -> Located<Objectives> {
        Located::default_of(Objectives { availability: of("99%"), p95: of("1s") })
    }

    pub(super) fn team(_: Missing) -> Located<DnsLabel> {
        Located::default_of(of("nobody"))
    }
}
