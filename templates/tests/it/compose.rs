//! compose.yaml: what it says, that docker-compose takes it, that no value is ever taken for syntax.
use std::fs;
use std::process::Command;

use shop_platform::{Platform, Resolved};
use shop_templates::{EmitError, compose, template_names};

const THREE: &str = include_str!("../../../cli/platform/tests/fixtures/three-services.toml");

fn environment(text: &str, name: &str) -> Resolved {
    let platform = Platform::parse("shop.toml", text).unwrap_or_else(|problems| panic!("{problems:#?}"));
    platform.resolve(name).expect("exists").clone()
}

fn emitted(text: &str) -> String {
    compose::emit(&environment(text, "dev")).expect("emits").text
}

#[test]
fn every_template_has_a_test_here() {
    assert_eq!(template_names().collect::<Vec<_>>(), ["compose.yaml"]);
}

#[test]
fn three_services_as_text() {
    insta::assert_snapshot!(emitted(THREE));
}

#[test]
fn the_same_file_gives_the_same_bytes() {
    assert_eq!(emitted(THREE), emitted(THREE));
}

#[test]
fn no_secret_is_in_the_file_and_each_is_named_once() {
    let resolved = environment(THREE, "dev");
    let files = compose::secret_files(&resolved);
    assert!(files.contains(".shop/compose/postgres-password"));
    assert!(files.contains(".shop/compose/user-management-database-serve-password"));
    assert!(files.iter().all(|file| file.starts_with(".shop/compose/")));
    let text = emitted(THREE);
    assert!(!text.contains("POSTGRES_PASSWORD: "), "a password stands in a file only");
}

#[test]
fn a_cluster_is_refused() {
    let refused = compose::emit(&environment(THREE, "prod"));
    assert!(matches!(refused, Err(EmitError::Refused { .. })));
}

#[test]
fn a_port_of_the_surroundings_is_refused() {
    let text = THREE.replace("port = 8000", "port = 8025");
    let refused = compose::emit(&environment(&text, "dev")).expect_err("the mailbox has it");
    assert_eq!(
        refused.to_string(),
        "compose.yaml: port 8025 of `product-catalog` is taken by PostgreSQL or the mailbox"
    );
}

/// What a stranger could write where the types let text through. The newtypes let none of it into any other field.
const HOSTILE: [&str; 8] = [
    "<script>alert(1)</script>",
    "{{services}} {{{x}}}",
    "a: b",
    "- x # y",
    "\\\"'`",
    "${HOME} $HOME $$",
    "no",
    "*a &b !!c %d @e | >",
];

#[test]
fn no_value_is_taken_for_syntax() {
    for value in HOSTILE {
        let quoted = toml_string(value);
        let text = THREE.replace("env = { LOG = \"info\" }", &format!("env = {{ LOG = {quoted} }}"));
        // `emit` itself compares what it wrote, read back, with its model.
        let written = emitted(&text);
        let read: serde_json::Value = serde_saphyr::from_str(&written).expect("YAML");
        // compose writes a literal `$` as `$$`; were it not so in ours, it would put variables in.
        for container in
            [&read, &as_compose_reads_it(&written)].map(|file| &file["services"]["user-management"])
        {
            assert_eq!(container["environment"]["LOG"], value.replace('$', "$$"));
        }
    }
}

/// Every other text of shop.toml is a newtype: what would break YAML does not get that far.
#[test]
fn the_types_refuse_syntax_in_names() {
    for value in ["<script>", "{{x}}", "a\nb", "a: b"] {
        let quoted = toml_string(value);
        for (from, to) in [
            ("[service.product-catalog]", format!("[service.{quoted}]")),
            ("path = \"services/orders\"", format!("path = {quoted}")),
            ("package = \"orders\"", format!("package = {quoted}")),
            ("database = \"order_management\"", format!("database = {quoted}")),
            ("team = \"shop\"", format!("team = {quoted}")),
            ("host = \"users.dev.example.com\"", format!("host = {quoted}")),
            ("env = { LOG = \"info\" }", format!("env = {{ {quoted} = \"info\" }}")),
            ("DATABASE_PASSWORD_FILE = \"database-password\"", format!("X_FILE = {quoted}")),
            ("registry = \"registry.example:5000/shop\"", format!("registry = {quoted}")),
        ] {
            let text = THREE.replacen(from, &to, 1);
            assert!(Platform::parse("shop.toml", &text).is_err(), "{to} is taken");
        }
    }
    let newline = THREE.replace("env = { LOG = \"info\" }", "env = { LOG = \"a\\nb\" }");
    assert!(Platform::parse("shop.toml", &newline).is_err(), "a variable of two lines is taken");
}

