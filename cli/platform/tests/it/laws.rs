//! Every law is broken by one edit of the fixture, and only that law complains, at the right line.
use shop_platform::LAWS;

use crate::{codes_and_lines, fixture_with, problems_of};

struct Case {
    law: &'static str,
    from: &'static str,
    to: &'static str,
    /// What the line under the caret starts with.
    at: &'static str,
}

const fn case(law: &'static str, from: &'static str, to: &'static str, at: &'static str) -> Case {
    Case { law, from, to, at }
}

const PROD_REPLICAS: &str = "replicas = { min = 3, max = 10, target_cpu = \"60%\" }";
const STAGING_REPLICAS: &str = "replicas = { min = 2, max = 4, target_cpu = \"70%\" }";
const DEFAULT_REPLICAS: &str = "replicas = { min = 1, max = 1, target_cpu = \"70%\" }";
const EKS: &str = "cluster = { eks = \"shop\", account = \"123456789012\" }";

const CATALOG_CLIENT: &str = "secrets = { ISSUER_CLIENT_FILE = \"issuer-client\" }\nteam = \"catalogue\"";
const CATALOG_ENV: &str = "[service.product-catalog.environment.prod.env]";

const CASES: &[Case] = &[
    case(
        "SHOP-L001",
        DEFAULT_REPLICAS,
        "replicas = { min = 2, max = 1, target_cpu = \"70%\" }",
        "replicas = { min = 2,",
    ),
    case(
        "SHOP-L002",
        PROD_REPLICAS,
        "replicas = { min = 2, max = 10, target_cpu = \"60%\" }",
        "replicas = { min = 2, max = 10",
    ),
    case(
        "SHOP-L002",
        PROD_REPLICAS,
        "replicas = { min = 3, max = 11, target_cpu = \"60%\" }",
        "replicas = { min = 3, max = 11",
    ),
    case(
        "SHOP-L003",
        STAGING_REPLICAS,
        "replicas = { min = 1, max = 4, target_cpu = \"70%\" }",
        "replicas = { min = 1, max = 4",
    ),
    case(
        "SHOP-L004",
        "cpu = { request = \"100m\", limit = \"1\" }",
        "cpu = { request = \"1.001\", limit = \"1\" }",
        "cpu =",
    ),
    case("SHOP-L005", "limit = \"128Mi\"", "limit = \"65535Ki\"", "memory ="),
    case("SHOP-L006", "grace = \"40s\"", "grace = \"25s\"", "shutdown ="),
    case(
        "SHOP-L007",
        "depends_on = [\"user-management\"]",
        "depends_on = [\"user-managment\"]",
        "depends_on = [\"user-managment",
    ),
    case(
        "SHOP-L008",
        "host = \"users.example.com\"",
        "host = \"users.example.com\"\ndepends_on = [\"order-management\"]",
        "depends_on =",
    ),
    case(
        "SHOP-L008",
        "depends_on = [\"user-management\"]",
        "depends_on = [\"product-catalog\"]",
        "depends_on =",
    ),
    case("SHOP-L009", "port = 8000", "port = 8080", "port = 8080"),
    case("SHOP-L009", "admin_port = 9081", "admin_port = 8081", "admin_port = 8081"),
    case("SHOP-L010", "database = \"order_management\"", "database = \"product_catalog\"", "database ="),
    case("SHOP-L011", "\"eu-central-1c\"", "\"eu-central-1a\"", "zones ="),
    case("SHOP-L011", "\"eu-central-1c\"", "\"eu-west-1c\"", "zones ="),
    case("SHOP-L011", ", \"eu-central-1c\"", "", "zones ="),
    case("SHOP-L012", "kubernetes = \"1.36\"", "kubernetes = \"1.33\"", "kubernetes ="),
    case("SHOP-L012", "kubernetes = \"1.36\"", "kubernetes = \"1.99\"", "kubernetes ="),
    case("SHOP-L013", EKS, "", "protected = true"),
    case("SHOP-L014", "payments = \"stripe\"", "", "payments = \"sandbox\""),
    case("SHOP-L015", "host = \"users.staging.example.com\"", "", "host = \"users.example.com\""),
    case("SHOP-L016", "after = \"staging\"", "after = \"stging\"", "after ="),
    case("SHOP-L016", "after = \"staging\"", "after = \"prod\"", "after ="),
    case("SHOP-L017", "database = \"order_management\"", "", "migrations ="),
    case("SHOP-L018", "DATABASE_PASSWORD_FILE", "DATABASE_PASSWORD", "secrets ="),
    case("SHOP-L019", "env = { LOG = \"info\" }", "env = { API_TOKEN = \"x\" }", "env ="),
    case("SHOP-L019", "env = { LOG = \"info\" }", "env = { AMQP = \"amqp://u:p@host/v\" }", "env ="),
    case("SHOP-L019", "env = { LOG = \"info\" }", "env = { STRIPE_API_KEY = \"x\" }", "env ="),
    case("SHOP-L019", "env = { LOG = \"info\" }", "env = { PAY = \"sk_live_4eC39\" }", "env ="),
    case(
        "SHOP-L019",
        "env = { LOG = \"info\" }",
        "env = { DB = \"postgres://u@h/x?a=1&password=p\" }",
        "env =",
    ),
    case("SHOP-L020", "env = { LOG = \"info\" }", "env = { DATABASE_URL = \"x\" }", "env ="),
    case("SHOP-L020", "env = { LOG = \"info\" }", "env = { SIGNING_KEYS_DIR = \"x\" }", "env ="),
    case("SHOP-L021", "expires = 2027-01-31", "expires = 2026-11-21", "scan ="),
    case(
        "SHOP-L022",
        EKS,
        "cluster = { context = \"staging\", ca_sha256 = \"sha256:0000000000000000000000000000000000000000000000000000000000000000\" }\nnamespace = \"shop-staging\"\n#",
        "namespace =",
    ),
    case("SHOP-L023", "from = \"07:00\"", "from = \"15:30\"", "change_window ="),
    case("SHOP-L023", "days = [\"mon\", \"thu\"]", "days = []", "change_window ="),
    case("SHOP-L024", "path = \"services/orders\"", "path = \"services/product-catalog\"", "path ="),
    case("SHOP-L025", "availability = \"99.9%\"", "availability = \"100%\"", "objectives ="),
    case("SHOP-L026", PROD_REPLICAS, "replicas = { min = 3, max = 10, target_cpu = \"96%\" }", "replicas ="),
    case("SHOP-L027", "scan = {", "#", "protected ="),
    case("SHOP-L028", CATALOG_CLIENT, "team = \"catalogue\"", "depends_on = [\"user-management\"]"),
    case(
        "SHOP-L028",
        CATALOG_CLIENT,
        "secrets = { X_FILE = \"x\" }\nteam = \"catalogue\"",
        "secrets = { X_FILE",
    ),
    case("SHOP-L028", "ISSUER_URL = \"https://users.example.com\"\n", "", CATALOG_ENV),
    case(
        "SHOP-L028",
        "ISSUER_URL = \"https://users.example.com\"\n",
        "ISSUER_URL = \"http://users.example.com\"\n",
        CATALOG_ENV,
    ),
    case("SHOP-L028", "ISSUER = \"https://users.example.com\"\n", "", CATALOG_ENV),
    case("SHOP-L028", "AUDIENCE = \"shop\"\n", "AUDIENCE = \"shops\"\n", CATALOG_ENV),
    // The issuer itself names none.
    case(
        "SHOP-L028",
        "host = \"users.staging.example.com\"",
        "host = \"users.staging.example.com\"\nenv = { ISSUER = \"https://users.staging.example.com\" }",
        "env = { LOG = \"info\", AUDIENCE = \"shop-staging\"",
    ),
];

