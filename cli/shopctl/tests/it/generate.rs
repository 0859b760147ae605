//! `shopctl generate`.
use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use crate::world::{FIXTURE, World};

#[test]
fn compose_is_written_checked_and_written_again() {
    let world = World::with(FIXTURE);
    let file = world.path("work/compose.yaml");
    assert_eq!(world.run(&["generate", "compose"]).code, 0);
    let first = fs::read_to_string(&file).expect("written");
    let again = world.run(&["generate", "compose", "--check"]);
    assert_eq!((again.code, again.stdout.as_str()), (0, "✓ compose.yaml is up to date\n"));

    fs::write(&file, first.replace("restart", "restrat")).expect("written");
    let differs = world.run(&["generate", "compose", "--check"]);
    assert_eq!(differs.code, 10);
    assert!(differs.stdout.starts_with("✗ compose.yaml differs from line "), "{}", differs.stdout);
    assert!(differs.stderr.contains("shopctl generate compose"), "{}", differs.stderr);
    assert_ne!(fs::read_to_string(&file).expect("there"), first, "a check writes nothing");

    assert_eq!(world.run(&["generate", "compose"]).code, 0);
    assert_eq!(fs::read_to_string(&file).expect("there"), first);
}

#[test]
fn a_changed_platform_makes_the_file_stale() {
    let world = World::with(FIXTURE);
    world.run(&["generate", "compose"]);
    fs::write(world.path("work/shop.toml"), FIXTURE.replace("port = 8000", "port = 8001")).expect("written");
    assert_eq!(world.run(&["generate", "compose", "--check"]).code, 10);
}

#[test]
fn secrets_are_made_once_for_their_owner_alone_and_never_shown() {
    let world = World::with(FIXTURE);
    let made = world.run(&["generate", "compose"]);
    let secret = world.path("work/.shop/compose/postgres-password");
    let value = fs::read_to_string(&secret).expect("made");
    assert_eq!(value.len(), 44, "32 random bytes in base64");
    assert_eq!(fs::metadata(&secret).expect("there").permissions().mode() & 0o777, 0o600);
    let folder = secret.parent().expect("in a folder");
    assert_eq!(fs::metadata(folder).expect("there").permissions().mode() & 0o777, 0o700);
    let text = fs::read_to_string(world.path("work/compose.yaml")).expect("written");
    for said in [&made.stdout, &made.stderr, &text] {
        assert!(!said.contains(&value), "the secret is shown");
    }
    world.run(&["generate", "compose"]);
    assert_eq!(fs::read_to_string(&secret).expect("there"), value, "a database may already know it");
    let all: Vec<String> = fs::read_dir(folder)
        .expect("a folder")
        .map(|entry| fs::read_to_string(entry.expect("an entry").path()).expect("text"))
        .collect();
    assert!(all.len() > 3 && all.iter().filter(|other| **other == value).count() == 1, "each has its own");
}

#[test]
fn a_check_and_a_print_make_no_secret() {
    let world = World::with(FIXTURE);
    world.run(&["generate", "compose", "--check"]);
    let printed = world.run(&["generate", "compose", "--out", "-"]);
    assert!(printed.stdout.starts_with("# Generated from shop.toml"));
    assert!(!world.path("work/.shop").exists());
    assert!(!world.path("work/compose.yaml").exists());
}

#[test]
fn another_place_can_be_named() {
    let world = World::with(FIXTURE);
    let elsewhere = ["generate", "compose", "--out", "sub/other.yaml"];
    let nowhere = world.run(&elsewhere);
    assert_eq!(nowhere.code, 2, "{nowhere:?}");
    assert!(nowhere.stderr.contains("no folder at") && !world.path("work/sub").exists(), "{nowhere:?}");
    fs::create_dir(world.path("work/sub")).expect("made");
    let without = world.run(&elsewhere);
    assert_eq!(without.code, 0, "{without:?}");
    assert!(world.path("work/sub/other.yaml").exists() && !world.path("work/.shop").exists());
    for words in
        ["secrets that it names are not there yet", "shopctl generate compose", "--project-directory"]
    {
        assert!(without.stderr.contains(words), "{words} is missing: {}", without.stderr);
    }
    assert_eq!(world.run(&["generate", "compose"]).code, 0);
    let with = world.run(&elsewhere).stderr;
    assert!(!with.contains("not there yet") && with.contains("--project-directory"), "{with}");
    assert_eq!(world.run(&["generate", "compose", "--out", "x", "--check"]).code, 2);
}

#[test]
fn the_committed_compose_file_is_up_to_date() {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let world = World::empty();
    let ran = crate::world::ran(world.in_folder(&root).args(["generate", "compose", "--check"]));
    assert_eq!(ran.code, 0, "run `cargo shopctl generate compose`:\n{}", ran.stdout);
}

#[test]
fn a_port_of_the_surroundings_is_named() {
    let world = World::with(&FIXTURE.replace("port = 8000", "port = 5432"));
    let ran = world.run(&["generate", "compose"]);
    assert_eq!(ran.code, 2);
    assert!(ran.stderr.contains("port 5432 of `product-catalog`"), "{}", ran.stderr);
}
