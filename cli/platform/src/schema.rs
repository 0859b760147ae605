//! The JSON Schema of shop.toml, for editors. Describes what `document` reads; a test holds the two together.
use indexmap::IndexMap;
use schemars::generate::SchemaSettings;
use schemars::transform::RecursiveTransform;
use schemars::{JsonSchema, Schema};
use serde_json::Value;

use crate::settings::{EnvironmentSettings, IdentitySettings, WorkloadSettings};
use crate::types::{Date, EnvironmentName, ServiceName};

/// The schema as pretty JSON with a final newline.
#[must_use]
pub fn json_schema() -> String {
    let schema = SchemaSettings::draft07()
        .for_serialize()
        .with_transform(RecursiveTransform(forbid_null))
        .into_generator()
        .into_root_schema_for::<File>();
    let text = serde_json::to_string_pretty(&schema).expect("a schema is plain JSON");
    format!("{text}\n")
}

/// TOML has no null: what schemars writes as "this or null" is just "this".
fn forbid_null(schema: &mut Schema) {
    let null = |value: &Value| value == "null" || value["type"] == "null";
    if let Some(Value::Array(types)) = schema.get_mut("type") {
        types.retain(|kind| !null(kind));
        if let [only] = types.as_slice() {
            let only = only.clone();
            schema.insert("type".to_owned(), only);
        }
    }
    if let Some(Value::Array(mut choices)) = schema.remove("anyOf") {
        choices.retain(|choice| !null(choice));
        let key = if choices.len() == 1 { "allOf" } else { "anyOf" };
        schema.insert(key.to_owned(), Value::Array(choices));
    }
}

/// The environments and services of a shop
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
    #[serde(skip_serializing_if = "Option::is_none")]
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
    #[serde(skip_serializing_if = "Option::is_none")]
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
