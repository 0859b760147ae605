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
    let (namespace, registry) =
        (need.value("namespace", &settings.namespace), need.value("registry", &settings.registry));
    let (region, zones) = (need.value("region", &settings.region), need.value("zones", &settings.zones));
    let kubernetes = need.value("kubernetes", &settings.kubernetes);
    let ingress = need.value("ingress", &settings.ingress);
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
    let (port, admin_port) =
        (need.value("port", &identity.port), need.value("admin_port", &identity.admin_port));
    let replicas = need.value("replicas", &workload.replicas);
    let (cpu, memory) = (need.value("cpu", &workload.cpu), need.value("memory", &workload.memory));
    let shutdown = need.value("shutdown", &workload.shutdown);
    let objectives = need.value("objectives", &workload.objectives);
    let team = need.value("team", &workload.team);
    Some(Service {
        name: name.clone(),
        package: identity.package?,
        path: identity.path?,
        port: port.ok()?,
        admin_port: admin_port.ok()?,
        depends_on: identity.depends_on?,
        database: identity.database,
        migrations: identity.migrations,
        secrets: identity.secrets?,
        host: identity.host,
        payments: identity.payments,
        replicas: replicas.ok()?,
        cpu: cpu.ok()?,
        memory: memory.ok()?,
        shutdown: shutdown.ok()?,
        objectives: objectives.ok()?,
        env: workload.env?,
        team: team.ok()?,
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
    fn value<T: Clone>(&mut self, key: &str, found: &Option<Located<T>>) -> Result<Located<T>, Missing> {
        found.clone().ok_or_else(|| {
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
