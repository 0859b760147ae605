//! One environment with every value decided: what dev, images, releases, monitoring and Terraform read.
//! Must not know how layers were merged, nor how anything is rendered.
use indexmap::IndexMap;
use serde::Serialize;

use crate::located::Located;
use crate::settings::{
    ChangeWindow, ClusterPin, CpuRange, EnvValue, Ingress, MemoryRange, Metrics, Migrations, Objectives,
    Payments, Replicas, Scan, Shutdown,
};
use crate::types::{
    DatabaseName, Date, DnsLabel, EnvironmentName, FolderPath, Host, KubernetesVersion, Port, Region,
    Registry, SecretName, ServiceName, VariableName, Zone,
};

/// One environment, checked.
#[derive(Debug, Clone, Serialize)]
pub struct Resolved {
    /// Its name.
    pub environment: EnvironmentName,
    /// The day on which the file was last looked through; support calendars are judged on it.
    pub date: Located<Date>,
    /// Whether gates, approvals and the stricter laws bind here.
    pub protected: Located<bool>,
    /// The environment whose verified-good images this one receives.
    pub after: Option<Located<EnvironmentName>>,
    /// The cluster; none on a developer's machine.
    pub cluster: Option<Cluster>,
    /// When a deploy may start; none means always.
    pub change_window: Option<Located<ChangeWindow>>,
    /// What a scan of an image may find; none where nothing is scanned.
    pub scan: Option<Located<Scan>>,
    /// What the cluster can measure for scaling.
    pub metrics: Option<Located<Metrics>>,
    /// The services in the order of the file.
    pub services: IndexMap<ServiceName, Service>,
    /// Every decided value with its origin, in the order shown by `config show`.
    #[serde(skip)]
    pub settings: Vec<Setting>,
    /// The keys that are written but not understood: no law may speak of their absence.
    #[serde(skip)]
    pub(crate) unsure: Vec<&'static str>,
}

/// Where an environment runs.
#[derive(Debug, Clone, Serialize)]
pub struct Cluster {
    /// The identity that must match before anything is written.
    pub pin: Located<ClusterPin>,
    /// The namespace that holds the services.
    pub namespace: Located<DnsLabel>,
    /// Where images are pulled from.
    pub registry: Located<Registry>,
    /// The cloud region.
    pub region: Located<Region>,
    /// The availability zones used.
    pub zones: Located<Vec<Zone>>,
    /// The version that it runs.
    pub kubernetes: Located<KubernetesVersion>,
    /// How requests enter.
    pub ingress: Located<Ingress>,
}

/// One service in one environment.
#[derive(Debug, Clone, Serialize)]
pub struct Service {
    /// Its name: of the binary, the Deployment, the repository of its image.
    pub name: ServiceName,
    /// The cargo package.
    pub package: Located<ServiceName>,
    /// The package's folder, relative to the root.
    pub path: Located<FolderPath>,
    /// The port that serves the API.
    pub port: Located<Port>,
    /// The port of health and metrics.
    pub admin_port: Located<Port>,
    /// The services that it calls.
    pub depends_on: Located<Vec<ServiceName>>,
    /// Its PostgreSQL database.
    pub database: Option<Located<DatabaseName>>,
    /// How its schema is migrated.
    pub migrations: Option<Located<Migrations>>,
    /// Secrets by the variable that names their file or folder.
    pub secrets: Located<IndexMap<VariableName, SecretName>>,
    /// The public host name.
    pub host: Option<Located<Host>>,
    /// Who takes the payments.
    pub payments: Option<Located<Payments>>,
    /// How many replicas run.
    pub replicas: Located<Replicas>,
    /// CPU for each replica.
    pub cpu: Located<CpuRange>,
    /// Memory for each replica.
    pub memory: Located<MemoryRange>,
    /// How a replica ends.
    pub shutdown: Located<Shutdown>,
    /// What it promises.
    pub objectives: Located<Objectives>,
    /// Plain configuration.
    pub env: Located<IndexMap<VariableName, EnvValue>>,
    /// Who is called when it breaks.
    pub team: Located<DnsLabel>,
    /// The keys that are written but not understood: no law may speak of their absence.
    #[serde(skip)]
    pub(crate) unsure: Vec<&'static str>,
}

impl Resolved {
    /// The services with every service after those that it calls. The laws have ruled cycles out.
    #[must_use]
    pub fn in_dependency_order(&self) -> Vec<&Service> {
        let mut ordered: Vec<&Service> = Vec::with_capacity(self.services.len());
        while ordered.len() < self.services.len() {
            let placed = |name: &ServiceName| ordered.iter().any(|service| service.name == *name);
            let next = self
                .services
                .values()
                .find(|service| !placed(&service.name) && service.depends_on.iter().all(placed))
                .expect("dependency edges exist and have no cycle (laws)");
            ordered.push(next);
        }
        ordered
    }
}

/// One value as `config show` prints it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Setting {
    /// Its dotted name: `service.user-management.replicas.min`.
    pub key: String,
    /// The value.
    pub value: serde_json::Value,
    /// The line of the file, from 1; none for a default.
    pub line: Option<usize>,
}

impl Setting {
    /// The parts of a table each on its own; anything else as it is.
    pub(crate) fn parts<T: Serialize>(key: &str, located: &Located<T>, into: &mut Vec<Self>) {
        let value = serde_json::to_value(&located.value).expect("settings are plain data");
        Self::split(key, "", value, &|part| located.origin.line_of(part), into);
    }

    fn split(
        key: &str,
        part: &str,
        value: serde_json::Value,
        line_of: &dyn Fn(&str) -> Option<usize>,
        into: &mut Vec<Self>,
    ) {
        match value {
            serde_json::Value::Object(fields) if !fields.is_empty() => {
                for (name, value) in fields {
                    let part = if part.is_empty() { name.clone() } else { format!("{part}.{name}") };
                    Self::split(&format!("{key}.{name}"), &part, value, line_of, into);
                }
            }
            value => into.push(Self { key: key.to_owned(), value, line: line_of(part) }),
        }
    }
}
