//! Names: of services, environments, databases, secrets, variables, folders, digests. Must not check that what
//! they name exists.
use super::text::ensure;

name_type! {
    /// A label that DNS and Kubernetes accept (RFC 1123): at most 63 of a-z, 0-9 and inner hyphens.
    DnsLabel: "a DNS label such as \"shop-prod\"", "^[a-z]([-a-z0-9]{0,61}[a-z0-9])?$", dns_label;
    /// The name of a service. 40 characters at most, so that derived names (`<s>-migrate-<release>`) still fit 63.
    ServiceName: "a name such as \"user-management\"", "^[a-z]([-a-z0-9]{0,38}[a-z0-9])?$", short_label;
    /// The name of an environment.
    EnvironmentName: "a name such as \"staging\"", "^[a-z]([-a-z0-9]{0,38}[a-z0-9])?$", short_label;
    /// The name of a secret inside its environment.
    SecretName: "a name such as \"database-password\"", "^[a-z]([-a-z0-9]{0,61}[a-z0-9])?$", dns_label;
    /// A PostgreSQL database name that needs no quotes: at most 63 bytes.
    DatabaseName: "a database name such as \"user_management\"", "^[a-z_][a-z0-9_]{0,62}$", database;
    /// The name of an environment variable.
    VariableName: "a variable name such as \"MAIL_FROM\"", "^[A-Z][A-Z0-9_]*$", variable;
    /// The name of a context in a kubeconfig.
    ContextName: "the name of a kubeconfig context", "^[^\\x00-\\x1f\\x7f]{1,253}$", one_line;
    /// A folder inside the repository, relative to its root.
    FolderPath: "a folder of the repository such as \"services/user-management\"",
        "^[A-Za-z0-9_][A-Za-z0-9._-]*(/[A-Za-z0-9_][A-Za-z0-9._-]*)*$", folder;
    /// `sha256:` and 64 hexadecimal digits.
    Digest: "a digest such as \"sha256:0123…\" (64 hexadecimal digits)", "^sha256:[0-9a-f]{64}$", digest;
    /// An AWS account id: twelve digits.
    AccountId: "an AWS account id of twelve digits", "^[0-9]{12}$", account;
    /// The id of a vulnerability as scanners print it.
    VulnerabilityId: "an id such as \"CVE-2026-12345\"", "^[A-Z][A-Za-z0-9-]{3,63}$", vulnerability;
    /// A plain value of an environment variable: one line.
    PlainValue: "one line of text", "^[^\\x00-\\x1f\\x7f]*$", plain;
}

fn dns_label(text: &str) -> Result<(), String> {
    label(text, 63)
}

fn short_label(text: &str) -> Result<(), String> {
    label(text, 40)
}

fn label(text: &str, longest: usize) -> Result<(), String> {
    ensure(!text.is_empty(), "it is empty")?;
    ensure(text.len() <= longest, &format!("it is longer than {longest} characters"))?;
    let allowed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    ensure(text.chars().all(allowed), "only a-z, 0-9 and - are allowed")?;
    ensure(text.starts_with(|c: char| c.is_ascii_lowercase()), "it must start with a letter")?;
    ensure(!text.ends_with('-'), "it must not end with -")
}

fn database(text: &str) -> Result<(), String> {
    ensure(!text.is_empty() && text.len() <= 63, "it must have 1 to 63 characters")?;
    let allowed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
    ensure(text.chars().all(allowed), "only a-z, 0-9 and _ are allowed")?;
    ensure(!text.starts_with(|c: char| c.is_ascii_digit()), "it must not start with a digit")
}

fn variable(text: &str) -> Result<(), String> {
    let allowed = |c: char| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_';
    ensure(text.chars().all(allowed), "only A-Z, 0-9 and _ are allowed")?;
    ensure(text.starts_with(|c: char| c.is_ascii_uppercase()), "it must start with a letter")
}

fn folder(text: &str) -> Result<(), String> {
    ensure(!text.starts_with('/'), "it must be relative to the root of the repository")?;
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-' | '/');
    ensure(text.chars().all(allowed), "only letters, digits, _, . and - are allowed between slashes")?;
    let part = |part: &str| part.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '_');
    ensure(text.split('/').all(part), "every part must start with a letter, a digit or _")
}

fn digest(text: &str) -> Result<(), String> {
    let hex = text.strip_prefix("sha256:").ok_or("it must start with sha256:")?;
    ensure(hex.len() == 64, "64 hexadecimal digits must follow sha256:")?;
    ensure(hex.chars().all(|c| matches!(c, '0'..='9' | 'a'..='f')), "only 0-9 and a-f may follow sha256:")
}

fn account(text: &str) -> Result<(), String> {
    ensure(text.len() == 12 && text.chars().all(|c| c.is_ascii_digit()), "it must be twelve digits")
}

fn vulnerability(text: &str) -> Result<(), String> {
    ensure((4..=64).contains(&text.len()), "it must have 4 to 64 characters")?;
    ensure(text.starts_with(|c: char| c.is_ascii_uppercase()), "it must start with a capital letter")?;
    ensure(
        text.chars().all(|c| c.is_ascii_alphanumeric() || c == '-'),
        "only letters, digits and - are allowed",
    )
}

fn one_line(text: &str) -> Result<(), String> {
    ensure(!text.is_empty() && text.len() <= 253, "it must have 1 to 253 characters")?;
    plain(text)
}

fn plain(text: &str) -> Result<(), String> {
    ensure(!text.chars().any(|c| c.is_ascii_control()), "it must be one line without control characters")
}