#[test]
fn every_law_complains_alone_and_at_its_line() {
    for Case { law, from, to, at } in CASES {
        let mut text = fixture_with(from, to);
        if *law == "SHOP-L022" {
            text = text.replace("namespace = \"shop-prod\"", "");
        }
        let problems = problems_of(&text);
        let found = codes_and_lines(&problems, &text);
        assert!(found.iter().all(|(code, _)| code == law), "{law} with {to:?}: {found:?}");
        assert!(found[0].1.starts_with(at), "{law} with {to:?} points to {:?}", found[0].1);
        assert!(problems.iter().all(|problem| problem.hint.is_some()), "{law} has a hint");
    }
}

#[test]
fn every_law_has_a_case_and_an_id_of_its_own() {
    for (at, law) in LAWS.iter().enumerate() {
        assert_eq!(law.id, format!("SHOP-L{:03}", at + 1));
        assert!(CASES.iter().any(|case| case.law == law.id), "{} has no test", law.id);
        assert!(law.sentence.ends_with('.'), "{} is a sentence", law.id);
    }
}

#[test]
fn a_mistake_in_the_defaults_is_told_once_for_all_environments_and_services() {
    let text = fixture_with("grace = \"40s\"", "grace = \"10s\"");
    assert_eq!(problems_of(&text).iter().count(), 1);
}

#[test]
fn a_circle_is_told_once_with_its_path() {
    let text = fixture_with(
        "host = \"users.example.com\"",
        "host = \"users.example.com\"\ndepends_on = [\"product-catalog\"]",
    );
    let problems = problems_of(&text);
    let messages: Vec<_> = problems.iter().map(|problem| problem.message.as_str()).collect();
    assert_eq!(
        messages,
        ["services depend on each other in a circle: product-catalog → user-management → product-catalog"]
    );
}

#[test]
fn every_circle_of_a_knot_is_told_at_once() {
    let text = fixture_with(
        "host = \"users.example.com\"",
        "host = \"users.example.com\"\ndepends_on = [\"product-catalog\", \"order-management\"]",
    );
    let problems = problems_of(&text);
    let told = |circle: &str| problems.iter().filter(|problem| problem.message.ends_with(circle)).count();
    let messages: Vec<_> = problems.iter().map(|problem| &problem.message).collect();
    assert_eq!(told(": product-catalog → user-management → product-catalog"), 1, "{messages:?}");
    assert_eq!(told(": order-management → user-management → order-management"), 1, "{messages:?}");
    let long = ": order-management → product-catalog → user-management → order-management";
    assert_eq!(told(long), 1, "{messages:?}");
    assert_eq!(messages.len(), 3, "{messages:?}");
}

#[test]
fn a_name_is_like_that_of_a_secret_by_whole_words() {
    let is_refused = |name: &str| {
        let text = fixture_with("env = { LOG = \"info\" }", &format!("env = {{ {name} = \"x\" }}"));
        shop_platform::Platform::parse("shop.toml", &text).is_err()
    };
    for name in ["DB_PWD", "SMTP_PASS", "STRIPE_APIKEY", "PASSPHRASE", "REDIS_AUTH", "AWS_CREDENTIALS"] {
        assert!(is_refused(name), "{name}");
    }
    for name in ["AUTHOR", "PASSENGER", "COMPASS", "AUTH_MODE", "PASS_THROUGH", "KEYBOARD"] {
        assert!(!is_refused(name), "{name}");
    }
}
