//! The file as it is laid out: defaults, environments, services and their layers, each read as far as it can be.
//! Must not merge layers: `resolve` does.
use std::ops::Range;

use indexmap::IndexMap;
use toml::de::{DeTable, DeValue};

use crate::decode::{FromToml, Node, Reader, Text, parse_key};
use crate::located::Located;
use crate::problem::{Collector, Problem, did_you_mean};
use crate::settings::{EnvironmentSettings, IdentitySettings, WorkloadSettings};
use crate::types::{Date, EnvironmentName, ServiceName};

/// The only version of the file's layout so far.
const SCHEMA: u32 = 1;

/// A well-formed file: every layer, not yet merged.
#[derive(Debug)]
pub(crate) struct Document {
    pub(crate) date: Located<Date>,
    pub(crate) defaults: Layer,
    pub(crate) environments: IndexMap<EnvironmentName, Layer>,
    pub(crate) services: IndexMap<ServiceName, ServiceTable>,
}

/// `[defaults]` or `[environment.<name>]`.
#[derive(Debug, Default)]
pub(crate) struct Layer {
    pub(crate) span: Range<usize>,
    pub(crate) environment: EnvironmentSettings,
    pub(crate) workload: WorkloadSettings,
}

/// `[service.<s>]` with its layers for single environments.
#[derive(Debug)]
pub(crate) struct ServiceTable {
    pub(crate) base: ServiceLayer,
    pub(crate) environments: IndexMap<EnvironmentName, ServiceLayer>,
}

/// What a service says of itself, everywhere or in one environment.
#[derive(Debug)]
pub(crate) struct ServiceLayer {
    pub(crate) span: Range<usize>,
    pub(crate) identity: IdentitySettings,
    pub(crate) workload: WorkloadSettings,
}

impl Document {
    /// Reads the collector's source. `None` where so much is wrong that nothing can be resolved.
    pub(crate) fn read(problems: &mut Collector) -> Option<Self> {
        let text = problems.source.text.clone();
        let (root, errors) = DeTable::parse_recoverable(&text);
        for error in &errors {
            let span = error.span().unwrap_or(0..0);
            let problem = Problem::new("syntax", span, format!("this is not TOML: {}", error.message()));
            problems.add(problem.hint(syntax_hint(error.message())));
        }
        if !errors.is_empty() {
            return None; // what was recovered is guesswork: its mistakes would be noise
        }
        let mut reader = Reader::root(&root);
        let schema: Option<Located<u32>> = reader.required("schema", problems);
        if let Some(other) = schema.filter(|schema| **schema != SCHEMA) {
            let message = format!("`schema` is {}, and this shopctl reads {SCHEMA}", *other);
            let hint = "use the shopctl of the repository that the file comes from";
            problems.add(Problem::new("schema", other.span(), message).label("another layout").hint(hint));
            return None; // the keys of another layout are not mistakes of this one
        }
        let date =
            reader.required("date", problems).unwrap_or_else(|| Located::default_of(Date(time::Date::MIN)));
        let defaults = reader
            .find("defaults")
            .and_then(|(path, value)| Layer::from_toml(Node { path: &path, value }, problems));
        let environments = named::<EnvironmentName, Layer>(&mut reader, "environment", problems);
        let services = named::<ServiceName, ServiceTable>(&mut reader, "service", problems);
        reader.finish(of_defaults, problems);
        let document = Self { date, defaults: defaults.unwrap_or_default(), environments, services };
        document.refuse_unknown_environments(problems);
        Some(document)
    }

    fn refuse_unknown_environments(&self, problems: &mut Collector) {
        let known = || self.environments.keys().map(EnvironmentName::as_str);
        for (service, table) in &self.services {
            for (name, layer) in &table.environments {
                if self.environments.contains_key(name) {
                    continue;
                }
                let hint = match did_you_mean(name.as_str(), known()) {
                    Some(meant) => format!("did you mean `{meant}`?"),
                    None => format!("known: {}", known().collect::<Vec<_>>().join(", ")),
                };
                let message =
                    format!("`{service}` has settings for the environment `{name}`, which does not exist");
                problems.add(Problem::new("unknown-environment", layer.span.clone(), message).hint(hint));
            }
        }
    }
}

