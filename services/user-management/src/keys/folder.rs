//! Making and rotating the folder of signing keys, for the command line. Every step leaves a folder that a service
//! can read: a key is published as `next` long before it signs, and as `previous` until its last token is over.

use std::fs;
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::Ed25519KeyPair;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use zeroize::Zeroizing;

use crate::state::ACCESS_TOKEN_LIFE;

/// What a key of the folder is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// Signs.
    Current,
    /// Will sign after the next rotation; verifiers know it already.
    Next,
    /// Signed before the last rotation; its tokens are still good.
    Previous,
}

/// Where the key of a role lies.
#[must_use]
pub fn path(dir: &Path, role: Role) -> PathBuf {
    dir.join(match role {
        Role::Current => "current.pem",
        Role::Next => "next.pem",
        Role::Previous => "previous.pem",
    })
}

/// Makes the folder with a current and a next key. Keys that are there stay: false when there was nothing to do.
///
/// # Errors
/// When the folder or a file cannot be written.
pub fn init(dir: &Path) -> io::Result<bool> {
    fs::DirBuilder::new().recursive(true).mode(0o700).create(dir)?;
    let mut made = false;
    for role in [Role::Current, Role::Next] {
        if !path(dir, role).try_exists()? {
            put_new(&path(dir, role))?;
            made = true;
        }
    }
    Ok(made)
}

/// How long the previous key stays: the life of an access token, and a minute in which a replica may go on signing
/// with it before it has looked at the folder.
pub const OVERLAP: Duration = ACCESS_TOKEN_LIFE.saturating_add(Duration::from_mins(1));

/// Why the keys were not rotated.
#[derive(Debug, thiserror::Error)]
pub enum RotateError {
    #[error("tokens of the key before the last rotation are good for {} more minutes", .0.as_secs().div_ceil(60))]
    TooSoon(Duration),
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// Moves on: current becomes previous, next becomes current, a new next is made.
///
/// # Errors
/// [`RotateError::TooSoon`] while the previous key is younger in its role than `overlap`: its tokens would end. When
/// there are no keys yet or a file cannot be written; the folder is usable in every case.
pub fn rotate(dir: &Path, overlap: Duration) -> Result<(), RotateError> {
    let (current, next, previous) =
        (path(dir, Role::Current), path(dir, Role::Next), path(dir, Role::Previous));
    if !next.try_exists()? && current.try_exists()? {
        put_new(&next)?;
        if previous.try_exists()? {
            // All that an interrupted rotation had left to do.
            return Ok(fs::File::open(dir)?.sync_all()?);
        }
    }
    // One that was interrupted before it moved anything may go on.
    let begun = previous.try_exists()? && fs::read(&previous)? == fs::read(&current)?;
    let left = overlap.saturating_sub(age(&previous)?);
    if !begun && !left.is_zero() {
        return Err(RotateError::TooSoon(left));
    }
    let copy = Zeroizing::new(fs::read(&current)?);
    replace(&previous, &copy)?;
    fs::rename(&next, &current)?;
    put_new(&next)?;
    Ok(fs::File::open(dir)?.sync_all()?)
}

/// Because a key has leaked: every key goes and a current and a next one are made anew. Every access token ends, and its
/// client renews it. They lay in one folder, so whoever has read one may have read them all.
///
/// # Errors
/// When a file cannot be written; the folder is usable in every case, and this may be repeated.
pub fn withdraw(dir: &Path) -> io::Result<()> {
    // There is a folder, and it is one of keys.
    fs::metadata(path(dir, Role::Current))?;
    match fs::remove_file(path(dir, Role::Previous)) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    put_new(&path(dir, Role::Next))?;
    put_new(&path(dir, Role::Current))?;
    fs::File::open(dir)?.sync_all()
}

/// How long ago the file was written; without one, longer than anything.
fn age(path: &Path) -> io::Result<Duration> {
    match fs::metadata(path) {
        // One from the future has a clock for its age that is not ours: it counts as new.
        Ok(metadata) => Ok(metadata.modified()?.elapsed().unwrap_or_default()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Duration::MAX),
        Err(error) => Err(error),
    }
}

fn put_new(path: &Path) -> io::Result<()> {
    let document = Ed25519KeyPair::generate_pkcs8(&SystemRandom::new())
        .map_err(|_| io::Error::other("the system has no random source"))?;
    let body = Zeroizing::new(STANDARD.encode(document.as_ref()));
    let mut pem = Zeroizing::new(String::from("-----BEGIN PRIVATE KEY-----\n"));
    for line in body.as_bytes().chunks(64) {
        pem.push_str(std::str::from_utf8(line).expect("base64 is ASCII"));
        pem.push('\n');
    }
    pem.push_str("-----END PRIVATE KEY-----\n");
    replace(path, pem.as_bytes())
}

/// Writes beside and renames: a reader sees the old file or the new one, never half of either.
fn replace(path: &Path, content: &[u8]) -> io::Result<()> {
    let beside = path.with_extension("pem.new");
    let mut file =
        fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&beside)?;
    file.write_all(content)?;
    file.sync_all()?;
    fs::rename(beside, path)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::super::SigningKeys;
    use super::*;

