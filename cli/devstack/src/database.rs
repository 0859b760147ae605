//! The databases and roles of the services: made, marked, checked for the mark, dropped. Everything here looks at the
//! mark first; nothing here knows a table.

use std::path::{Path, PathBuf};

use tokio_postgres::Client;

use crate::component::innermost;
use crate::marker::Marker;
use crate::postgres::{quoted, random_password};
use crate::record::Source;
use crate::server::Server;
use crate::stack::Stack;
use crate::state::read_or_create;
use crate::trouble::{NO_DATABASE, Result, Trouble};

/// A role of one database and how it logs in.
#[derive(Debug, Clone)]
pub(crate) struct Login {
    /// Without the password.
    pub(crate) url: String,
    pub(crate) password_file: PathBuf,
    /// The file of those who may sign the server's certificate, where the URL names one.
    pub(crate) authorities: Option<PathBuf>,
}

/// A service's database.
#[derive(Debug, Clone)]
pub(crate) struct Database {
    pub(crate) name: String,
    /// Owns the database: for `migrate`.
    pub(crate) owner: Login,
    /// Reads and writes rows and cannot alter the schema: for everything else.
    pub(crate) serve: Login,
    /// Whether it was seeded once.
    pub(crate) seeded: bool,
}

/// Makes what is lacking of the database, its roles and their rights. Refuses one that dev did not make.
pub(crate) async fn ensure(server: &Server, stack: &Stack, name: &str) -> Result<Database> {
    let client = server.connect("").await?;
    let found = marker(&client, stack, name).await?;
    let seeded = match found {
        Some(Marker::Ours { seeded }) => seeded,
        Some(foreign) => return Err(unmarked(server, name, &foreign)),
        None => false,
    };
    let (owner_role, serve_role) = (format!("{name}_owner"), format!("{name}_serve"));
    let owner = login(&client, server, stack, &owner_role, name).await?;
    let serve = login(&client, server, stack, &serve_role, name).await?;
    if found.is_none() {
        create(&client, stack, name, &owner_role).await?;
    }
    grant(&server.connect(name).await?, name, &owner_role, &serve_role).await?;
    Ok(Database { name: name.to_owned(), owner, serve, seeded })
}

/// Fails unless dev made this database for this stack.
pub(crate) async fn check(server: &Server, stack: &Stack, name: &str) -> Result<()> {
    match marker(&server.connect("").await?, stack, name).await? {
        Some(Marker::Ours { .. }) => Ok(()),
        Some(foreign) => Err(unmarked(server, name, &foreign)),
        None => {
            let address = server.record().address.clone();
            Err(Trouble::Unmarked { database: name.into(), address, found: NO_DATABASE.into() })
        }
    }
}

/// Writes down that the database has its first data.
pub(crate) async fn note_seeded(server: &Server, stack: &Stack, name: &str) -> Result<()> {
    check(server, stack, name).await?;
    Ok(server.connect("").await?.batch_execute(&mark("database", stack, name, true)).await?)
}

/// Drops every database and role that dev made for this stack, and answers the databases' names. Drops nothing where
/// one of the roles is needed by a database that stays.
pub(crate) async fn drop_all(server: &Server, stack: &Stack) -> Result<Vec<String>> {
    let client = server.connect("").await?;
    let query = "select datname, shobj_description(oid, 'pg_database') from pg_database order by datname";
    let databases = ours(&client, stack, query).await?;
    let query = "select rolname, shobj_description(oid, 'pg_authid') from pg_roles order by rolname";
    let roles = ours(&client, stack, query).await?;
    let record = server.record();
    // Nobody else starts it, so nobody could mend it there.
    let own = matches!(record.source, Source::Local | Source::Download);
    let folder = record.password_file.as_deref().and_then(Path::parent).filter(|_| own);
    let needed = |role: &str, by: String| Trouble::RoleNeeded {
        role: role.into(),
        address: record.address.clone(),
        by,
        folder: folder.map(Path::to_owned),
    };
    for row in client.query(NEEDED, &[]).await? {
        let (role, database): (String, String) = (row.get(0), row.get(1));
        if roles.contains(&role) && !databases.contains(&database) {
            let found = Marker::read(row.get::<_, Option<String>>(2).as_deref(), stack.id());
            return Err(needed(&role, format!("the database {database} needs it, and {found}")));
        }
    }
    for name in &databases {
        client.batch_execute(&format!("drop database {} with (force)", quoted(name))).await?;
    }
    for name in &roles {
        let dropped = client.batch_execute(&format!("drop role {}", quoted(name))).await;
        dropped.map_err(|error| needed(name, innermost(&error)))?;
    }
    Ok(databases)
}

