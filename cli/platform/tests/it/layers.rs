//! The merge of the layers and the origin of each value.
use shop_platform::types::Percent;
use shop_platform::{ClusterPin, Ingress, Origin, Payments, Platform, Resolved, Service};

use crate::FIXTURE;

fn resolved(environment: &str) -> Resolved {
    let platform = Platform::parse("shop.toml", FIXTURE).expect("the fixture has no mistake");
    platform.resolve(environment).expect("exists").clone()
}

fn service<'a>(environment: &'a Resolved, name: &str) -> &'a Service {
    &environment.services[name]
}

/// The line of the fixture that `located` came from.
fn line(origin: &Origin, part: &str) -> &'static str {
    FIXTURE.lines().nth(origin.line_of(part).expect("from the file") - 1).expect("a line")
}

#[test]
fn later_layers_win_defaults_environment_service_service_in_environment() {
    let (dev, prod) = (resolved("dev"), resolved("prod"));
    assert_eq!(service(&dev, "product-catalog").replicas.min, 1); // [defaults]
    assert_eq!(service(&prod, "user-management").replicas.min, 3); // [environment.prod]
    assert_eq!(service(&prod, "product-catalog").replicas.min, 4); // [service.….environment.prod]
    assert_eq!(service(&prod, "product-catalog").team.as_str(), "catalogue"); // [service.…]
    assert_eq!(service(&prod, "order-management").team.as_str(), "shop"); // [defaults]
    assert_eq!(service(&dev, "order-management").payments.as_ref().map(|p| p.value), Some(Payments::Sandbox));
    assert_eq!(service(&prod, "order-management").payments.as_ref().map(|p| p.value), Some(Payments::Stripe));
}

#[test]
fn a_service_wins_over_the_environment() {
    let text = FIXTURE.replace(
        "[service.user-management]\n",
        "[service.user-management]\nreplicas = { min = 5, max = 5, target_cpu = \"70%\" }\n",
    );
    let platform = Platform::parse("shop.toml", &text).expect("no mistake");
    let prod = platform.resolve("prod").expect("exists");
    assert_eq!(service(prod, "user-management").replicas.min, 5);
}

#[test]
fn tables_are_replaced_whole() {
    let prod = resolved("prod");
    let catalog = service(&prod, "product-catalog");
    let variables: Vec<_> = catalog.env.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    assert_eq!(variables[..3], [("LOG", "warn"), ("CACHE_SIZE", "4096"), ("WARM", "true")]);
    assert_eq!(catalog.replicas.target_cpu, "50%".parse::<Percent>().expect("a percentage"));
    let dev = resolved("dev");
    assert_eq!(service(&dev, "product-catalog").env.len(), 1);
}

#[test]
fn every_value_knows_its_line_even_inside_tables() {
    let prod = resolved("prod");
    assert_eq!(
        line(&service(&prod, "product-catalog").replicas.origin, "min"),
        "replicas = { min = 4, max = 8, target_cpu = \"50%\" }"
    );
    let cpu = &service(&prod, "order-management").cpu.origin;
    assert_eq!(line(cpu, "request"), "request = \"200m\"");
    assert_eq!(line(cpu, "limit"), "limit = \"2\"");
    assert_eq!(line(cpu, ""), "[service.order-management.cpu]");
}

#[test]
fn what_the_file_leaves_out_is_a_default_and_says_so() {
    let staging = resolved("staging");
    let catalog = service(&staging, "product-catalog");
    assert_eq!(catalog.path.as_str(), "services/product-catalog");
    assert_eq!(catalog.package.as_str(), "product-catalog");
    assert_eq!(catalog.path.origin, Origin::Default);
    let cluster = staging.cluster.as_ref().expect("staging has a cluster");
    assert_eq!((cluster.ingress.value, &cluster.ingress.origin), (Ingress::GatewayApi, &Origin::Default));
    assert!(!*staging.protected);
}

#[test]
fn an_environment_without_a_cluster_is_a_developers_machine() {
    assert!(resolved("dev").cluster.is_none());
    let prod = resolved("prod").cluster.expect("prod has a cluster");
    assert!(matches!(prod.pin.value, ClusterPin::Eks { .. }));
    assert_eq!(prod.ingress.value, Ingress::IngressNginx);
}

#[test]
fn services_come_after_those_they_call() {
    let dev = resolved("dev");
    let names: Vec<_> = dev.in_dependency_order().iter().map(|service| service.name.as_str()).collect();
    assert_eq!(names, ["user-management", "product-catalog", "order-management"]);
}

#[test]
fn everything_decided_is_listed_with_its_line() {
    let lines: Vec<String> = resolved("prod")
        .settings
        .iter()
        .map(|one| {
            format!(
                "{} = {} @ {}",
                one.key,
                one.value,
                one.line.map_or("default".into(), |line| line.to_string())
            )
        })
        .collect();
    insta::assert_snapshot!(lines.join("\n"));
}

#[test]
fn the_resolved_environment_as_data() {
    insta::assert_json_snapshot!(resolved("prod"));
}

#[test]
fn an_unknown_environment_names_the_known_ones() {
    let platform = Platform::parse("shop.toml", FIXTURE).expect("the fixture has no mistake");
    let error = platform.resolve("stagin").expect_err("there is none");
    assert_eq!(error.known(), ["dev", "staging", "prod"]);
    assert_eq!(error.meant(), Some("staging"));
    assert_eq!(platform.resolve("moon").expect_err("there is none").meant(), None);
    let hostile = platform.resolve("\u{1b}[31m").expect_err("there is none");
    assert!(!hostile.to_string().contains('\u{1b}'));
}