    fn kids(keys: &SigningKeys) -> Vec<String> {
        keys.jwks().keys.into_iter().map(|jwk| jwk.kid).collect()
    }

    #[test]
    fn a_key_is_known_before_it_signs_and_after() {
        let dir = tempfile::tempdir().unwrap();
        let dir = dir.path().join("keys");
        assert!(init(&dir).unwrap());
        assert!(!init(&dir).unwrap(), "keys that are there stay");
        let keys = SigningKeys::open(&dir).unwrap();
        let [current, next] = kids(&keys).try_into().unwrap();
        assert!(!keys.reload().unwrap());

        rotate(&dir, OVERLAP).unwrap();
        assert!(keys.reload().unwrap());
        let [now, fresh, before] = kids(&keys).try_into().unwrap();
        assert_eq!((&now, &before), (&next, &current));

        let refused = rotate(&dir, OVERLAP).unwrap_err();
        assert!(matches!(refused, RotateError::TooSoon(left) if left > ACCESS_TOKEN_LIFE), "{refused}");
        assert!(!keys.reload().unwrap(), "nothing was touched");
        let previous = fs::File::options().write(true).open(path(&dir, Role::Previous)).unwrap();
        previous.set_modified(std::time::SystemTime::now() - OVERLAP).unwrap();
        rotate(&dir, OVERLAP).unwrap();
        keys.reload().unwrap();
        let last = kids(&keys);
        assert_eq!((&last[0], &last[2]), (&fresh, &now));
        assert!(!last.contains(&before), "two rotations later it is gone");
    }

    #[test]
    fn of_keys_that_have_leaked_none_is_trusted_any_more() {
        let dir = tempfile::tempdir().unwrap();
        assert!(withdraw(dir.path()).is_err(), "there is none to withdraw");
        init(dir.path()).unwrap();
        rotate(dir.path(), OVERLAP).unwrap();
        let keys = SigningKeys::open(dir.path()).unwrap();
        let before = kids(&keys);
        withdraw(dir.path()).unwrap();
        assert!(keys.reload().unwrap());
        let after = kids(&keys);
        assert_eq!((before.len(), after.len()), (3, 2));
        assert!(after.iter().all(|kid| !before.contains(kid)), "{before:?}, {after:?}");
    }

    #[test]
    fn nobody_else_can_read_the_keys() {
        let dir = tempfile::tempdir().unwrap();
        let dir = dir.path().join("keys");
        init(&dir).unwrap();
        rotate(&dir, OVERLAP).unwrap();
        for role in [Role::Current, Role::Next, Role::Previous] {
            assert_eq!(fs::metadata(path(&dir, role)).unwrap().permissions().mode() & 0o777, 0o600);
        }
        assert_eq!(fs::metadata(&dir).unwrap().permissions().mode() & 0o777, 0o700);
    }

    #[test]
    fn an_interrupted_rotation_is_read_and_goes_on() {
        let dir = tempfile::tempdir().unwrap();
        init(dir.path()).unwrap();
        // As between the steps of `rotate`: the previous key is written, the next one became the current one.
        fs::copy(path(dir.path(), Role::Current), path(dir.path(), Role::Previous)).unwrap();
        assert_eq!(
            kids(&SigningKeys::open(dir.path()).unwrap()).len(),
            2,
            "one key in two places is one key"
        );
        fs::rename(path(dir.path(), Role::Next), path(dir.path(), Role::Current)).unwrap();
        assert_eq!(kids(&SigningKeys::open(dir.path()).unwrap()).len(), 2);
        rotate(dir.path(), OVERLAP).unwrap();
        assert_eq!(kids(&SigningKeys::open(dir.path()).unwrap()).len(), 3);
    }

    #[test]
    fn a_missing_or_broken_key_names_its_file() {
        let dir = tempfile::tempdir().unwrap();
        let missing = SigningKeys::open(dir.path()).err().unwrap().to_string();
        assert!(missing.contains("current.pem") && missing.contains("keys init"), "{missing}");
        fs::write(
            path(dir.path(), Role::Current),
            "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n",
        )
        .unwrap();
        assert!(SigningKeys::open(dir.path()).err().unwrap().to_string().contains("current.pem"));
    }
}
