//! Every command: its help, its place in docs/generated/shopctl.md, its file.
use std::path::Path;

use crate::world::World;

/// The words of every command, groups included.
fn every_command() -> Vec<Vec<String>> {
    fn walk(command: &clap::Command, words: &[String], into: &mut Vec<Vec<String>>) {
        into.push(words.to_vec());
        for child in command.get_subcommands() {
            walk(child, &[words, &[child.get_name().to_owned()]].concat(), into);
        }
    }
    let mut all = Vec::new();
    walk(&shopctl::command(), &[], &mut all);
    all
}

/// The page of the commands is the snapshot of every help text.
#[test]
fn the_help_of_every_command_is_the_committed_one() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let world = World::empty();
    let ran = crate::world::ran(world.in_folder(&root).args(["generate", "docs", "--check"]));
    assert_eq!(ran.code, 0, "run `cargo shopctl generate docs` and read what has changed:\n{}", ran.stdout);
    let page = std::fs::read_to_string(root.join("docs/generated/shopctl.md")).expect("readable");
    for words in every_command() {
        let heading = [&["## shopctl".to_owned()], words.as_slice()].concat().join(" ");
        assert!(page.lines().any(|line| line == heading), "the page has no {heading:?}");
    }
}

#[test]
fn every_command_answers_help_short_and_long() {
    let world = World::empty();
    for words in every_command() {
        for flag in ["-h", "--help"] {
            let arguments: Vec<&str> = words.iter().map(String::as_str).chain([flag]).collect();
            let ran = world.run(&arguments);
            assert_eq!((ran.code, ran.stderr.as_str()), (0, ""), "{arguments:?}");
            assert!(ran.stdout.contains("Usage: shopctl"), "{arguments:?}");
            let widest = ran.stdout.lines().map(|line| line.chars().count()).max();
            assert!(widest <= Some(100), "{arguments:?} is {widest:?} wide");
        }
    }
}

#[test]
fn every_command_says_what_it_does_and_explains_each_of_its_flags() {
    fn check(command: &clap::Command) {
        let name = command.get_name();
        let about = command.get_about().unwrap_or_else(|| panic!("{name} has no help")).to_string();
        assert!(!about.ends_with('.') && about.starts_with(char::is_uppercase), "{name}: {about:?}");
        for argument in command.get_arguments() {
            assert!(argument.get_help().is_some(), "{name} does not explain {:?}", argument.get_id());
        }
        command.get_subcommands().for_each(check);
    }
    check(&shopctl::command());
}

/// `commands/<noun>/<verb>.rs`; the verbs of a small group may share its file.
#[test]
fn every_command_has_its_file() {
    fn check(command: &clap::Command, folder: &Path) {
        for child in command.get_subcommands() {
            let name = child.get_name().replace('-', "_");
            let (file, inner) = (folder.join(format!("{name}.rs")), folder.join(&name));
            assert!(file.exists() || inner.join("mod.rs").exists(), "{} is not there", file.display());
            if !file.exists() {
                check(child, &inner);
            }
        }
    }
    check(&shopctl::command(), &Path::new(env!("CARGO_MANIFEST_DIR")).join("src/commands"));
}

#[test]
fn the_command_line_is_consistent() {
    shopctl::command().debug_assert();
}
