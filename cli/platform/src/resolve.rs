//! The merge of the layers, later wins: defaults, environment, service, service in that environment.
//! A key replaces a key whole; lists and tables never merge. Must not check what binds two values: `laws` do.
use std::ops::Range;

use crate::document::{Document, Layer, ServiceLayer, ServiceTable};
use crate::located::Located;
use crate::problem::{Collector, Problem};
use crate::resolved::{Cluster, Resolved, Service, Setting};
use crate::settings::{EnvironmentSettings, IdentitySettings, WorkloadSettings};
use crate::types::{EnvironmentName, ServiceName};

/// Every environment; what is missing is reported. What is not understood, which has been said, falls back to what the
/// platform takes when the file is silent, so that the laws can speak of all the rest.
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
    let builtin = EnvironmentSettings::builtin();
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
        services.extend(decide(service, identity, workload, &table.base.span, problems));
    }
    Some(Resolved {
        environment: name.clone(),
        date: document.date.clone(),
        // Where it is not understood, no law may take the environment for a protected one.
        protected: settings.protected.or(builtin.protected)?,
        after: settings.after,
        cluster,
        change_window: settings.change_window,
        scan: settings.scan,
        metrics: settings.metrics,
        services: services.into_iter().map(|service| (service.name.clone(), service)).collect(),
        settings: listed,
        unsure: settings.unsure,
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

/// The cluster with all that belongs to one; none on a developer's machine.
fn cluster(
    name: &EnvironmentName,
    settings: &EnvironmentSettings,
    layer: &Layer,
    problems: &mut Collector,
) -> Option<Cluster> {
    let pin = settings.cluster.clone()?;
    let owner = format!("the environment `{name}`");
    let mut need = Need {
        owner,
        place: format!("environment.{name}"),
        span: layer.span.clone(),
        unsure: &settings.unsure,
        problems,
    };
    Some(Cluster {
        pin,
        namespace: need.value("namespace", settings.namespace.clone()).unwrap_or_else(stand_in::label),
        registry: need.value("registry", settings.registry.clone()).unwrap_or_else(stand_in::registry),
        region: need.value("region", settings.region.clone()).unwrap_or_else(stand_in::region),
        zones: need.value("zones", settings.zones.clone()).unwrap_or_else(stand_in::zones),
        kubernetes: need
            .value("kubernetes", settings.kubernetes.clone())
            .unwrap_or_else(stand_in::kubernetes),
        ingress: settings.ingress.clone().or(EnvironmentSettings::builtin().ingress)?,
    })
}

fn decide(
    name: &ServiceName,
    identity: IdentitySettings,
    workload: WorkloadSettings,
    span: &Range<usize>,
    problems: &mut Collector,
) -> Option<Service> {
    let owner = format!("the service `{name}`");
    let (builtin, plain) = (IdentitySettings::builtin(name), WorkloadSettings::builtin());
    let unsure = [identity.unsure, workload.unsure].concat();
    let mut need =
        Need { owner, place: format!("service.{name}"), span: span.clone(), unsure: &unsure, problems };
    Some(Service {
        name: name.clone(),
        package: identity.package.or(builtin.package)?,
        path: identity.path.or(builtin.path)?,
        port: need.value("port", identity.port).unwrap_or_else(stand_in::port),
        admin_port: need.value("admin_port", identity.admin_port).unwrap_or_else(stand_in::port),
        depends_on: identity.depends_on.or(builtin.depends_on)?,
        database: identity.database,
        migrations: identity.migrations,
        secrets: identity.secrets.or(builtin.secrets)?,
        host: identity.host,
        payments: identity.payments,
        replicas: need.value("replicas", workload.replicas).unwrap_or_else(stand_in::replicas),
        cpu: need.value("cpu", workload.cpu).unwrap_or_else(stand_in::cpu),
        memory: need.value("memory", workload.memory).unwrap_or_else(stand_in::memory),
        shutdown: need.value("shutdown", workload.shutdown).unwrap_or_else(stand_in::shutdown),
        objectives: need.value("objectives", workload.objectives).unwrap_or_else(stand_in::objectives),
        env: workload.env.or(plain.env)?,
        team: need.value("team", workload.team).unwrap_or_else(stand_in::label),
        unsure: unsure.clone(),
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
    unsure: &'a [&'static str],
    problems: &'a mut Collector,
}

impl Need<'_> {
    fn value<T>(&mut self, key: &str, found: Option<Located<T>>) -> Result<Located<T>, Missing> {
        found.ok_or_else(|| {
            if self.unsure.contains(&key) {
                return Missing; // what is wrong with it has been said
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

mod stand_in {
    //! Values for those that are missing, so that the laws can speak of all the others in the same run: either they
    //! break no law, or the law passes over values that stand in no file. They must not leave the crate, and cannot:
    //! a missing value is a problem, and a file with a problem gives no platform.
    use super::Missing;
    use crate::located::Located;
    use crate::settings::{CpuRange, MemoryRange, Objectives, Replicas, Shutdown};
    use crate::types::{DnsLabel, KubernetesVersion, Port, Region, Registry, Zone};

    fn of<T: std::str::FromStr<Err = String>>(text: &str) -> T {
        text.parse().expect("a constant of this module, tested")
    }

    pub(super) fn port(_: Missing) -> Located<Port> {
        Located::default_of(Port::LOWEST)
    }

    pub(super) fn label(_: Missing) -> Located<DnsLabel> {
        Located::default_of(of("missing"))
    }

    pub(super) fn registry(_: Missing) -> Located<Registry> {
        Located::default_of(of("missing"))
    }

    pub(super) fn region(_: Missing) -> Located<Region> {
        Located::default_of(of("eu-central-1"))
    }

    pub(super) fn zones(_: Missing) -> Located<Vec<Zone>> {
        Located::default_of(Vec::new())
    }

    pub(super) fn kubernetes(_: Missing) -> Located<KubernetesVersion> {
        Located::default_of(KubernetesVersion::new(0))
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
}
