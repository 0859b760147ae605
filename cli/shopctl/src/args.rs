//! The root of the command line: the global flags and the list of commands. Must not hold a command's own flags.
use std::ffi::OsString;
use std::path::PathBuf;

use clap::{Parser, ValueEnum};

use crate::commands::Command;
use crate::exit::Exit;

/// Takes the shop platform from a laptop to production and back
#[derive(Debug, Parser)]
#[command(name = "shopctl", version, after_help = Exit::help(), max_term_width = 100)]
#[command(propagate_version = false, disable_help_subcommand = true)]
pub(crate) struct Args {
    #[command(flatten)]
    pub(crate) global: GlobalArgs,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// Flags that every command takes, before or after its name.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Global options")]
pub(crate) struct GlobalArgs {
    /// Data on stdout: for people, or one versioned JSON document
    #[arg(long, global = true, value_enum, default_value_t, value_name = "FORMAT")]
    pub(crate) output: Output,
    /// Progress on stderr: live on a terminal, one line a step, or nothing
    #[arg(long, global = true, value_enum, default_value_t, value_name = "STYLE")]
    pub(crate) progress: Progress,
    /// Colours: `auto` honours NO_COLOR and stays plain off a terminal
    #[arg(long, global = true, value_enum, default_value_t, value_name = "WHEN")]
    pub(crate) color: Color,
    /// Work as if started in this folder; shop.toml is looked for here and above
    #[arg(short = 'C', long, global = true, value_name = "DIR")]
    pub(crate) directory: Option<PathBuf>,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum Output {
    #[default]
    Text,
    Json,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum Progress {
    #[default]
    Auto,
    Plain,
    None,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum Color {
    #[default]
    Auto,
    Always,
    Never,
}

/// The colour choice as it stands in raw arguments: clap prints its own errors before it has parsed ours.
pub(crate) fn color_asked_for(arguments: &[OsString]) -> clap::ColorChoice {
    match raw_value(arguments, "--color") {
        Some("always") => clap::ColorChoice::Always,
        Some("never") => clap::ColorChoice::Never,
        _ => clap::ColorChoice::Auto,
    }
}

/// Whether raw arguments ask for JSON: a usage error is then data as well.
pub(crate) fn json_asked_for(arguments: &[OsString]) -> bool {
    raw_value(arguments, "--output") == Some("json")
}

fn raw_value<'a>(arguments: &'a [OsString], flag: &str) -> Option<&'a str> {
    let mut texts = arguments.iter().map_while(|argument| argument.to_str()).take_while(|text| *text != "--");
    texts.find_map(|text| text.strip_prefix(flag)?.strip_prefix('=')).or_else(|| {
        let at = arguments.iter().position(|argument| argument == flag)?;
        arguments.get(at + 1)?.to_str()
    })
}
