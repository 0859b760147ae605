//! People for a developer's shop: one administrator, one of support, some customers with addresses. Made once, and
//! found again by their addresses at `shop.example`, a domain that nobody can own (RFC 2606). Never runs in a
//! protected environment: whoever calls it checks that first.

use std::fs::{self, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use serde_json::json;
use shop_api::users::AccountRole::{self, Admin, Customer, Support};
use shop_api::users::profile::AddressInput;
use shop_kit::boot::BootError;
use shop_kit::config::read_text;
use sqlx::{PgConnection, PgPool};
use zeroize::Zeroizing;

use crate::db::audit::{self, Actor, Entry};
use crate::db::{addresses, admin, users};
use crate::domain::password::{NewPassword, Weak};
use crate::domain::token::Token;
use crate::events;
use crate::hashing::{Busy, Hasher};

/// Name, country, city: the customers.
const CUSTOMERS: [(&str, &str, &str); 12] = [
    ("Ada Lovelace", "GB", "London"),
    ("Alan Turing", "GB", "Manchester"),
    ("Edsger Dijkstra", "NL", "Nuenen"),
    ("Emmy Noether", "DE", "Erlangen"),
    ("Grace Hopper", "US", "Arlington"),
    ("Hedy Lamarr", "AT", "Vienna"),
    ("Katherine Johnson", "US", "Hampton"),
    ("Konrad Zuse", "DE", "Berlin"),
    ("Margaret Hamilton", "US", "Boston"),
    ("Maryam Mirzakhani", "IR", "Tehran"),
    ("Niklaus Wirth", "CH", "Zürich"),
    ("Shafi Goldwasser", "IL", "Rehovot"),
];

/// Why nothing was seeded.
#[derive(Debug, thiserror::Error)]
pub enum SeedError {
    #[error(
        "the password file {} cannot be used ({source}): name one in a folder of yours by SEED_PASSWORD_FILE",
        path.display()
    )]
    File {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("others may read the password file {}: run `chmod 600` on it, or delete it and a new one is made", .0.display())]
    Open(PathBuf),
    #[error("the password in {} {why}: delete the file and a good one is made", path.display())]
    Weak { path: PathBuf, why: Weak },
    #[error(transparent)]
    Busy(#[from] Busy),
    #[error("the database refused")]
    Database(#[from] sqlx::Error),
}

impl From<SeedError> for BootError {
    fn from(error: SeedError) -> Self {
        match error {
            SeedError::File { .. } | SeedError::Open(_) | SeedError::Weak { .. } => BootError::usage(error),
            SeedError::Database(error) => error.into(),
            SeedError::Busy(error) => BootError::unexpected(error),
        }
    }
}

/// What is there now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Seeded {
    /// Accounts that were not there before.
    pub made: usize,
    /// Accounts that were.
    pub kept: usize,
}

/// Makes the people who are missing. All have the password in `password_file`, which is made (0600) when there is
/// none; whoever changes the file changes the passwords at the next run.
pub async fn seed(pool: &PgPool, hasher: &Hasher, password_file: &Path) -> Result<Seeded, SeedError> {
    let password = password(password_file)?;
    let password = NewPassword::check(&password, "")
        .map_err(|why| SeedError::Weak { path: password_file.to_owned(), why })?;
    let hash = hasher.hash(&password).await?;
    let mut tx = pool.begin().await?;
    let mut seeded = Seeded { made: 0, kept: 0 };
    for person in people() {
        if put(&mut tx, &person, &hash).await? {
            seeded.made += 1;
        } else {
            seeded.kept += 1;
        }
    }
    tx.commit().await?;
    Ok(seeded)
}

/// The addresses of the people, staff first: whom a developer can log in as.
pub fn addresses() -> Vec<String> {
    people().into_iter().map(|person| person.email).collect()
}

struct Person {
    email: String,
    name: &'static str,
    roles: Vec<AccountRole>,
    home: Option<(&'static str, &'static str)>,
}

fn people() -> Vec<Person> {
    let staff = [("admin", "The Administrator", Admin), ("support", "The Support", Support)];
    let staff = staff.map(|(word, name, role)| Person {
        email: format!("{word}@shop.example"),
        name,
        roles: vec![Customer, role],
        home: None,
    });
    let customers = CUSTOMERS.map(|(name, country, city)| Person {
        email: format!("{}@shop.example", name.split(' ').next().unwrap_or(name).to_lowercase()),
        name,
        roles: vec![Customer],
        home: Some((country, city)),
    });
    staff.into_iter().chain(customers).collect()
}

/// True when the account was not there before.
async fn put(tx: &mut PgConnection, person: &Person, hash: &str) -> sqlx::Result<bool> {
    let (id, made) = users::put_verified(tx, &person.email, person.name, hash).await?;
    if !made {
        return Ok(false);
    }
    events::user_registered(tx, id).await?;
    events::user_verified(tx, id).await?;
    if person.roles != [Customer] {
        admin::set_roles(tx, id, &person.roles).await?;
        events::user_roles_changed(tx, id, &person.roles).await?;
    }
    if let Some((country, city)) = person.home {
        addresses::insert(tx, id, &home(person.name, country, city)?).await?;
    }
    let entry = Entry {
        action: "user.seeded",
        actor: Actor::Operator,
        subject: Some(id.uuid()),
        request_id: "",
        place: String::new(),
        data: json!({ "roles": person.roles }),
    };
    audit::record(tx, &entry).await?;
    Ok(true)
}

fn home(name: &str, country: &str, city: &str) -> sqlx::Result<AddressInput> {
    Ok(AddressInput {
        label: "Home".into(),
        recipient: name.into(),
        line1: "1 Example Street".into(),
        line2: String::new(),
        city: city.into(),
        region: String::new(),
        postal_code: String::new(),
        country: country.parse().map_err(|error| sqlx::Error::Encode(Box::new(error)))?,
        phone: None,
        is_default: true,
    })
}

/// The password in the file; a new one, and the file, when there is none. Nobody but its owner may read it.
fn password(path: &Path) -> Result<Zeroizing<String>, SeedError> {
    let failed = |source| SeedError::File { path: path.to_owned(), source };
    match OpenOptions::new().write(true).create_new(true).mode(0o600).open(path) {
        Ok(mut file) => {
            let fresh = Token::generate();
            writeln!(file, "{}", fresh.reveal()).map_err(failed)?;
            Ok(Zeroizing::new(fresh.reveal().to_owned()))
        }
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            if fs::metadata(path).map_err(failed)?.mode() & 0o077 != 0 {
                return Err(SeedError::Open(path.to_owned()));
            }
            let text = Zeroizing::new(read_text(path).map_err(failed)?);
            Ok(Zeroizing::new(text.trim_end_matches(['\n', '\r']).to_owned()))
        }
        Err(error) => Err(failed(error)),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn the_password_is_made_once_and_is_its_owners_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("seed-password");
        let made = password(&path).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o600);
        assert_eq!(*password(&path).unwrap(), *made);
        assert!(NewPassword::check(&made, "").is_ok());
        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
        assert!(matches!(password(&path), Err(SeedError::Open(_))));
        assert!(matches!(password(&folder.path().join("absent/file")), Err(SeedError::File { .. })));
    }

    #[test]
    fn everybody_has_an_address_of_their_own() {
        let mut emails: Vec<_> = people().into_iter().map(|person| person.email).collect();
        let all = emails.len();
        emails.sort();
        emails.dedup();
        assert_eq!((emails.len(), all), (14, 14));
    }
}
