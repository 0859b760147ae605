//! `seed`: first data for a stack that is up, and the accounts that came with it. Knows no table; the services' own
//! `seed` does the work and says whom it made.

use crate::database;
use crate::environment::Secrets;
use crate::events::Events;
use crate::logs;
use crate::record::Accounts;
use crate::server::Server;
use crate::stack::Stack;
use crate::task::Task;
use crate::trouble::{Result, Trouble};

const ACCOUNTS: &str = "accounts.json";

/// Runs every service's `seed` once more. Answers the services that have one.
pub async fn seed(stack: &Stack, events: &Events) -> Result<Vec<String>> {
    let not_up = || Trouble::NotUp(stack.name().to_owned());
    let record = stack.record()?.filter(|_| stack.is_held().unwrap_or(false)).ok_or_else(not_up)?;
    let starting = || Trouble::NothingToSeed(stack.name().to_owned());
    // They are written down once they are built and migrated.
    if record.services.is_empty() {
        return Err(starting());
    }
    let server = record.postgres.as_ref().ok_or_else(starting)?;
    let server = Server::running(stack, server).await?;
    let mut seeded = Vec::new();
    for service in record.services {
        let Some(database) = &service.database else { continue };
        database::check(&server, stack, database).await?;
        let step = events.step("seed", &service.name);
        let environment: Vec<(String, String)> = service.environment.into_iter().collect();
        let task = Task {
            service: &service.name,
            program: &service.program,
            arguments: &["seed"],
            environment: &environment,
            folder: stack.root(),
            mark: stack.services(),
            log: logs::folder(stack)?.join(format!("{}-commands.log", service.name)),
        };
        note_accounts(stack, &task.run().await?)?;
        database::note_seeded(&server, stack, database).await?;
        step.done(&service.name);
        seeded.push(service.name);
    }
    Ok(seeded)
}

/// Keeps the addresses that a `seed` named, in its order.
pub(crate) fn note_accounts(stack: &Stack, said: &[String]) -> Result<()> {
    let mut emails = noted(stack)?;
    for address in said.iter().flat_map(|line| addresses(line)) {
        if !emails.contains(&address) {
            emails.push(address);
        }
    }
    Ok(stack.folder().write_json(ACCOUNTS, &emails)?)
}

fn noted(stack: &Stack) -> Result<Vec<String>> {
    let file = stack.path(ACCOUNTS);
    let next = format!("delete {}: `shopctl dev seed` writes it anew", file.display());
    Ok(stack.read(ACCOUNTS, next)?.unwrap_or_default())
}

/// The accounts that were ever seeded, if any were.
pub(crate) fn accounts(stack: &Stack, secrets: &Secrets) -> Result<Option<Accounts>> {
    let emails = noted(stack)?;
    let password_file = secrets.seed_password();
    Ok((!emails.is_empty()).then_some(Accounts { emails, password_file }))
}

/// Whatever looks like an e-mail address: a `seed` may print a table, lines or JSON.
fn addresses(said: &str) -> impl Iterator<Item = String> {
    let words = said.split(|c: char| c.is_whitespace() || matches!(c, '"' | ',' | '<' | '>' | '(' | ')'));
    let is_address = |word: &&str| {
        word.split_once('@')
            .is_some_and(|(name, host)| !name.is_empty() && host.contains('.') && !host.contains('/'))
    };
    words.filter(is_address).map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_found_in_whatever_form_they_are_said() {
        let said =
            "admin ada@shop.test\n{\"email\": \"bob@shop.test\", \"db\": \"postgres://a@127.0.0.1/x\"} (a@b)";
        assert_eq!(addresses(said).collect::<Vec<_>>(), ["ada@shop.test", "bob@shop.test"]);
    }
}