#[test]
fn docker_compose_takes_the_real_file_and_the_three_services() {
    for text in [include_str!("../../../shop.toml"), THREE] {
        let read = as_compose_reads_it(&emitted(text));
        for service in environment(text, "dev").services.keys() {
            let container = &read["services"][service.as_str()];
            assert_eq!(container["network_mode"], "service:machine", "{container}");
            assert_eq!(container["command"], serde_json::json!(["serve"]));
            if container["depends_on"].get(format!("{service}-migrate")).is_some() {
                let seed = &read["services"][format!("{service}-seed")];
                assert_eq!(
                    (&seed["command"], &seed["restart"]),
                    (&serde_json::json!(["seed"]), &"no".into())
                );
                assert!(seed["depends_on"].get(format!("{service}-migrate")).is_some(), "{seed}");
            }
        }
        assert_eq!(read["services"]["postgres"]["healthcheck"]["test"][1], "pg_isready");
    }
}

/// What the issuer makes is no random bytes: one container of the issuer writes it into a volume of the service.
#[test]
fn a_follower_of_the_issuer_gets_its_client_from_the_issuer() {
    let read: serde_json::Value = serde_saphyr::from_str(&emitted(THREE)).expect("YAML");
    for service in ["product-catalog", "order-management"] {
        let (serve, client) = (&read["services"][service], &read["services"][format!("{service}-client")]);
        let file = &serve["environment"]["ISSUER_CLIENT_FILE"];
        assert_eq!(
            client["command"],
            serde_json::json!(["clients", "create", "--name", service, "--to", file])
        );
        assert_eq!((&client["image"], &client["restart"]), (&"user-management:dev".into(), &"no".into()));
        let database = &read["services"]["user-management"]["environment"]["DATABASE_URL"];
        assert_eq!(&client["environment"]["DATABASE_URL"], database);
        for (of, first) in
            [(client, "user-management-migrate".to_owned()), (serve, format!("{service}-client"))]
        {
            assert_eq!(of["depends_on"][&first]["condition"], "service_completed_successfully", "{of}");
        }
        let folder = format!("/var/lib/shop/{service}-issuer-client");
        for of in [client, serve] {
            let volumes = of["volumes"].as_array().expect("volumes");
            assert!(volumes.contains(&format!("{service}-issuer-client:{folder}").into()), "{of}");
        }
        assert!(file.as_str().is_some_and(|file| file.starts_with(&format!("{folder}/"))), "{file}");
    }
    let files = compose::secret_files(&environment(THREE, "dev"));
    assert!(!files.iter().any(|file| file.contains("issuer-client")), "{files:?}");
}

/// The file as `docker-compose config` prints it: parsed, checked and interpolated by compose itself.
fn as_compose_reads_it(text: &str) -> serde_json::Value {
    let folder = tempfile::tempdir().expect("a folder");
    fs::write(folder.path().join("compose.yaml"), text).expect("written");
    let output = Command::new("docker-compose")
        .args(["--file", "compose.yaml", "--project-name", "shop", "config"])
        .current_dir(folder.path())
        .output()
        .unwrap_or_else(|error| {
            panic!("docker-compose cannot be run ({error}): apt-get install docker-compose")
        });
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_saphyr::from_slice(&output.stdout).expect("docker-compose prints YAML")
}

fn toml_string(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}
