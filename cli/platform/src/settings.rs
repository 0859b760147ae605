//! Every key of shop.toml, its type and its meaning: the one list that the reader, the JSON Schema and
//! `config show` are made from. Must not hold rules that bind two values: those are `laws`.
use indexmap::IndexMap;
use schemars::JsonSchema;
use serde::Serialize;

use crate::decode::{FromToml, Node, Reader};
use crate::located::Located;
use crate::problem::{Collector, Problem};
use crate::types::{
    AccountId, ContextName, Cpu, DatabaseName, Date, Digest, DnsLabel, Duration, EnvironmentName, FolderPath,
    Host, KubernetesVersion, Memory, Percent, PlainValue, Port, Region, Registry, SecretName, ServiceName,
    TimeOfDay, VariableName, VulnerabilityId, Weekday, Zone,
};

settings! {
    /// What describes an environment: `[defaults]` and `[environment.<name>]`.
    pub(crate) struct EnvironmentSettings {
        /// Whether gates, approvals and the stricter laws bind here.
        protected: bool,
        /// The environment whose verified-good images this one receives.
        after: EnvironmentName,
        /// Which cluster this is. Without it the environment is a developer's machine.
        cluster: ClusterPin,
        /// The Kubernetes namespace that holds the services.
        namespace: DnsLabel,
        /// Where images are pushed to and pulled from.
        registry: Registry,
        /// The cloud region.
        region: Region,
        /// The availability zones used, three of them.
        zones: Vec<Zone>,
        /// The Kubernetes version that the cluster runs.
        kubernetes: KubernetesVersion,
        /// How requests enter the cluster.
        ingress: Ingress,
        /// When a deploy may start, in UTC.
        change_window: ChangeWindow,
        /// What a scan of an image may find.
        scan: Scan,
        /// What the cluster can measure for scaling.
        metrics: Metrics,
    }
}

settings! {
    /// How a service runs: in every layer.
    pub(crate) struct WorkloadSettings {
        /// How many replicas run, and when more are started.
        replicas: Replicas,
        /// CPU for each replica.
        cpu: CpuRange,
        /// Memory for each replica.
        memory: MemoryRange,
        /// How a replica ends without losing a request.
        shutdown: Shutdown,
        /// What the service promises; alerts are derived from it.
        objectives: Objectives,
        /// Plain configuration: environment variables that are no secret.
        env: IndexMap<VariableName, EnvValue>,
        /// Who is called when it breaks.
        team: DnsLabel,
    }
}

settings! {
    /// What a service is: `[service.<s>]` and `[service.<s>.environment.<name>]`.
    pub(crate) struct IdentitySettings {
        /// The cargo package; the service's own name if absent.
        package: ServiceName,
        /// The folder of the package; `services/<name>` if absent.
        path: FolderPath,
        /// The port that serves the API.
        port: Port,
        /// The port of health and metrics, which no ingress exposes.
        admin_port: Port,
        /// The services that it calls.
        depends_on: Vec<ServiceName>,
        /// Its PostgreSQL database.
        database: DatabaseName,
        /// How its schema is migrated before a rollout.
        migrations: Migrations,
        /// Secrets by the variable that names their file (`…_FILE`) or folder (`…_DIR`).
        secrets: IndexMap<VariableName, SecretName>,
        /// The public host name.
        host: Host,
        /// Who takes the payments, for a service that takes any.
        payments: Payments,
    }
}

impl EnvironmentSettings {
    pub(crate) fn builtin() -> Self {
        Self {
            protected: Some(Located::default_of(false)),
            ingress: Some(Located::default_of(Ingress::GatewayApi)),
            ..Self::default()
        }
    }
}

impl WorkloadSettings {
    pub(crate) fn builtin() -> Self {
        Self { env: Some(Located::default_of(IndexMap::new())), ..Self::default() }
    }
}

impl IdentitySettings {
    pub(crate) fn builtin(name: &ServiceName) -> Self {
        let path = format!("services/{name}").parse().expect("a service's name is a valid folder");
        Self {
            package: Some(Located::default_of(name.clone())),
            path: Some(Located::default_of(path)),
            depends_on: Some(Located::default_of(Vec::new())),
            secrets: Some(Located::default_of(IndexMap::new())),
            ..Self::default()
        }
    }
}

table! {
    /// How many replicas run.
    pub struct Replicas {
        /// The fewest.
        pub min: u32,
        /// The most.
        pub max: u32,
        /// The share of the CPU request in use above which more are started.
        pub target_cpu: Percent,
    }
}

table! {
    /// CPU asked for, and the most that is given.
    pub struct CpuRange {
        /// What the scheduler reserves.
        pub request: Cpu,
        /// What is never exceeded.
        pub limit: Cpu,
    }
}

table! {
    /// Memory asked for, and the most that is given.
    pub struct MemoryRange {
        /// What the scheduler reserves.
        pub request: Memory,
        /// Above this the replica is killed.
        pub limit: Memory,
    }
}

