//! The exit codes that commands end with today. The whole table is tested beside it and printed by --help.
use crate::world::{FIXTURE, World, ran};

#[test]
fn done_is_0() {
    assert_eq!(World::with(FIXTURE).run(&["config", "check"]).code, 0);
    assert_eq!(World::empty().run(&["--version"]).code, 0);
}

#[test]
fn a_mistake_of_the_user_is_2() {
    let world = World::with(FIXTURE);
    for arguments in [
        ["config", "chek"].as_slice(),
        &[],
        &["config", "show"],
        &["config", "show", "--env", "stagin"],
        &["config", "check", "--output", "yaml"],
        &["config", "check", "--directory", "nowhere"],
        &["generate", "compose", "--env", "prod"],
        &["completions", "cobol"],
    ] {
        let ran = world.run(arguments);
        assert_eq!(ran.code, 2, "{arguments:?}: {}", ran.stderr);
        assert_eq!(ran.stdout, "", "{arguments:?}");
        assert!(!ran.stderr.is_empty(), "{arguments:?}");
    }
    assert_eq!(World::with("schema = 3").run(&["config", "check"]).code, 2);
    assert_eq!(World::empty().run(&["config", "check"]).code, 2);
}

#[test]
fn a_difference_is_10() {
    assert_eq!(World::with(FIXTURE).run(&["generate", "compose", "--check"]).code, 10);
}

/// A full disk is nobody's mistake: 1, and a way to report it.
#[test]
fn what_nobody_foresaw_is_1() {
    let full = std::fs::OpenOptions::new().write(true).open("/dev/full").expect("Linux has it");
    let world = World::with(FIXTURE);
    let ran = ran_with_stdout(&world, full.into());
    assert_eq!(ran.code, 1);
    assert!(ran.stderr.contains("error: stdout cannot be written"), "{}", ran.stderr);
    assert!(ran.stderr.contains("/issues"), "{}", ran.stderr);
}

/// The reader of a pipe has seen enough: not an error, and not a word.
#[test]
fn a_reader_that_goes_away_is_no_error() {
    let (reader, writer) = std::io::pipe().expect("a pipe");
    drop(reader);
    let ran = ran_with_stdout(&World::with(FIXTURE), writer.into());
    assert_eq!((ran.code, ran.stderr.as_str()), (0, ""));
}

fn ran_with_stdout(world: &World, stdout: std::process::Stdio) -> crate::world::Ran {
    let mut command = world.shopctl();
    command.args(["config", "show", "--env", "prod"]).stdout(stdout).stderr(std::process::Stdio::piped());
    let child = command.spawn().expect("starts");
    let output = child.wait_with_output().expect("ends");
    crate::world::Ran {
        code: output.status.code().expect("ends by itself"),
        stdout: String::new(),
        stderr: String::from_utf8(output.stderr).expect("text"),
    }
}

#[test]
fn the_table_is_in_the_help() {
    let help = ran(World::empty().shopctl().arg("--help")).stdout;
    for (_, code, meaning) in shopctl::Exit::TABLE {
        assert!(help.contains(&format!("{code:>3}  {meaning}")), "the help has no {code}");
    }
}
