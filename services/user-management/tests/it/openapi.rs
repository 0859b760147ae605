//! The OpenAPI document: committed, whole, and the one that is served.

use std::collections::BTreeSet;
use std::path::Path;

use serde_json::Value;
use shop_test::{ServiceProgram, mailbox};

use crate::world::{Files, World};

async fn printed() -> String {
    let mailbox = mailbox().await.unwrap();
    let program: ServiceProgram = Files::new().program(&mailbox);
    let ended = program.run(&["openapi"]).await;
    assert!(ended.status.success(), "{}", ended.output);
    ended.output
}

pub(crate) fn operations(document: &Value) -> Vec<(String, &Value)> {
    let methods = ["get", "put", "post", "delete", "patch"];
    let paths = document["paths"].as_object().unwrap().iter();
    paths
        .flat_map(|(path, item)| {
            item.as_object().unwrap().iter().map(move |(method, operation)| (path, method, operation))
        })
        .filter(|(_, method, _)| methods.contains(&method.as_str()))
        .map(|(path, method, operation)| (format!("{method} {path}"), operation))
        .collect()
}

/// Where `$ref` leads, or the value itself.
fn resolved<'a>(document: &'a Value, value: &'a Value) -> &'a Value {
    match value["$ref"].as_str() {
        Some(reference) => document.pointer(reference.trim_start_matches('#')).unwrap(),
        None => value,
    }
}

/// A reader sees what a value looks like: the schema has an example, or it is a list of things that have one.
fn is_exemplified(document: &Value, schema: &Value) -> bool {
    let schema = resolved(document, schema);
    let items = resolved(document, &schema["properties"]["items"]["items"]);
    [schema, items].iter().any(|schema| schema.get("example").is_some() || schema.get("examples").is_some())
}

#[tokio::test]
async fn the_committed_document_is_that_of_this_program() {
    let file =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/generated/openapi-user-management.json");
    let printed = printed().await;
    if std::env::var_os("SHOP_BLESS").is_some() {
        std::fs::write(&file, &printed).unwrap();
    }
    let committed = std::fs::read_to_string(&file).unwrap_or_default();
    assert!(
        committed == printed,
        "docs/generated/openapi-user-management.json is stale: run SHOP_BLESS=1 cargo test -p user-management openapi"
    );
}

#[tokio::test]
async fn the_served_document_is_the_printed_one() {
    let world = World::start().await;
    let served: Value = world.anonymous().get("/openapi.json").send().await.expect(200).json();
    let printed: Value = serde_json::from_str(&printed().await).unwrap();
    assert_eq!(served, printed);
    let page = world.anonymous().get("/docs/").send().await;
    assert!(page.status.is_success() && page.text().contains("swagger"), "{}", page.text());
    assert!(!page.text().contains("https://"), "the page loads nothing from elsewhere");
}

#[tokio::test]
async fn every_operation_is_described_to_its_end() {
    let document: Value = serde_json::from_str(&printed().await).unwrap();
    assert_eq!(document["openapi"], "3.1.0");
    let operations = operations(&document);
    assert!(operations.len() >= 25, "{}", operations.len());
    let mut ids = BTreeSet::new();
    for (name, operation) in &operations {
        let id = operation["operationId"].as_str().unwrap();
        assert!(ids.insert(id), "{name}: {id} names two operations");
        assert!(!operation["summary"].as_str().unwrap().is_empty(), "{name}");
        assert!(operation["x-permission"].is_string() && operation["security"].is_array(), "{name}");
        let responses = operation["responses"].as_object().unwrap();
        for status in ["414", "429", "431", "500", "503"] {
            assert!(responses.contains_key(status), "{name} has no {status}");
        }
        for (status, response) in responses {
            let response = resolved(&document, response);
            let has = |header: &str| response["headers"].get(header).is_some();
            assert!(has("X-Request-Id") && has("RateLimit") && has("RateLimit-Policy"), "{name} {status}");
            assert_eq!(
                has("Retry-After"),
                ["429", "503", "504"].contains(&status.as_str()),
                "{name} {status}"
            );
            assert_eq!(has("WWW-Authenticate"), status == "401", "{name} {status}");
            let content = response["content"].as_object();
            if status.starts_with(['4', '5']) {
                let problem = &response["content"]["application/problem+json"]["schema"];
                assert_eq!(problem["$ref"], "#/components/schemas/Problem", "{name} {status}");
            }
            for (_, media) in content.into_iter().flatten() {
                let shown = media.get("example").is_some() || is_exemplified(&document, &media["schema"]);
                assert!(shown, "{name}: the answer {status} has no example");
            }
        }
        for (_, media) in operation["requestBody"]["content"].as_object().into_iter().flatten() {
            assert!(is_exemplified(&document, &media["schema"]), "{name}: the request has no example");
            let closed = resolved(&document, &media["schema"])["additionalProperties"] == false;
            assert!(closed || name == "post /auth/token", "{name}: takes unknown fields");
        }
    }
}

/// Every text below a schema that says neither how it looks nor what it may be.
fn open_texts(document: &Value, schema: &Value, place: &str, found: &mut Vec<String>) {
    let schema = resolved(document, schema);
    let is_text = schema["type"] == "string"
        || schema["type"].as_array().is_some_and(|all| all.contains(&"string".into()));
    if is_text && ["pattern", "format", "enum", "const"].iter().all(|rule| schema.get(rule).is_none()) {
        found.push(place.to_owned());
    }
    for (name, inner) in schema["properties"].as_object().into_iter().flatten() {
        open_texts(document, inner, &format!("{place}/{name}"), found);
    }
    for inner in ["oneOf", "anyOf", "allOf"].iter().filter_map(|word| schema[*word].as_array()).flatten() {
        open_texts(document, inner, place, found);
    }
    if schema.get("items").is_some() {
        open_texts(document, &schema["items"], &format!("{place}/[]"), found);
    }
}

/// No text of a request may hold U+0000, and the document says so: clients are made from it.
#[tokio::test]
async fn every_text_of_a_request_has_a_rule() {
    let document: Value = serde_json::from_str(&printed().await).unwrap();
    let mut found = Vec::new();
    for (name, operation) in operations(&document) {
        for (_, media) in operation["requestBody"]["content"].as_object().into_iter().flatten() {
            open_texts(&document, &media["schema"], &name, &mut found);
        }
    }
    assert_eq!(found, Vec::<String>::new());
}
