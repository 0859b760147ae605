//! What an e-mail address looks like. Must not ask whether anybody reads mail there.

/// Why a text is no address that mail can be sent to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum EmailError {
    #[error("is not an e-mail address: name@domain.example is expected")]
    Shape,
    #[error("is longer than 254 characters")]
    TooLong,
    #[error("may hold only ASCII: write an international domain in its xn-- form")]
    NotAscii,
}

/// Whether this is an address that an account can have, with space around it or not.
///
/// Quoted local parts and address literals (RFC 5321 §4.1.2) are refused: no mailbox provider hands them
/// out, and they are a classic way to slip through checks further on.
///
/// # Errors
/// What is wrong with it.
pub fn check_email(text: &str) -> Result<(), EmailError> {
    let text = text.trim();
    if !text.is_ascii() {
        return Err(EmailError::NotAscii);
    }
    if text.len() > 254 {
        return Err(EmailError::TooLong);
    }
    let (local, domain) = text.rsplit_once('@').ok_or(EmailError::Shape)?;
    if is_local_part(local) && is_domain(domain) { Ok(()) } else { Err(EmailError::Shape) }
}

/// Dot-separated atoms (RFC 5322 §3.2.3), at most 64 characters (RFC 5321 §4.5.3.1.1).
fn is_local_part(local: &str) -> bool {
    let atom = |c: u8| c.is_ascii_alphanumeric() || b"!#$%&'*+-/=?^_`{|}~".contains(&c);
    local.len() <= 64 && local.split('.').all(|part| !part.is_empty() && part.bytes().all(atom))
}

/// At least two labels, none of them odd, and a last one that is not a number (that would be an IP address).
fn is_domain(domain: &str) -> bool {
    let label = |label: &str| {
        (1..=63).contains(&label.len())
            && label.bytes().all(|c| c.is_ascii_alphanumeric() || c == b'-')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    let last_is_name = |last: &str| !last.bytes().all(|c| c.is_ascii_digit());
    domain.split('.').all(label) && domain.rsplit_once('.').is_some_and(|(_, last)| last_is_name(last))
}
