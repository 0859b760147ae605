//! Files that are broken on purpose: one clear answer, never a panic, a hang or a terminal steered by the file.
use std::fs;

use proptest::prelude::*;
use shop_platform::{LoadError, Platform};

use crate::{FIXTURE, problems_of, shown};

fn load(content: &[u8]) -> Result<Platform, LoadError> {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("shop.toml");
    fs::write(&path, content).expect("written");
    Platform::load(&path)
}

#[test]
fn a_byte_order_mark_and_windows_line_ends_change_nothing() {
    let text = format!("\u{feff}{}", FIXTURE.replace('\n', "\r\n"));
    let platform = load(text.as_bytes()).expect("no mistake");
    let prod = platform.resolve("prod").expect("exists");
    let line = prod.services["product-catalog"].port.origin.line_of("").expect("from the file");
    assert_eq!(FIXTURE.lines().nth(line - 1), Some("port = 8000"));
}

#[test]
fn bytes_that_are_no_text_are_named_by_line() {
    let Err(LoadError::NotText { line, .. }) = load(b"schema = 1\n\n# \xff\n") else {
        panic!("it is not text")
    };
    assert_eq!(line, 3);
}

#[test]
fn an_empty_file_says_all_that_it_lacks() {
    for text in ["", "\n\n", "# only a comment"] {
        let problems = problems_of(text);
        let messages: Vec<_> = problems.iter().map(|problem| problem.message.as_str()).collect();
        let expected = [
            "the file has no `schema`",
            "the file has no `date`",
            "the file has no environment",
            "the file has no service",
        ];
        assert_eq!(messages, expected, "{text:?}");
    }
}

#[test]
fn a_missing_file_a_folder_and_a_pipe_are_refused_at_once() {
    let folder = tempfile::tempdir().expect("a folder");
    assert!(matches!(Platform::load(&folder.path().join("none")), Err(LoadError::Unreadable { .. })));
    assert!(matches!(Platform::load(folder.path()), Err(LoadError::NotAFile { .. })));
    assert!(matches!(Platform::load(std::path::Path::new("/dev/zero")), Err(LoadError::NotAFile { .. })));
}

#[test]
fn a_huge_file_is_refused_unread() {
    assert!(matches!(load(&vec![b'#'; 2 << 20]), Err(LoadError::TooLarge { .. })));
}

#[test]
fn depth_and_size_are_mistakes_not_crashes() {
    let deep = [
        format!("x = {}", "[".repeat(100_000)),
        format!("x = {}", "{a=".repeat(100_000)),
        format!("[{}]", vec!["a"; 100_000].join(".")),
        format!("{} = 1", vec!["a"; 100_000].join(".")),
        format!("schema = {}", "9".repeat(100_000)),
        format!("[service.{}]", "a".repeat(100_000)),
    ];
    for text in deep {
        assert!(shown(&text).len() < 5000);
    }
}

#[test]
fn many_services_that_all_call_each_other_are_checked_in_time() {
    let names: Vec<String> = (0..60).map(|at| format!("s{at}")).collect();
    let mut text = FIXTURE.split("[service.").next().expect("the head").to_owned();
    for (at, name) in names.iter().enumerate() {
        let others: Vec<String> =
            names.iter().filter(|other| *other != name).map(|name| format!("{name:?}")).collect();
        let (port, admin) = (10_000 + at, 20_000 + at);
        text += &format!(
            "[service.{name}]\nport = {port}\nadmin_port = {admin}\ndepends_on = [{}]\n",
            others.join(", ")
        );
    }
    let problems = problems_of(&text);
    assert!(problems.iter().all(|problem| problem.code == "SHOP-L008"));
}

#[test]
fn nothing_of_the_file_steers_the_terminal() {
    for text in [
        "schema = 1\nx = \"\u{1b}[31m\"",
        "\"\\u001b[31m\" = 1",
        "schema = 1 # \u{9b}31m\n[",
        "[service.\"\\u0007\"]",
    ] {
        let shown = shown(text);
        assert!(!shown.chars().any(|c| c.is_control() && c != '\n'), "{shown:?}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// A cut, a doubled and a scrambled file end in a platform or in problems with places inside the file.
    #[test]
    fn a_damaged_file_is_answered(from in 0..FIXTURE.len(), len in 0_usize..60, insert in "[\\PC\n]{0,8}") {
        let to = (from + len).min(FIXTURE.len());
        let text = format!("{}{insert}{}", &FIXTURE[..from], &FIXTURE[to..]);
        if let Err(problems) = Platform::parse("shop.toml", &text) {
            prop_assert!(problems.iter().count() > 0);
            for problem in problems.iter() {
                prop_assert!(problem.span.end <= text.len());
                prop_assert!(problems.position(problem).0 <= text.lines().count().max(1) + 1);
            }
            shown(&text);
        }
    }
}