/// What to do about a mistake that the parser of TOML tells.
fn syntax_hint(message: &str) -> &'static str {
    if message.contains("duplicate key") {
        "keep one of the two: a key stands once in a table, and a table once in the file"
    } else {
        "write `key = value` with text in \"quotes\", and tables as [name]; all else is checked once this is mended"
    }
}

/// A table of tables whose keys are names: `[environment.<name>]`, `[service.<name>]`. At least one is needed.
fn named<K: Text + std::hash::Hash + Eq, V: FromToml>(
    reader: &mut Reader<'_>,
    key: &'static str,
    problems: &mut Collector,
) -> IndexMap<K, V> {
    let found = reader.find(key);
    let table = found.as_ref().and_then(|(path, value)| Reader::open(Node { path, value }, problems));
    let is_empty = table.as_ref().is_none_or(|table| table.entries().next().is_none());
    if is_empty {
        let problem = Problem::new("missing-key", reader.span(), format!("the file has no {key}"));
        problems.add(problem.label("nothing to work with").hint(format!("add a table [{key}.<name>]")));
    }
    let mut all = IndexMap::new();
    for (name, span, path, value) in table.iter().flat_map(Reader::entries) {
        let name = parse_key::<K>(name, span, problems);
        let read = V::from_toml(Node { path: &path, value }, problems);
        all.extend(name.zip(read));
    }
    all
}

impl FromToml for Layer {
    fn from_toml(node: Node<'_>, problems: &mut Collector) -> Option<Self> {
        let mut reader = Reader::open(node, problems)?;
        let layer = Self {
            span: node.span(),
            environment: EnvironmentSettings::read(&mut reader, problems),
            workload: WorkloadSettings::read(&mut reader, problems),
        };
        let of_service = |key: &str| {
            let known = IdentitySettings::KEYS.contains(&key);
            known.then(|| format!("`{key}` belongs to a service: write it in [service.<name>]"))
        };
        reader.finish(of_service, problems);
        Some(layer)
    }
}

impl ServiceLayer {
    fn read(reader: &mut Reader<'_>, problems: &mut Collector) -> Self {
        Self {
            span: reader.span(),
            identity: IdentitySettings::read(reader, problems),
            workload: WorkloadSettings::read(reader, problems),
        }
    }
}

impl FromToml for ServiceLayer {
    fn from_toml(node: Node<'_>, problems: &mut Collector) -> Option<Self> {
        let mut reader = Reader::open(node, problems)?;
        let layer = Self::read(&mut reader, problems);
        reader.finish(of_environment, problems);
        Some(layer)
    }
}

impl FromToml for ServiceTable {
    fn from_toml(node: Node<'_>, problems: &mut Collector) -> Option<Self> {
        let mut reader = Reader::open(node, problems)?;
        let base = ServiceLayer::read(&mut reader, problems);
        let mut environments = IndexMap::new();
        if let Some((path, value)) = reader.find("environment")
            && let DeValue::Table(_) = value.get_ref()
            && let Some(layers) = IndexMap::from_toml(Node { path: &path, value }, problems)
        {
            environments = layers;
        }
        reader.finish(of_environment, problems);
        Some(Self { base, environments })
    }
}

fn of_defaults(key: &str) -> Option<String> {
    let known = EnvironmentSettings::KEYS.contains(&key) || WorkloadSettings::KEYS.contains(&key);
    known.then(|| format!("`{key}` needs a table: write it in [defaults]"))
}

fn of_environment(key: &str) -> Option<String> {
    let known = EnvironmentSettings::KEYS.contains(&key);
    known
        .then(|| format!("`{key}` belongs to an environment: write it in [environment.<name>] or [defaults]"))
}