table! {
    /// The end of a replica, step by step.
    pub struct Shutdown {
        /// How long load balancers get to forget the replica before it stops accepting.
        pub pre_stop: Duration,
        /// How long requests in flight get to finish.
        pub drain: Duration,
        /// When the replica is killed, counted from the start.
        pub grace: Duration,
    }
}

table! {
    /// What a service promises over 30 days.
    pub struct Objectives {
        /// The share of requests answered without a server error.
        pub availability: Percent,
        /// 95 of 100 requests are answered within this time.
        pub p95: Duration,
    }
}

table! {
    /// How a schema is migrated.
    pub struct Migrations {
        /// When a migration that has not ended counts as failed.
        pub deadline: Duration,
    }
}

table! {
    /// When a deploy may start, in UTC.
    pub struct ChangeWindow {
        /// The days on which the window opens.
        pub days: Vec<Weekday>,
        /// From this time,
        pub from: TimeOfDay,
        /// until this one, on the same day.
        pub until: TimeOfDay,
    }
}

table! {
    /// What a scan of an image may find.
    pub struct Scan {
        /// Findings of this severity or worse stop a release.
        pub severity: Severity,
        /// Whether findings without a fix are let pass.
        pub fixable_only: bool,
        /// Findings that were looked at and accepted for a time.
        pub ignore: Vec<Ignored>,
    }
}

table! {
    /// One accepted finding.
    pub struct Ignored {
        /// Its id.
        pub id: VulnerabilityId,
        /// Why it does no harm here.
        pub reason: PlainValue,
        /// When it has to be looked at again.
        pub expires: Date,
    }
}

table! {
    /// What the cluster can measure for scaling.
    pub struct Metrics {
        /// Whether a metrics adapter serves requests per second.
        pub adapter: bool,
    }
}

/// Which cluster an environment is. A kubeconfig that points elsewhere is refused before anything is written.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, JsonSchema)]
#[serde(untagged, deny_unknown_fields)]
pub enum ClusterPin {
    /// A cluster reached through a kubeconfig.
    Context {
        /// The context's name.
        context: ContextName,
        /// The digest of the API server's CA certificate (DER).
        ca_sha256: Digest,
    },
    /// An EKS cluster in the environment's region, reached through the SDK.
    Eks {
        /// The cluster's name.
        eks: DnsLabel,
        /// The AWS account that owns it.
        account: AccountId,
    },
}

impl FromToml for ClusterPin {
    fn from_toml(node: Node<'_>, problems: &mut Collector) -> Option<Self> {
        let mut reader = Reader::open(node, problems)?;
        let pin = match (reader.has("eks"), reader.has("context")) {
            (true, false) => {
                let (eks, account) = (reader.required("eks", problems), reader.required("account", problems));
                eks.zip(account).map(|(eks, account)| Self::Eks { eks: eks.value, account: account.value })
            }
            (false, true) => {
                let context = reader.required("context", problems);
                let digest = reader.required("ca_sha256", problems);
                context.zip(digest).map(|(context, digest)| Self::Context {
                    context: context.value,
                    ca_sha256: digest.value,
                })
            }
            _ => {
                let message = format!("`{}` must name one cluster", node.path);
                let hint =
                    "write { eks = \"…\", account = \"…\" } or { context = \"…\", ca_sha256 = \"sha256:…\" }";
                problems.add(Problem::new("bad-value", node.span(), message).label("which one?").hint(hint));
                return None;
            }
        };
        reader.finish(|_| None, problems);
        pin
    }
}

/// The value of an environment variable: text, a whole number, or true or false.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct EnvValue(PlainValue);

impl EnvValue {
    /// The text that the process sees.
    #[must_use]
    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }
}

impl FromToml for EnvValue {
    fn from_toml(node: Node<'_>, problems: &mut Collector) -> Option<Self> {
        use toml::de::DeValue;
        let written = match node.value.get_ref() {
            DeValue::Integer(number) if number.radix() == 10 => number.as_str().to_owned(),
            DeValue::Boolean(value) => value.to_string(),
            _ => return PlainValue::from_toml(node, problems).map(Self),
        };
        Some(Self(written.parse().expect("digits and words are one line")))
    }
}

impl JsonSchema for EnvValue {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "EnvValue".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({ "type": ["string", "integer", "boolean"] })
    }
}

choice! {
    /// How requests enter a cluster.
    pub enum Ingress {
        /// Gateway and HTTPRoute.
        GatewayApi = "gateway-api",
        /// The retired ingress-nginx, for those who still run it.
        IngressNginx = "ingress-nginx",
    }
}

choice! {
    /// How bad a finding is.
    pub enum Severity {
        /// Low.
        Low = "low",
        /// Medium.
        Medium = "medium",
        /// High.
        High = "high",
        /// Critical.
        Critical = "critical",
    }
}

choice! {
    /// Who takes payments.
    pub enum Payments {
        /// Test cards only; never in a protected environment.
        Sandbox = "sandbox",
        /// Stripe.
        Stripe = "stripe",
    }
}
