//! What is said of single mistakes: text, place and hint.
use crate::{FIXTURE, fixture_with, problems_of, shown};

#[test]
fn all_mistakes_are_told_at_once_in_the_order_of_the_file() {
    let text = FIXTURE
        .replace("kubernetes = \"1.36\"", "kuberntes = \"1.36\"\nport = 1")
        .replace("limit = \"1\"", "limit = 1")
        .replace("min = 2, max = 4", "min = -2, max = 4, minn = 1")
        .replace("protected = true", "protected = \"yes\"")
        .replace("eks = \"shop\", ", "")
        .replace("[\"mon\", \"thu\"]", "[\"monday\", 4]")
        .replace("port = 8000", "port = 80")
        .replace("environment.staging]\nhost", "environment.stagng]\nhost")
        .replace("payments = \"sandbox\"", "payments = \"sandbx\"\nnamespace = \"x\"")
        .replace("[service.order-management.environment.prod]", "[service.Order.environment.prod]");
    insta::assert_snapshot!(shown(&text));
}

#[test]
fn what_is_missing_is_said_with_the_table_it_belongs_to() {
    let text = FIXTURE
        .replace("team = \"shop\"", "")
        .replace("port = 8000", "")
        .replace("namespace = \"shop-prod\"", "")
        .replace("date = 2026-11-22", "");
    insta::assert_snapshot!(shown(&text));
}

#[test]
fn syntax_mistakes_are_told_together_and_alone() {
    let text = "schema = 1\nschema = 1\n[defaults\nregion = eu\nunknown = 1\n";
    insta::assert_snapshot!(shown(text));
}

#[test]
fn a_law_is_shown_with_its_id() {
    insta::assert_snapshot!(shown(&fixture_with("grace = \"40s\"", "grace = \"20s\"")));
}

#[test]
fn what_a_service_must_know_of_its_issuer_is_told_with_the_words_to_write() {
    let text = FIXTURE
        .replace("secrets = { ISSUER_CLIENT_FILE = \"issuer-client\" }\nteam", "team")
        .replace("AUDIENCE = \"shop\"\n", "AUDIENCE = \"shops\"\n")
        .replace("ISSUER_URL = \"https://users.example.com\"\n", "");
    insta::assert_snapshot!(shown(&text));
}

#[test]
fn a_newer_layout_is_not_read_key_by_key() {
    let problems = problems_of("schema = 2\nservices = []\n");
    let messages: Vec<_> = problems.iter().map(|problem| problem.message.as_str()).collect();
    assert_eq!(messages, ["`schema` is 2, and this shopctl reads 1"]);
}

/// Neither as missing, nor as absent before a law, nor as falling back to an earlier layer.
#[test]
fn one_mistake_is_told_as_one_problem() {
    for (from, to, code) in [
        ("limit = \"128Mi\"", "limit = \"128\"", "bad-value"),
        ("replicas = { min = 2,", "replicas = { min = \"2\",", "wrong-type"),
        ("replicas = { min = 2,", "replcas = { min = 2,", "unknown-key"),
        ("team = \"shop\"", "taem = \"shop\"", "unknown-key"),
        ("cluster = { eks = \"shop\",", "cluster = { eks = \"Shop\",", "bad-value"),
        ("database = \"order_management\"", "databse = \"order_management\"", "unknown-key"),
        ("scan = { severity = \"high\"", "scan = { severity = \"hihg\"", "bad-value"),
        ("kubernetes = \"1.36\"", "", "missing-key"),
        ("zones = [", "# [", "missing-key"),
        ("port = 8000", "port = 80000", "bad-value"),
        ("schema = 1", "shema = 1", "unknown-key"),
    ] {
        let problems = problems_of(&fixture_with(from, to));
        let mut codes: Vec<_> = problems.iter().map(|problem| problem.code).collect();
        codes.dedup(); // a key missing in [defaults] is missing in each environment
        assert_eq!(
            codes,
            [code],
            "{to:?}: {:?}",
            problems.iter().map(|problem| &problem.message).collect::<Vec<_>>()
        );
    }
}

/// A value of the wrong type hides no law that does not need it.
#[test]
fn laws_speak_of_what_could_be_read_beside_what_could_not() {
    for (from, to, code) in [
        ("protected = true", "protected = \"yes\"", "wrong-type"),
        ("ingress = \"ingress-nginx\"", "ingress = 3", "wrong-type"),
        ("env = { LOG = \"info\" }", "env = 3", "wrong-type"),
        ("depends_on = [\"user-management\"]", "depends_on = 3", "wrong-type"),
    ] {
        let text = fixture_with(from, to)
            .replace("after = \"staging\"", "after = \"stagin\"")
            .replace("min = 3, max = 10", "min = 11, max = 10");
        let problems = problems_of(&text);
        let mut codes: Vec<_> = problems.iter().map(|problem| problem.code).collect();
        codes.retain(|code| !matches!(*code, "SHOP-L002"));
        codes.sort_unstable();
        codes.dedup();
        assert_eq!(codes, ["SHOP-L001", "SHOP-L016", code], "{to:?}");
    }
}

#[test]
fn a_wrong_type_and_a_syntax_mistake_have_a_hint() {
    let texts = [
        fixture_with("target_cpu = \"60%\"", "target_cpu = 60"),
        fixture_with("cpu = { request = \"100m\"", "cpu = { request = 2"),
        fixture_with("schema = 1", "schema = 1\nschema = 1"),
        fixture_with("schema = 1", "schema = "),
    ];
    for text in texts {
        let problems = problems_of(&text);
        let bare: Vec<_> = problems.iter().filter(|problem| problem.hint.is_none()).collect();
        assert!(bare.is_empty(), "{bare:?}");
    }
}
