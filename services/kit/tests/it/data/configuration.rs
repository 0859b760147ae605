//! What a service may be told about its database, and what it refuses with a sentence.

use std::path::PathBuf;

use shop_kit::db::{Database, DbConfig};

fn refusal(url: &str, protected: bool, ca: Option<&str>) -> Option<String> {
    let config = DbConfig {
        database_url: Some(url.to_owned()),
        database_ca_file: ca.map(PathBuf::from),
        ..DbConfig::default()
    };
    config.serve_target("test", protected).err().map(|error| error.to_string())
}

#[test]
fn what_is_safe_is_taken() {
    for url in [
        "postgres://shop@127.0.0.1:5433/users",
        "postgresql://shop@localhost/users",
        "postgres://shop@[::1]/users",
        "postgres://shop@localhost/users?host=/run/postgresql",
        "postgres://shop@%2Frun%2Fpostgresql/users",
        "postgres://shop@db.internal/users?sslmode=disable",
    ] {
        assert_eq!(refusal(url, false, None), None, "{url}");
    }
    assert_eq!(refusal("postgres://shop@db.internal/users", false, Some("/ca.pem")), None);
    assert_eq!(refusal("postgres://shop@db.internal/users?sslmode=verify-full", true, Some("/ca.pem")), None);
}

#[test]
fn what_is_not_says_what_to_do() {
    for (url, protected, ca, expected) in [
        ("postgres://shop:hunter2@127.0.0.1/users", false, None, "DATABASE_PASSWORD_FILE"),
        ("postgres://shop@127.0.0.1/users?password=hunter2", false, None, "DATABASE_PASSWORD_FILE"),
        ("mysql://shop@127.0.0.1/users", false, None, "scheme must be postgres"),
        ("postgres://127.0.0.1/users", false, None, "a user and a database"),
        ("postgres://shop@127.0.0.1", false, None, "a user and a database"),
        ("postgres://shop@/users", false, None, "empty host"),
        ("postgres://shop@127.0.0.1/users?sslmode=require", false, None, "verify-full or disable"),
        ("postgres://shop@127.0.0.1/users?search_path=x", false, None, "only `host` and `sslmode`"),
        ("postgres://shop@db.internal/users", false, None, "DATABASE_CA_FILE"),
        ("postgres://shop@db.internal/users", true, None, "DATABASE_CA_FILE"),
        ("postgres://shop@127.0.0.1/users", true, None, "DATABASE_CA_FILE"),
        (
            "postgres://shop@db.internal/users?sslmode=disable",
            true,
            Some("/ca.pem"),
            "take sslmode=disable out",
        ),
        ("postgres://shop@localhost/users?host=/run/postgresql", true, Some("/ca.pem"), "name a host"),
    ] {
        let text = refusal(url, protected, ca).unwrap_or_else(|| panic!("{url} was taken"));
        assert!(text.contains(expected) && text.starts_with("DATABASE_URL"), "{url}: {text}");
        assert!(!text.contains("hunter2"), "{text}");
    }
    let absent = DbConfig::default().serve_target("test", false).unwrap_err().to_string();
    assert!(absent.starts_with("DATABASE_URL is not set"), "{absent}");
}

#[test]
fn migrate_may_have_a_user_of_its_own() {
    let serve = Some("postgres://serve@127.0.0.1/users".to_owned());
    let mut config = DbConfig { database_url: serve, ..DbConfig::default() };
    assert_eq!(config.migrate_target("test", false).unwrap().user(), "serve");
    config.migrate_database_url = Some("postgres://owner@127.0.0.1/users".into());
    assert_eq!(config.migrate_target("test", false).unwrap().user(), "owner");
    config.migrate_database_url = Some("postgres://owner:hunter2@127.0.0.1/users".into());
    let text = config.migrate_target("test", false).unwrap_err().to_string();
    assert!(text.contains("MIGRATE_DATABASE_PASSWORD_FILE") && !text.contains("hunter2"), "{text}");
}

#[tokio::test]
async fn a_file_that_is_not_there_is_told_at_once() {
    let url = Some("postgres://shop@127.0.0.1/users".to_owned());
    let no_password = DbConfig {
        database_url: url.clone(),
        database_password_file: Some("/no/such".into()),
        ..DbConfig::default()
    };
    let no_authorities =
        DbConfig { database_url: url, database_ca_file: Some("/no/such".into()), ..DbConfig::default() };
    for config in [no_password, no_authorities] {
        let target = config.serve_target("test", false).unwrap();
        let text = Database::connect(&target).err().unwrap().to_string();
        assert!(text.contains("cannot read") && text.contains("/no/such"), "{text}");
    }
}

#[tokio::test]
async fn authorities_that_are_no_certificates_are_refused() {
    let file = tempfile::NamedTempFile::new().unwrap();
    for text in ["", "no PEM", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"] {
        std::fs::write(file.path(), text).unwrap();
        let config = DbConfig {
            database_url: Some("postgres://shop@127.0.0.1/users".into()),
            database_ca_file: Some(file.path().into()),
            ..DbConfig::default()
        };
        let error =
            Database::connect(&config.serve_target("test", false).unwrap()).err().unwrap().to_string();
        assert!(error.contains("no usable PEM certificate"), "{text:?}: {error}");
    }
}
