//! `shopctl config`.
use std::fs;

use crate::world::{FIXTURE, World, ran};

#[test]
fn check_says_what_was_checked() {
    let world = World::with(FIXTURE);
    let checked = world.run(&["config", "check"]);
    assert_eq!(checked.code, 0, "{}", checked.stderr);
    let document = world.run(&["config", "check", "--env", "prod", "--output", "json"]).json();
    assert_eq!(document["ok"], true);
    assert_eq!(document["environments"], serde_json::json!(["prod"]));
    assert_eq!(
        document["services"],
        serde_json::json!(["user-management", "product-catalog", "order-management"])
    );
}

#[test]
fn every_mistake_is_shown_with_its_line_a_caret_and_a_hint() {
    let broken = FIXTURE.replace("kubernetes =", "kuberntes =").replace("grace = \"40s\"", "grace = \"10s\"");
    let ran = World::with(&broken).run(&["config", "check"]);
    assert_eq!((ran.code, ran.stdout.as_str()), (2, ""));
    insta::assert_snapshot!(ran.stderr);
}

#[test]
fn mistakes_are_data_too() {
    let broken = FIXTURE.replace("kubernetes =", "kuberntes =").replace("grace = \"40s\"", "grace = \"10s\"");
    let ran = World::with(&broken).run(&["config", "check", "--output", "json"]);
    assert_eq!(ran.code, 2);
    insta::assert_json_snapshot!(ran.json());
}

#[test]
fn show_prints_every_value_and_where_it_is_written() {
    let world = World::with(FIXTURE);
    insta::assert_snapshot!(world.run(&["config", "show", "--env", "prod"]).stdout);
    let origins = world.run(&["config", "show", "--env", "prod", "--origin"]).stdout;
    let line = FIXTURE.lines().position(|line| line == "port = 8000").expect("there") + 1;
    let port = origins.lines().find(|line| line.contains("product-catalog.port")).expect("shown");
    assert!(port.starts_with(&format!("shop.toml:{line} ")), "{port}");
    let path = origins.lines().find(|line| line.contains("product-catalog.path")).expect("shown");
    assert!(path.starts_with("default "), "{path}");
}

#[test]
fn show_is_data_too() {
    let world = World::with(FIXTURE);
    let document = world.run(&["config", "show", "--env", "prod", "--output", "json"]).json();
    assert_eq!(document["services"]["product-catalog"]["replicas"]["min"], 4);
    assert_eq!(document["cluster"]["pin"]["eks"], "shop");
    let document = world.run(&["config", "show", "--env", "prod", "--origin", "--output", "json"]).json();
    let settings = document["settings"].as_array().expect("a list");
    let port = settings.iter().find(|one| one["key"] == "service.product-catalog.port").expect("listed");
    assert_eq!(port["value"], 8000);
    assert!(port["line"].is_u64());
}

#[test]
fn the_file_is_found_upward_and_by_directory() {
    let world = World::with(FIXTURE);
    let deep = world.path("work/a/b");
    fs::create_dir_all(&deep).expect("made");
    assert_eq!(ran(world.in_folder(&deep).args(["config", "check"])).code, 0);
    let home = world.path("home");
    assert_eq!(ran(world.in_folder(&home).args(["-C", "../work", "config", "check"])).code, 0);
    assert_eq!(ran(world.in_folder(&home).args(["config", "check", "--directory", "../work/a"])).code, 0);
}

#[test]
fn a_file_that_cannot_be_read_is_one_sentence_and_the_next_step() {
    let world = World::empty();
    let said = |world: &World| world.run(&["config", "check"]).stderr;
    assert!(said(&world).contains("no shop.toml in "), "{}", said(&world));
    assert!(said(&world).contains("hint: start shopctl inside the repository"));
    fs::create_dir(world.path("work/shop.toml")).expect("a folder");
    assert!(said(&world).starts_with("error: shop.toml is not a regular file\nhint: "), "{}", said(&world));
    fs::remove_dir(world.path("work/shop.toml")).expect("gone");
    fs::write(world.path("work/shop.toml"), b"\xff").expect("written");
    assert!(said(&world).starts_with("error: shop.toml is not UTF-8 text: line 1"), "{}", said(&world));
}

#[test]
fn the_schema_is_a_schema() {
    let ran = World::empty().run(&["config", "schema"]);
    let schema: serde_json::Value = serde_json::from_str(&ran.stdout).expect("JSON");
    assert_eq!(schema["title"], "shop.toml");
}

/// Whatever the file says, it is looked at with the eyes of the repository's own first line.
#[test]
fn the_real_file_points_editors_to_the_committed_schema() {
    let real = include_str!("../../../../shop.toml");
    assert_eq!(real.lines().next(), Some("#:schema docs/generated/shop.schema.json"));
}
