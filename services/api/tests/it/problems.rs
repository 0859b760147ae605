//! The table of codes is an API: this snapshot changes only on purpose.
use std::collections::HashSet;
use std::fmt::Write;

use shop_api::{Code, FieldError, Problem};

#[test]
fn every_code_has_a_status_and_a_title() {
    let mut table = String::new();
    for code in Code::ALL {
        writeln!(table, "{:<24} {} {}", code.as_str(), code.status(), code.title()).unwrap();
    }
    insta::assert_snapshot!(table);
}

#[test]
fn codes_are_errors_with_names_of_their_own() {
    let names: HashSet<_> = Code::ALL.iter().map(|code| code.as_str()).collect();
    assert_eq!(names.len(), Code::ALL.len());
    for code in Code::ALL {
        assert!((400..=599).contains(&code.status()), "{code}");
        assert!(code.as_str().bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_'), "{code}");
        assert!(!code.title().is_empty() && !code.title().ends_with('.'), "{code}");
        assert_eq!(code.type_uri(), format!("{}{code}", shop_api::problem::TYPE_BASE));
        assert_eq!(serde_json::to_value(code).unwrap(), code.as_str());
        assert_eq!(serde_json::from_value::<Code>(code.as_str().into()).unwrap(), *code);
    }
}

#[test]
fn a_code_of_a_newer_service_does_not_break_its_client() {
    let text =
        r#"{"type":"https://shop.example/problems/new","title":"New","status":418,"code":"brand_new"}"#;
    let problem: Problem = serde_json::from_str(text).unwrap();
    assert_eq!((problem.code, problem.status), (Code::Unknown, 418));
}

#[test]
fn a_problem_is_what_rfc_9457_says() {
    let mut problem = Problem::new(Code::ValidationFailed);
    problem.request_id = "1".to_owned();
    problem.errors.push(FieldError::new("/email", "required", "is required"));
    insta::assert_json_snapshot!(problem);
}
