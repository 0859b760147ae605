//! How things are said: streams, colours, JSON, terminals.
use crate::world::{FIXTURE, World};

const ESCAPE: char = '\u{1b}';

#[test]
fn off_a_terminal_nothing_is_coloured_unless_it_is_asked_for() {
    let world = World::with("schema = 1");
    assert!(!world.run(&["config", "check"]).stderr.contains(ESCAPE));
    assert!(world.run(&["config", "check", "--color", "always"]).stderr.contains(ESCAPE));
    assert!(world.run(&["nope", "--color=always"]).stderr.contains(ESCAPE));
}

#[test]
fn on_a_terminal_colours_follow_no_color_the_terminal_and_the_flag() {
    let world = World::with("schema = 1");
    let coloured = |arguments: &[&str], variables: &[(&str, &str)]| {
        world.run_on_a_terminal(arguments, variables).stdout.contains(ESCAPE)
    };
    for arguments in [["config", "check"].as_slice(), &["nope"]] {
        assert!(coloured(arguments, &[]), "{arguments:?}");
        assert!(coloured(arguments, &[("NO_COLOR", "")]), "{arguments:?}: an empty NO_COLOR is none");
        assert!(!coloured(arguments, &[("NO_COLOR", "1")]), "{arguments:?}");
        assert!(!coloured(arguments, &[("TERM", "dumb")]), "{arguments:?}");
        let never = [arguments, &["--color", "never"]].concat();
        assert!(!coloured(&never, &[]), "{arguments:?}");
        let always = [arguments, &["--color", "always"]].concat();
        assert!(coloured(&always, &[("NO_COLOR", "1")]), "{arguments:?}");
    }
}

#[test]
fn data_goes_to_stdout_and_words_to_stderr() {
    let world = World::with(FIXTURE);
    let shown = world.run(&["config", "show", "--env", "dev"]);
    assert!(shown.stdout.contains("service.product-catalog.port = 8000"));
    assert_eq!(shown.stderr, "");
    let refused = world.run(&["config", "show", "--env", "moon"]);
    assert_eq!(refused.stdout, "");
    insta::assert_snapshot!(refused.stderr, @r"
    error: no environment `moon` in the platform file
    hint: known: dev, staging, prod
    ");
}

#[test]
fn an_error_is_one_document_where_json_is_asked_for() {
    let world = World::with(FIXTURE);
    for (arguments, message) in [
        (
            ["--output", "json", "config", "show", "--env", "stagin"].as_slice(),
            "no environment `stagin` in the platform file",
        ),
        (&["config", "shw", "--output=json"], "unrecognized subcommand 'shw'"),
    ] {
        let ran = world.run(arguments);
        let document = ran.json();
        assert_eq!(ran.code, 2);
        assert_eq!(document["error"]["code"], 2);
        assert_eq!(document["error"]["kind"], "usage");
        assert_eq!(document["error"]["message"], message);
        assert!(ran.stderr.contains(message), "people are told as well");
    }
}

#[test]
fn a_difference_is_one_document_too() {
    let ran = World::with(FIXTURE).run(&["generate", "compose", "--check", "--output", "json"]);
    assert_eq!(ran.code, 10);
    assert_eq!(ran.json()["files"][0]["state"], "missing");
}

#[test]
fn without_a_terminal_no_question_is_asked_and_the_flag_is_named() {
    let ran = World::with(FIXTURE).run(&["dev", "reset"]);
    assert_eq!(ran.code, 2, "{}", ran.stderr);
    assert!(ran.stderr.contains("--yes"), "{}", ran.stderr);
}

#[test]
fn every_shell_gets_a_script_that_knows_the_commands() {
    let world = World::empty();
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let ran = world.run(&["completions", shell]);
        assert_eq!(ran.code, 0, "{shell}");
        for word in ["shopctl", "config", "compose", "--origin"] {
            let bare = word.trim_start_matches('-');
            assert!(ran.stdout.contains(bare), "{shell} lacks {word}");
        }
    }
}
