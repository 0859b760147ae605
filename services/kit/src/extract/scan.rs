//! One pass over a JSON text before it is parsed: how deep it is, and whether a string holds U+0000.
//!
//! It does not check the grammar; the parser does. PostgreSQL cannot store U+0000, so that no field can want it.

/// Arrays and objects inside each other; a request of ours needs 4.
pub(super) const MAX_DEPTH: usize = 32;

#[derive(Debug, PartialEq, Eq)]
pub(super) enum Flaw {
    TooDeep,
    Nul,
}

pub(super) fn scan(json: &[u8]) -> Result<(), Flaw> {
    let mut depth = 0_usize;
    let mut at = 0;
    while let Some(byte) = json.get(at) {
        match byte {
            b'"' => at = string(json, at + 1)?,
            b'{' | b'[' => {
                depth += 1;
                if depth > MAX_DEPTH {
                    return Err(Flaw::TooDeep);
                }
            }
            b'}' | b']' => depth = depth.saturating_sub(1),
            _ => {}
        }
        at += 1;
    }
    Ok(())
}

/// From behind the opening quote to the closing one.
fn string(json: &[u8], mut at: usize) -> Result<usize, Flaw> {
    while let Some(byte) = json.get(at) {
        match byte {
            b'"' => break,
            b'\\' if json[at + 1..].starts_with(b"u0000") => return Err(Flaw::Nul),
            b'\\' => at += 1,
            0 => return Err(Flaw::Nul),
            _ => {}
        }
        at += 1;
    }
    Ok(at)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn depth_counts_only_outside_of_strings() {
        let nested = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
        assert_eq!(scan(nested(MAX_DEPTH).as_bytes()), Ok(()));
        assert_eq!(scan(nested(MAX_DEPTH + 1).as_bytes()), Err(Flaw::TooDeep));
        assert_eq!(scan(format!("\"{}\\\"{}\"", "[".repeat(99), "{".repeat(99)).as_bytes()), Ok(()));
        assert_eq!(scan("[],".repeat(99).as_bytes()), Ok(()));
    }

    #[test]
    fn nul_is_found_escaped_and_raw_and_a_backslash_before_is_understood() {
        assert_eq!(scan(br#"{"a":"x\u0000y"}"#), Err(Flaw::Nul));
        assert_eq!(scan(b"{\"a\":\"x\0y\"}"), Err(Flaw::Nul));
        assert_eq!(scan(br#"{"a":"x\\u0000y"}"#), Ok(()));
        assert_eq!(scan(br#"{"a":"\\\u0000"}"#), Err(Flaw::Nul));
        assert_eq!(scan(br#""\"#), Ok(()));
    }
}
