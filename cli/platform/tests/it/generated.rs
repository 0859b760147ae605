//! What is generated from this crate and committed: the schema and the page of the laws.
//! `cargo shopctl generate docs` writes them anew.
use std::fs;
use std::path::PathBuf;

fn check(name: &str, expected: &str) {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../docs/generated").join(name);
    let committed = fs::read_to_string(&path).unwrap_or_default();
    assert!(committed == expected, "docs/generated/{name} is stale: run `cargo shopctl generate docs`");
}

#[test]
fn the_schema_is_the_committed_one() {
    check("shop.schema.json", &shop_platform::json_schema());
}

#[test]
fn the_page_of_the_laws_is_the_committed_one() {
    check("shop-toml-laws.md", &shop_platform::laws_markdown());
}

#[test]
fn the_schema_knows_every_key_and_no_other() {
    let schema: serde_json::Value = serde_json::from_str(&shop_platform::json_schema()).expect("JSON");
    let validator = jsonschema::draft7::new(&schema).expect("a valid schema");
    let accepts = |text: &str| validator.is_valid(&as_json(text));
    assert!(accepts(crate::FIXTURE));
    assert!(accepts(include_str!("../../../../shop.toml")));
    for (from, to) in [
        ("kubernetes =", "kuberntes ="),
        ("min = 2, max = 4", "min = 2, max = 4, most = 5"),
        ("request = \"64Mi\"", "request = \"64M\""),
        ("port = 8000", "port = 80"),
        ("payments = \"stripe\"", "payments = \"gold\""),
        ("[environment.dev]", "[environment.Dev]"),
        ("schema = 1", "schema = 2"),
        ("admin_port = 9000", "admin_prt = 9000"),
        ("eks = \"shop\", ", ""),
    ] {
        let text = crate::fixture_with(from, to);
        assert!(!accepts(&text), "the schema takes {to:?}");
        assert!(shop_platform::Platform::parse("shop.toml", &text).is_err(), "the parser takes {to:?}");
    }
}

/// TOML as JSON; dates become text, as editors see them.
fn as_json(text: &str) -> serde_json::Value {
    fn value(toml: toml::Value) -> serde_json::Value {
        match toml {
            toml::Value::Datetime(date) => date.to_string().into(),
            toml::Value::Array(items) => items.into_iter().map(value).collect(),
            toml::Value::Table(table) => table.into_iter().map(|(key, item)| (key, value(item))).collect(),
            plain => serde_json::to_value(plain).expect("plain"),
        }
    }
    value(toml::Value::Table(toml::from_str(text).expect("TOML")))
}
