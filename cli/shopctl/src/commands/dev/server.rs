//! The flags that say which PostgreSQL is meant, and the name that a person types for one on another machine.
use std::path::PathBuf;

use clap::ValueEnum;
use shop_devstack::record::Source;
use shop_devstack::{Choice, ServerSpec, needs_confirmation};

use crate::context::Context;
use crate::error::CommandError;
use crate::ui::Ui;

#[derive(Debug, clap::Args)]
#[command(next_help_heading = "PostgreSQL")]
pub(super) struct ServerArgs {
    /// Where it is from: the first that works, or one of the four
    #[arg(long, value_enum, default_value_t, value_name = "SOURCE")]
    postgres: Postgres,
    /// A server to use; the user may create databases and roles there. No password inside; one on another machine
    /// needs ?sslrootcert=FILE (or, where the network is yours alone, ?sslmode=disable)
    #[arg(long, env = "DATABASE_URL", hide_env_values = true, value_name = "URL")]
    database_url: Option<String>,
    /// The file with the password that goes with the URL
    #[arg(long, env = "DATABASE_PASSWORD_FILE", value_name = "FILE")]
    database_password_file: Option<PathBuf>,
    /// The name of the URL's database, for a server that is not on this machine
    #[arg(long, value_name = "DATABASE")]
    confirm: Option<String>,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
enum Postgres {
    /// A URL given, else local server programs, else Docker, else a download
    #[default]
    Auto,
    /// The server of --database-url
    Url,
    /// The server programs on this machine
    Local,
    /// A container
    Docker,
    /// Server programs fetched into the cache, pinned by checksum
    Download,
}

impl ServerArgs {
    /// What the engine is asked for. Asks for the database's name where one is needed and there is a terminal.
    pub(super) fn spec(&self, context: &Context, ui: &Ui) -> Result<ServerSpec, CommandError> {
        let choice = match self.postgres {
            Postgres::Auto => Choice::Auto,
            Postgres::Url => Choice::Only(Source::Url),
            Postgres::Local => Choice::Only(Source::Local),
            Postgres::Docker => Choice::Only(Source::Docker),
            Postgres::Download => Choice::Only(Source::Download),
        };
        let uses_url = matches!(choice, Choice::Auto | Choice::Only(Source::Url));
        let url = self.database_url.clone().filter(|_| uses_url);
        let mut confirm = self.confirm.clone();
        if let (Some((address, database)), None) = (url.as_deref().and_then(needs_confirmation), &confirm) {
            let question = format!(
                "{address} is not this machine; type the name of its database, {database}, to use it:"
            );
            confirm = Some(ui.ask(&question, &format!("--confirm {database}"))?);
        }
        let password_file = self.database_password_file.as_ref().map(|file| context.directory.join(file));
        Ok(ServerSpec { choice, url, password_file, confirm })
    }

    /// The name of the database, when it was typed and not given.
    pub(crate) fn typed<'a>(&self, spec: &'a ServerSpec) -> Option<&'a str> {
        spec.confirm.as_deref().filter(|_| self.confirm.is_none())
    }
}
