//! The JSON Schema of shop.toml, for editors. Describes what `document` reads; a test holds the two together.
use indexmap::IndexMap;
use schemars::JsonSchema;
use schemars::generate::SchemaSettings;

use crate::settings::{EnvironmentSettings, IdentitySettings, WorkloadSettings};
use crate::types::{Date, EnvironmentName, ServiceName};

/// The schema as pretty JSON with a final newline.
#[must_use]
pub fn json_schema() -> String {
    let schema = SchemaSettings::draft07().into_generator().into_root_schema_for::<File>();
    let text = serde_json::to_string_pretty(&schema).expect("a schema is plain JSON");
    format!("{text}\n")
}

/// shop.toml: the platform
#[derive(JsonSchema)]
#[expect(dead_code, reason = "only its schema is used")]
#[schemars(deny_unknown_fields, rename = "shop.toml")]
struct File {
    /// The version of this file's layout.
    #[schemars(range(min = 1, max = 1))]
    schema: u32,
    /// The day on which the file was last looked through; support calendars are judged on it.
    date: Date,
    /// What holds everywhere unless a later table says otherwise.
    defaults: Option<LayerSchema>,
    /// The environments.
    environment: IndexMap<EnvironmentName, LayerSchema>,
    /// The services.
    service: IndexMap<ServiceName, ServiceSchema>,
}

#[derive(JsonSchema)]
#[expect(dead_code, reason = "only its schema is used")]
#[schemars(deny_unknown_fields, inline)]
struct LayerSchema {
    #[serde(flatten)]
    environment: EnvironmentSettings,
    #[serde(flatten)]
    workload: WorkloadSettings,
}

#[derive(JsonSchema)]
#[expect(dead_code, reason = "only its schema is used")]
#[schemars(deny_unknown_fields, inline)]
struct ServiceSchema {
    #[serde(flatten)]
    identity: IdentitySettings,
    #[serde(flatten)]
    workload: WorkloadSettings,
    /// What is different in single environments.
    environment: Option<IndexMap<EnvironmentName, ServiceLayerSchema>>,
}

#[derive(JsonSchema)]
#[expect(dead_code, reason = "only its schema is used")]
#[schemars(deny_unknown_fields, inline)]
struct ServiceLayerSchema {
    #[serde(flatten)]
    identity: IdentitySettings,
    #[serde(flatten)]
    workload: WorkloadSettings,
}