/// Roles with the databases in which they own something or have rights.
const NEEDED: &str = "
    select distinct role.rolname, base.datname, shobj_description(base.oid, 'pg_database')
    from pg_shdepend need
    join pg_roles role on role.oid = need.refobjid
    join pg_database base
        on base.oid = case need.classid when 'pg_database'::regclass then need.objid else need.dbid end
    where need.refclassid = 'pg_authid'::regclass
    order by 1, 2";

/// Of the names and comments that `query` gives, the names that have this stack's marker.
async fn ours(client: &Client, stack: &Stack, query: &str) -> Result<Vec<String>> {
    let mut names = Vec::new();
    for row in client.query(query, &[]).await? {
        let comment: Option<String> = row.get(1);
        if matches!(Marker::read(comment.as_deref(), stack.id()), Marker::Ours { .. }) {
            names.push(row.get(0));
        }
    }
    Ok(names)
}

async fn marker(client: &Client, stack: &Stack, name: &str) -> Result<Option<Marker>> {
    let query = "select shobj_description(oid, 'pg_database') from pg_database where datname = $1";
    let row = client.query_opt(query, &[&name]).await?;
    Ok(row.map(|row| Marker::read(row.get::<_, Option<String>>(0).as_deref(), stack.id())))
}

fn unmarked(server: &Server, name: &str, found: &Marker) -> Trouble {
    let address = server.record().address.clone();
    Trouble::Unmarked { database: name.into(), address, found: found.to_string() }
}

/// The statement that marks a database or a role.
fn mark(kind: &str, stack: &Stack, name: &str, seeded: bool) -> String {
    format!("comment on {kind} {} is '{}'", quoted(name), Marker::write(stack.id(), seeded))
}

/// Makes the role if it is not there and gives it the password that lies in its file.
async fn login(client: &Client, server: &Server, stack: &Stack, role: &str, database: &str) -> Result<Login> {
    let password_file = stack.folder().folder("secrets")?.path().join(role);
    let password = read_or_create(&password_file, random_password)?;
    let query = "select shobj_description(oid, 'pg_authid') from pg_roles where rolname = $1";
    let found = client.query_opt(query, &[&role]).await?;
    let verb = match found.map(|row| Marker::read(row.get::<_, Option<String>>(0).as_deref(), stack.id())) {
        None => "create",
        Some(Marker::Ours { .. }) => "alter",
        Some(foreign) => return Err(unmarked(server, &format!("{database} (its role {role})"), &foreign)),
    };
    let mark = mark("role", stack, role, false);
    // In one transaction: a role without its mark would be nobody's. The password is made of hexadecimal digits.
    client
        .batch_execute(&format!("{verb} role {} login password '{password}'; {mark}", quoted(role)))
        .await?;
    let authorities = server.url().authorities().map(Path::to_owned);
    Ok(Login { url: server.url().for_role(role, database), password_file, authorities })
}

async fn create(client: &Client, stack: &Stack, name: &str, owner: &str) -> Result<()> {
    let superuser: bool =
        client.query_one("select rolsuper from pg_roles where rolname = current_user", &[]).await?.get(0);
    if !superuser {
        client.batch_execute(&format!("grant {} to current_user", quoted(owner))).await?;
    }
    // A database cannot be made and marked in one transaction: it has another name until it has its mark.
    let unmarked = format!("shop_dev_{}", stack.id());
    client.batch_execute(&format!("drop database if exists {}", quoted(&unmarked))).await?;
    client.batch_execute(&format!("create database {} owner {}", quoted(&unmarked), quoted(owner))).await?;
    client.batch_execute(&mark("database", stack, &unmarked, false)).await?;
    let rename = format!("alter database {} rename to {}", quoted(&unmarked), quoted(name));
    Ok(client.batch_execute(&rename).await?)
}

/// Rows yes, schema no. What the owner makes later is covered by default privileges.
async fn grant(client: &Client, name: &str, owner: &str, serve: &str) -> Result<()> {
    let (name, owner, serve) = (quoted(name), quoted(owner), quoted(serve));
    let statements = format!(
        "revoke all on database {name} from public;
         grant connect, temporary on database {name} to {serve};
         revoke create on schema public from public;
         grant all on schema public to {owner};
         grant usage on schema public to {serve};
         grant select, insert, update, delete on all tables in schema public to {serve};
         grant usage, select, update on all sequences in schema public to {serve};
         alter default privileges for role {owner} grant select, insert, update, delete on tables to {serve};
         alter default privileges for role {owner} grant usage, select, update on sequences to {serve};
         alter default privileges for role {owner} grant usage on schemas to {serve};"
    );
    client.batch_execute(&statements).await?;
    Ok(())
}
