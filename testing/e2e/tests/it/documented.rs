//! Every command that a document shows is run here, or by the test that is named here. A command that nobody runs
//! fails, so that a document cannot promise what does not work.
use std::path::Path;
use std::time::Duration;

use shop_e2e::{Documented, documents, fenced, inline, script};

use crate::shell::Shell;

/// A first build on a small machine.
const FIRST_BUILD: Duration = Duration::from_secs(1500);

/// How a documented command is known to work.
#[derive(Clone, Copy)]
enum How {
    /// It stays in the foreground: started first, ended by Ctrl-C, leaves no process behind.
    Foreground,
    /// Run beside it; must end with 0.
    Run,
    /// Runs this very test, or asks for a password: only its arguments are checked.
    Parse(&'static str),
    /// Measures for minutes, which testing/bench/tests does in short: only its arguments are checked, without the
    /// optimised build that `cargo xtask bench` makes.
    Bench,
}

const COMMANDS: &[(&str, How)] = &[
    ("cargo shopctl dev up", How::Foreground),
    ("cargo shopctl config show --env prod --origin", How::Run),
    ("cargo shopctl dev status", How::Run),
    ("cargo shopctl auth login --env dev", How::Parse("asks for a password: signing_in.rs types it")),
    ("cargo xtask ci --install", How::Parse("the gate runs this test")),
    ("cargo shopctl build", How::Parse("images.rs builds them, in the full tier")),
    ("cargo shopctl build user-management --output json", How::Parse("images.rs runs it, in the full tier")),
    ("cargo xtask testbed status", How::Run),
    ("cargo xtask testbed up registry moto", How::Parse("testing/testbed/tests/it/parts.rs starts them")),
    ("cargo xtask testbed up elasticsearch --install", How::Parse("fetches some 600 MB")),
    ("cargo xtask testbed down", How::Parse("would end what the other tests use")),
    ("cargo xtask bench", How::Bench),
    ("cargo xtask bench --install", How::Bench),
    ("cargo xtask bench me log-in --peers gin", How::Bench),
    ("cargo xtask bench --quick --no-peers", How::Bench),
    ("cargo xtask bench --check", How::Bench),
];

/// Pages that are run as a whole on the seeded stack, and what they must print, in this order.
const WHOLE: &[(&str, &[&str])] = &[
    (
        "docs/howto/walk.md",
        &["joan.", "second_factor_required", "current", "session_ended", "addresses", "session_ended"],
    ),
    (
        "docs/howto/administer-users.md",
        &[
            "ada@shop.example",
            "user.roles_changed",
            "user.enabled",
            "user.disabled",
            "user.seeded",
            "user.disabled",
            "Bearer",
        ],
    ),
];

fn how(one: &Documented) -> Option<How> {
    COMMANDS.iter().find(|(command, _)| *command == one.command).map(|(_, how)| *how)
}

fn all(find: fn(&Path, &str) -> Vec<Documented>) -> Vec<Documented> {
    let root = Shell::root();
    let mut found = Vec::new();
    for path in documents(&root).unwrap() {
        let text = std::fs::read_to_string(&path).unwrap();
        found.extend(find(path.strip_prefix(&root).unwrap(), &text));
    }
    assert!(found.len() > 3, "the documents show next to nothing: are they found?");
    found
}

#[test]
fn every_documented_command_is_run_by_somebody() {
    let unknown: Vec<_> = all(fenced)
        .into_iter()
        .filter(|one| !WHOLE.iter().any(|(file, _)| one.file == Path::new(file)))
        .filter(|one| how(one).is_none())
        .map(|one| format!("{}:{}: {}", one.file.display(), one.line, one.command))
        .collect();
    assert!(unknown.is_empty(), "add to COMMANDS in {}:\n{}", file!(), unknown.join("\n"));
}

#[test]
fn every_command_in_the_text_exists() {
    let shell = Shell::new();
    for one in all(inline) {
        let words: Vec<&str> =
            one.command.split(' ').take_while(|word| !word.starts_with(['<', '['])).collect();
        let output = shell.run(&format!("{} --help", unoptimised(&words.join(" "))));
        let place = format!("{}:{}", one.file.display(), one.line);
        assert!(
            output.status.success(),
            "{place}: `{}`: {}",
            one.command,
            String::from_utf8_lossy(&output.stderr)
        );
    }
}

#[test]
fn documented_commands_work_beside_a_stack_that_leaves_nothing_behind() {
    let shell = Shell::new();
    let all = all(fenced);
    let foreground: Vec<_> = all.iter().filter(|one| matches!(how(one), Some(How::Foreground))).collect();
    assert!(!foreground.is_empty(), "no document starts the platform");
    let mut stack = shell.start(&foreground[0].command);
    stack.wait_for("What to try next", FIRST_BUILD);
    let printed = stack.printed();
    let log_in = printed.lines().find(|line| line.contains("/auth/login")).expect("it prints a log-in");
    let answer = String::from_utf8(shell.run(log_in).stdout).unwrap();
    assert!(answer.contains("\"access_token\""), "`{log_in}` answers {answer}");
    let shop = log_in.rsplit(' ').next().and_then(|url| url.strip_suffix("/auth/login")).unwrap();
    for (page, words) in WHOLE {
        walk(&shell, shop, page, words);
    }
    for one in &all {
        match how(one) {
            Some(How::Run) => check(&shell, one, &one.command, "run as it stands"),
            Some(How::Parse(why)) => check(&shell, one, &format!("{} --help", one.command), why),
            Some(How::Bench) => {
                let typed =
                    one.command.replace("cargo xtask bench", "cargo run --quiet --package shop-bench --");
                check(&shell, one, &format!("{typed} --help"), "measured in short by testing/bench/tests");
            }
            _ => {}
        }
    }
    let status = stack.interrupt();
    assert!(matches!(status.code(), Some(0 | 130)), "Ctrl-C ended it with {status}");
    assert_eq!(shell.left_behind(), Vec::<String>::new());
}

/// Twice: a reader starts again after a mistake.
fn walk(shell: &Shell, shop: &str, page: &str, words: &[&str]) {
    let text = std::fs::read_to_string(Shell::root().join(page)).unwrap();
    for _ in 0..2 {
        let typed = format!("set -eu\nSHOP={shop}\n{}", script(&text));
        let output = shell.run(&typed);
        let (said, wrong) =
            (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        assert!(output.status.success(), "{page}: {said}\n{wrong}");
        words.iter().fold(&*said, |rest, word| match rest.split_once(word) {
            Some((_, rest)) => rest,
            None => panic!("{page}: {word} is not said in this order: {said}\n{wrong}"),
        });
    }
}

fn check(shell: &Shell, one: &Documented, typed: &str, why: &str) {
    let output = shell.run(typed);
    let place = format!("{}:{}", one.file.display(), one.line);
    assert!(
        output.status.success(),
        "{place}: `{typed}` ({why}): {}",
        String::from_utf8_lossy(&output.stderr)
    );
}

/// The same program without the optimised build that measuring needs.
fn unoptimised(command: &str) -> String {
    command.replace("cargo xtask bench", "cargo run --quiet --package shop-bench --")
}
